"""``mnist-tui learn backpropagation --as``: the updates by hand as CSV or as a spreadsheet."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tui_trainer.cli.report_file import check_report
from tui_trainer.headless.streams import standard_output
from tui_trainer.protocol.errors import InputError
from tui_trainer.text.fmt import clip, plural, printable, size

if TYPE_CHECKING:
    from tui_trainer.course.lesson import Lesson

LESSON = "backpropagation"
LAYOUTS = ("csv", "xlsx")
DEFAULT_FILE = Path("backpropagation.xlsx")
ETA, ITERATIONS = 1.0, 68
MOST = {"csv": 1_000_000, "xlsx": 1_000}
"""The most updates in each format; a workbook has seven sheets with a row for each."""
LEAST = {"csv": 0, "xlsx": 1}


@dataclass(frozen=True, slots=True)
class TableOptions:
    """The options of the table; None if not given.

    Attributes:
        layout: Its format.
        out: Its file.
        eta: The learning rate.
        iterations: The number of updates.
    """

    layout: str | None
    out: Path | None
    eta: float | None
    iterations: int | None


def check_table(lesson: Lesson | None, others: Sequence[str], chosen: TableOptions) -> None:
    """Check the options of the table.

    Args:
        lesson: The lesson; None if none is given.
        others: The given options that need a model.
        chosen: The options of the table.

    Raises:
        InputError: If they do not fit the lesson or each other, or a value is out of range.
    """
    layout, out, eta, iterations = chosen.layout, chosen.out, chosen.eta, chosen.iterations
    options = {"--as": layout, "--out": out, "--eta": eta, "--iterations": iterations}
    given = [name for name, value in options.items() if value is not None]
    if not given:
        return
    if lesson is None or lesson.slug != LESSON:
        raise InputError(f"{given[0]}: only for the lesson {LESSON}")
    if layout is None:
        raise InputError(f"{given[0]}: add --as csv or --as xlsx")
    if layout not in LAYOUTS:
        shown = clip(printable(layout), 40)
        raise InputError(f"--as {shown}: choose from {', '.join(LAYOUTS)}")
    if others:
        raise InputError(f"{others[0]}: cannot be used with --as, which needs no model")
    if eta is not None and not (math.isfinite(eta) and eta >= 0):
        raise InputError(f"--eta {eta:g}: must be a finite number, 0 or more")
    low, high = LEAST[layout], MOST[layout]
    if iterations is not None and not low <= iterations <= high:
        raise InputError(
            f"--iterations {iterations}: choose from {low} to {high:,} with --as {layout}"
        )


def write_table(chosen: TableOptions) -> None:
    """Print the table as CSV, or write it to a file.

    Raises:
        InputError: If the file exists or cannot be written, or openpyxl is missing.
    """
    eta = ETA if chosen.eta is None else chosen.eta
    iterations = ITERATIONS if chosen.iterations is None else chosen.iterations
    if chosen.layout == "xlsx":
        _write_workbook(chosen.out or DEFAULT_FILE, eta, iterations)
        return
    from tui_trainer.headless.lesson_list import print_rows, row_text
    from tui_trainer.lab.lessons.backpropagation.arithmetic import COLUMNS, START, table

    rows = table(START, eta, iterations)
    if chosen.out is None:
        print_rows(COLUMNS, rows)
        return
    _check_new(chosen.out)
    from tui_trainer.export.targets import replacing

    with replacing(chosen.out) as part, part.open("x", encoding="utf-8", newline="") as file:
        file.write(f"{','.join(COLUMNS)}\n")
        file.writelines(map(row_text, rows))
    _report(chosen.out, eta, iterations)


def _write_workbook(path: Path, eta: float, iterations: int) -> None:
    _check_new(path)
    if path.suffix.lower() != ".xlsx":
        raise InputError(f"--out {printable(path)}: the name of a workbook must end with .xlsx")
    from tui_trainer.export.targets import replacing, require

    require("openpyxl", "the spreadsheet", extra="xlsx")
    from tui_trainer.lab.lessons.backpropagation.arithmetic import START
    from tui_trainer.lab.lessons.backpropagation.workbook import build

    with replacing(path) as part:
        build(START, eta, iterations).save(part)
    _report(path, eta, iterations)


def _check_new(path: Path) -> None:
    """Check that a file can be created.

    Raises:
        InputError: If it exists already, or its folder does not.
    """
    check_report(path, "--out")
    if path.exists():
        raise InputError(f"{printable(path)}: exists already; choose another name with --out FILE")


def _report(path: Path, eta: float, iterations: int) -> None:
    standard_output().line(
        f"{printable(path)}: {plural(iterations, 'update')} with η = {eta:g}, "
        f"{size(path.stat().st_size)}"
    )
