"""Tables of aligned columns, for a terminal or a file."""

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
"""Blanks between two columns."""


def print_runs(runs: Sequence[ListedRun], root: Path) -> None:
    """Write the runs to stdout, one a line; on stderr, that there are none."""
    console = Console(sys.stderr, time.monotonic)
    out = standard_output(console)
    if not runs:
        console.print(f"{fmt.printable(root)}: no run in it yet")
        return
    for line in table([HEAD, *(cells(run) for run in runs)], RIGHT):
        out.row(line)


def table(rows: Sequence[Sequence[str]], right: Collection[int] = ()) -> list[str]:
    """Return rows of cells as lines, each column as wide as its widest cell but the last.

    Args:
        rows: The cells, as many in each row.
        right: The columns that are flush right.
    """
    return [(" " * GAP).join(row).rstrip() for row in aligned(rows, right)]
