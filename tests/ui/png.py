"""Turn the snapshots into PNG pictures, to look at them.

python -m tests.ui.png [FOLDER]
"""

from __future__ import annotations

import sys
from pathlib import Path

import resvg_py

SNAPSHOTS = Path(__file__).parent / "__snapshots__"


def to_png(svg: str) -> bytes:
    """Return the picture, in fonts that have every sign and keep the columns aligned."""
    svg = svg.replace("Fira Code", "DejaVu Sans Mono").replace("arial", "DejaVu Sans")
    return bytes(resvg_py.svg_to_bytes(svg_string=svg))


def main(folder: Path) -> None:
    """Write a PNG for each snapshot."""
    folder.mkdir(parents=True, exist_ok=True)
    for path in sorted(SNAPSHOTS.rglob("*.*")):
        picture = folder / f"{path.stem}.png"
        picture.write_bytes(to_png(path.read_text(encoding="utf-8")))
        print(picture)


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "screenshots"))
