"""Tables with aligned columns, for a terminal or a file."""

from __future__ import annotations

import sys
import time
from collections.abc import Collection, Sequence

from tui_trainer.headless.streams import Console, standard_output
from tui_trainer.recording.run_fields import FIELDS, Field
from tui_trainer.text.lines import aligned

GAP = 2
"""Spaces between two columns."""


def print_runs(
    head: Sequence[str], rows: Sequence[Sequence[str]], right: Collection[int], nothing: str
) -> None:
    """Write a table of runs to stdout, one per line, or a message to stderr if it has no rows."""
    console = Console(sys.stderr, time.monotonic)
    out = standard_output(console)
    if not rows:
        console.print(nothing)
        return
    for line in table([head, *rows], right):
        out.row(line)


def print_fields() -> None:
    """Write the fields of a run to stdout: name, kind and description."""
    out = standard_output()
    for title, is_setting in (("Results", False), ("Settings", True)):
        fields = [field for field in FIELDS.values() if field.is_setting == is_setting]
        out.line(title)
        for line in table(
            [("  " + field.name, field.kind.value, _about(field)) for field in fields]
        ):
            out.row(line)


def _about(field: Field) -> str:
    synonym = f" ({field.source} in JSON)" if field.source not in ("", field.name) else ""
    return field.help + synonym


def table(rows: Sequence[Sequence[str]], right: Collection[int] = ()) -> list[str]:
    """Return rows of cells as aligned lines.

    Args:
        rows: The cells, equally many in each row.
        right: The right-aligned columns.
    """
    return [(" " * GAP).join(row).rstrip() for row in aligned(rows, right)]
