"""Pictures that a command writes: ``--out FILE.svg``, ``--out FILE.png``, ``--out FOLDER/``."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from tui_trainer.cli.report_file import check_report
from tui_trainer.protocol.errors import InputError, reason
from tui_trainer.text.fmt import plural, printable, size

FORMATS = ("svg", "png")


@dataclass(frozen=True, slots=True)
class PictureFiles:
    """Where pictures go.

    Attributes:
        path: A file, or a folder.
        is_folder: Whether it is a folder, with a file for each picture and format.
        formats: Some of :data:`FORMATS`; of a file its own.
    """

    path: Path
    is_folder: bool
    formats: tuple[str, ...]

    def write(self, pictures: Iterable[tuple[str, str]]) -> str:
        """Write SVG documents by name; return a line with the path and what was written.

        A file gets the first picture.

        Raises:
            InputError: If a file cannot be written.
        """
        written, total = 0, 0
        for name, svg in pictures:
            for kind in self.formats:
                path = self.path / f"{name}.{kind}" if self.is_folder else self.path
                total += _write(svg, kind, path)
                written += 1
            if not self.is_folder:
                break
        what = plural(written, "picture") if self.is_folder else self.formats[0].upper()
        return f"{printable(self.path)}: {what}, {size(total)}"


def picture_files(out: str, formats: str, wanted: int, option: str = "--out") -> PictureFiles:
    """Return where pictures go, checked before any of them is made; create the folder.

    Args:
        out: The value of the option: a file ending with ``.svg`` or ``.png``; otherwise a folder.
        formats: Formats of a folder, separated by commas; empty for SVG.
        wanted: The number of views.
        option: The name of the option.

    Raises:
        InputError: If the path cannot be used, or PNG files cannot be drawn here.
    """
    path, kind = Path(out), Path(out).suffix.lower().removeprefix(".")
    shown = f"{option} {printable(out)}"
    if out in ("", "-"):
        raise InputError(f"{shown}: names no file; choose c.svg, c.png, or a folder")
    chosen = _formats(formats)
    if kind in FORMATS and not out.endswith(("/", os.sep)) and not path.is_dir():
        if chosen and chosen != (kind,):
            raise InputError(f"--as {formats}: {option} already ends with .{kind}; leave --as out")
        if wanted != 1:
            raise InputError(
                f"{shown}: a file takes one view, and {wanted} are asked for; add --view NAME "
                f"once, or name a folder: {option} {printable(path.with_suffix(''))}/"
            )
        check_report(path, option)
        found = PictureFiles(path, False, (kind,))
    else:
        if kind and not out.endswith(("/", os.sep)) and not path.is_dir():
            raise InputError(
                f"{shown}: cannot be a {printable(path.suffix)} file; choose .svg or .png, or end "
                "the name of a folder with /"
            )
        _create_folder(path, shown)
        found = PictureFiles(path, True, chosen or ("svg",))
    if "png" in found.formats:
        from tui_trainer.export.svg_picture import check_png

        check_png()
    return found


def _formats(formats: str) -> tuple[str, ...]:
    names = [name.strip().lower() for name in formats.split(",") if name.strip()]
    for name in names:
        if name not in FORMATS:
            raise InputError(f"--as: unknown format {name[:40]!r}; choose {', '.join(FORMATS)}")
    return tuple(dict.fromkeys(names))


def _create_folder(path: Path, shown: str) -> None:
    try:
        if path.exists() and not path.is_dir():
            raise InputError(f"{shown}: is a file; name a folder, or a file ending with .svg")
        path.mkdir(parents=True, exist_ok=True)
    except (OSError, ValueError) as error:
        raise InputError(f"{shown}: cannot be created: {reason(error)}") from None
    if not os.access(path, os.W_OK):
        raise InputError(f"{shown}: no permission to write to this folder")


def _write(svg: str, kind: str, path: Path) -> int:
    """Write a picture; return the size of its file in bytes."""
    if kind == "png":
        from tui_trainer.export.svg_picture import write_png

        write_png(svg, path)
    else:
        from tui_trainer.export.targets import replacing

        with replacing(path) as unfinished:
            unfinished.write_text(svg, encoding="utf-8", newline="\n")
    return path.stat().st_size
