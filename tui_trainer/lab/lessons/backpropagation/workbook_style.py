"""Fonts, colors, names and charts of the workbook; every function needs openpyxl."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

_LIMIT = 100
"""The largest number that an editable cell accepts, as in the lesson's experiment."""

_COLORS = ("0072B2", "E69F00", "009E73", "CC79A7", "D55E00", "56B4E9")
"""The curves of the six learning rates: the palette of Okabe and Ito, for color blindness."""


def write_heading(sheet: Any, row: int, title: str) -> None:
    """Write the heading of a section."""
    from openpyxl.styles import PatternFill

    for column in range(1, 5):
        sheet.cell(row, column).fill = PatternFill("solid", fgColor="E8EEF4")
    sheet.cell(row, 1, title).font = font(bold=True)


def define(book: Any, sheet: Any, name: str, row: int) -> None:
    """Give a name to the value in column B."""
    from openpyxl.workbook.defined_name import DefinedName

    book.defined_names[name] = DefinedName(name, attr_text=f"'{sheet.title}'!$B${row}")


def write_head(sheet: Any, row: int, column: int, text: str) -> None:
    """Write the head of a column of numbers."""
    from openpyxl.styles import Alignment

    cell = sheet.cell(row, column, text)
    cell.font, cell.alignment = font(bold=True), Alignment(horizontal="right")


def font(**how: Any) -> Any:
    """Return the font of the workbook."""
    from openpyxl.styles import Font

    return Font(name="Calibri", **{"size": 11, **how})


def add_rule(sheet: Any) -> Any:
    """Add and return the rule of a sheet's editable cells: a number within the limits."""
    from openpyxl.worksheet.datavalidation import DataValidation

    rule = DataValidation(
        type="decimal", operator="between", formula1=f"-{_LIMIT}", formula2=f"{_LIMIT}"
    )
    rule.error, rule.errorTitle = f"Enter a number from -{_LIMIT} to {_LIMIT}.", "Not a number"
    rule.showErrorMessage = True
    sheet.add_data_validation(rule)
    return rule


def make_editable(cell: Any, rule: Any) -> None:
    """Mark a cell that a reader may change."""
    from openpyxl.styles import PatternFill

    cell.font = font(color="0000FF", bold=True)
    cell.fill = PatternFill("solid", fgColor="FFF9DB")
    rule.add(cell)


def scatter(title: str) -> Any:
    """Return a chart without curves."""
    from openpyxl.chart import ScatterChart

    chart = ScatterChart()
    chart.title, chart.style, chart.height, chart.width = title, 2, 11, 20
    chart.x_axis.title, chart.y_axis.title = "updates", "E_total"
    # Without this, Excel draws no axes.
    chart.x_axis.delete = chart.y_axis.delete = False
    chart.x_axis.scaling.min = chart.y_axis.scaling.min = 0
    chart.x_axis.number_format, chart.y_axis.number_format = "0", "0.000"
    return chart


def add_curves(chart: Any, sheet: Any, head: int, last: int, columns: Iterable[int]) -> None:
    """Add a curve per column; its name is the cell above it, and x is the first column."""
    from openpyxl.chart import Reference, Series

    x = Reference(sheet, min_col=1, min_row=head + 1, max_row=last)
    for place, column in enumerate(columns):
        y = Reference(sheet, min_col=column, min_row=head, max_row=last)
        series = Series(y, x, title_from_data=True)
        series.marker.symbol, series.smooth = "none", False
        series.graphicalProperties.line.solidFill = _COLORS[place % len(_COLORS)]
        series.graphicalProperties.line.width = 22_000  # in EMU, 12,700 are a point
        chart.series.append(series)
