"""The file of a report: ``--report FILE``."""

from __future__ import annotations

import os
from pathlib import Path

from tui_trainer.protocol.errors import InputError, reason
from tui_trainer.text.fmt import printable, size


def check_report(path: Path, option: str = "--report") -> None:
    """Check early that the report of an option can be written to this path.

    Raises:
        InputError: If it cannot.
    """
    shown = printable(path)
    try:
        target = Path(os.path.realpath(path))
        if target.exists() and not target.is_file():
            raise InputError(f"{option} {shown}: is not an ordinary file; choose another name")
        if not target.parent.is_dir():
            raise InputError(
                f"{option} {shown}: folder {printable(path.parent)} does not exist; create it"
            )
    except (OSError, ValueError) as error:
        raise InputError(f"{option} {shown}: cannot be written: {reason(error)}") from None
    if not os.access(target.parent, os.W_OK):
        raise InputError(f"{option} {shown}: no permission to write to {printable(path.parent)}")


def write_report(path: Path, content: str, what: str) -> str:
    """Write a report; return a line with its path, ``what`` it shows, and its size.

    Raises:
        InputError: If it cannot be written.
    """
    from tui_trainer.export.targets import replacing

    raw = content.encode()
    with replacing(path) as unfinished:
        unfinished.write_bytes(raw)
    return f"{printable(path)}: {what}, {size(len(raw))}"
