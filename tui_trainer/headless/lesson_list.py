"""The list of lessons, and the table of iterations of one lesson."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import islice

from tui_trainer.course.lesson import Lesson
from tui_trainer.headless.streams import standard_output
from tui_trainer.headless.text_table import table

ROWS_TOGETHER = 256
"""The number of rows written at once."""


def print_list(lessons: Sequence[Lesson]) -> None:
    """Write the lessons to stdout, one per line."""
    out = standard_output()
    rows = [
        ("", "lesson", "title"),
        *((str(each.topic), each.slug, each.title) for each in lessons),
    ]
    for line in table(rows, {0}):
        out.row(line)
    out.line("")
    out.line("Show a lesson with: mnist-tui learn NAME (or a number, or the start of a name)")


def print_rows(names: Sequence[str], rows: Iterable[Sequence[float]]) -> None:
    """Write a table to stdout as comma-separated values, each number with all its digits.

    Reading them back gives the same numbers; ``nan`` and ``inf`` are non-finite numbers. An int has
    no decimal point.

    Raises:
        OutputError: If stdout cannot be written to.
    """
    out, lines = standard_output(), iter(rows)
    out.text(f"{','.join(names)}\n")
    while some := list(islice(lines, ROWS_TOGETHER)):
        out.text("".join(map(row_text, some)))


def row_text(row: Sequence[float]) -> str:
    """Return a row of comma-separated values, each number with all its digits."""
    return f"{','.join(map(repr, row))}\n"
