"""The list of the lessons, and the table of iterations of one of them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import islice

from tui_trainer.course.lesson import Lesson
from tui_trainer.headless.streams import standard_output
from tui_trainer.headless.text_table import table

ROWS_TOGETHER = 256
"""The rows of a table that are written at once."""


def print_list(lessons: Sequence[Lesson]) -> None:
    """Write the lessons to stdout, one a line."""
    out = standard_output()
    rows = [
        ("", "lesson", "title"),
        *((str(each.topic), each.slug, each.title) for each in lessons),
    ]
    for line in table(rows, {0}):
        out.row(line)
    out.line("")
    out.line("mnist-tui learn NAME shows one; a number or the beginning of a name will do.")


def print_rows(names: Sequence[str], rows: Iterable[Sequence[float]]) -> None:
    """Write a table to stdout as comma-separated values, every digit of each number.

    Reading them gives the same numbers; ``nan`` and ``inf`` stand for those that are not finite. A
    number that is a whole one by its type has no point.

    Raises:
        OutputLost: If stdout takes nothing more.
    """
    out, lines = standard_output(), iter(rows)
    out.text(f"{','.join(names)}\n")
    while some := list(islice(lines, ROWS_TOGETHER)):
        out.text("".join(f"{','.join(map(repr, row))}\n" for row in some))
