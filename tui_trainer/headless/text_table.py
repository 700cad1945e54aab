"""Tables with aligned columns, for a terminal or a file."""

from __future__ import annotations

import sys
import time
from collections.abc import Collection, Sequence
from pathlib import Path

from tui_trainer.headless.streams import Console, standard_output
from tui_trainer.recording.folder import ListedRun
from tui_trainer.recording.run_table import HEAD, RIGHT, cells
from tui_trainer.text import fmt
from tui_trainer.text.lines import aligned

GAP = 2
"""Spaces between two columns."""


def print_runs(runs: Sequence[ListedRun], root: Path) -> None:
    """Write the runs to stdout, one per line, or a message to stderr if there are none."""
    console = Console(sys.stderr, time.monotonic)
    out = standard_output(console)
    if not runs:
        console.print(f"{fmt.printable(root)}: contains no runs")
        return
    for line in table([HEAD, *(cells(run) for run in runs)], RIGHT):
        out.row(line)


def table(rows: Sequence[Sequence[str]], right: Collection[int] = ()) -> list[str]:
    """Return rows of cells as aligned lines.

    Args:
        rows: The cells, equally many in each row.
        right: The right-aligned columns.
    """
    return [(" " * GAP).join(row).rstrip() for row in aligned(rows, right)]
