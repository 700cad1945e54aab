"""An SVG document as a PNG file."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType

from tui_trainer.export.targets import replacing, require

ZOOM = 2.0
"""Pixels of the PNG file per pixel of the document: 12 cm of paper at 280 dpi."""


def check_png() -> None:
    """Check that PNG files can be drawn, before anything is computed for them.

    Raises:
        InputError: If resvg-py or matplotlib is not installed.
    """
    _packages()


def _packages() -> tuple[ModuleType, Path]:
    """Return resvg, and the folder of matplotlib's fonts."""
    resvg, matplotlib = (require(name, "a PNG file") for name in ("resvg_py", "matplotlib"))
    return resvg, Path(matplotlib.get_data_path(), "fonts", "ttf")


def write_png(svg: str, path: Path) -> None:
    """Write an SVG document as a PNG file with twice its size.

    The fonts are the DejaVu fonts that matplotlib brings along, so that text has its place without
    any font on the system; the system's fonts are used for characters that those lack.

    Raises:
        InputError: If resvg-py or matplotlib is not installed, or the file cannot be written.
    """
    resvg, fonts = _packages()
    content = resvg.svg_to_bytes(
        svg_string=svg,
        zoom=ZOOM,
        font_files=[str(path) for path in sorted(fonts.glob("DejaVuSans*.ttf"))],
        sans_serif_family="DejaVu Sans",
        monospace_family="DejaVu Sans Mono",
    )
    with replacing(path) as unfinished:
        unfinished.write_bytes(bytes(content))
