"""The 2-2-2 example as a spreadsheet: every number is a formula, and follows the editable cells."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import count
from typing import Any

from tui_trainer.lab.lessons.backpropagation import formulas
from tui_trainer.lab.lessons.backpropagation.arithmetic import (
    COLUMNS,
    ETAS,
    WEIGHTS,
    TwoLayerNet,
)
from tui_trainer.lab.lessons.backpropagation.formulas import Line, cell_name
from tui_trainer.lab.lessons.backpropagation.workbook_style import (
    add_curves,
    add_rule,
    define,
    font,
    make_editable,
    scatter,
    write_head,
    write_heading,
)

STEP, TABLE, RATES = "Backpropagation", "Iterations", "Learning rates"
"""The names of the sheets; one more per learning rate is called ``eta 1`` and so on."""

_EIGHT_DECIMALS = "0.00000000"
_FIRST_ROW = 4
"""The row of iteration 0 in a table of iterations; the one above has the heads."""


def build(net: TwoLayerNet, eta: float, iterations: int) -> Any:
    """Return the workbook, to be saved; needs openpyxl.

    A spreadsheet program computes the values when it opens the file.

    Args:
        net: The numbers of the editable cells.
        eta: The learning rate in its cell.
        iterations: The number of updates in the tables, at least 1.
    """
    from openpyxl import Workbook

    book = Workbook()
    step = book.active
    step.title = STEP
    table, rates = book.create_sheet(TABLE), book.create_sheet(RATES)
    _write_step(book, step, net, eta)
    _write_table(table, "eta", iterations)
    sheets = []
    for number, row in zip(range(1, len(ETAS) + 1), count(5)):
        sheets.append(book.create_sheet(f"eta {number}"))
        _write_table(sheets[-1], f"'{RATES}'!$B${row}", iterations)
    _write_rates(rates, iterations)
    step.add_chart(_loss_chart(table, iterations), "F4")
    for sheet in book.worksheets:
        sheet.sheet_view.showGridLines = False
        sheet.page_setup.orientation = "landscape"
        sheet.page_setup.fitToHeight = 0
        sheet.sheet_properties.pageSetUpPr.fitToPage = True
    book.calculation.fullCalcOnLoad = True
    return book


# --- one update, explained


def _write_step(book: Any, sheet: Any, net: TwoLayerNet, eta: float) -> None:
    """Write the editable cells, the forward pass, the gradients and the update."""
    for column, width in zip("ABCDE", (14, 14, 38, 78, 3), strict=True):
        sheet.column_dimensions[column].width = width
    sheet["A1"] = "Backpropagation by hand"
    sheet["A1"].font = font(bold=True, size=16)
    sheet["A2"] = (
        "Two inputs, two hidden units, two outputs; every unit is a sigmoid without a bias. "
        "Change a blue number: everything below, the other sheets and the curves follow."
    )
    row = _write_editable(book, sheet, net, eta)
    for title, lines in (
        ("1  Forward: from the inputs to the loss", formulas.forward_lines()),
        ("2  Backward through the outputs: w5 to w8", formulas.output_lines()),
        ("3  Backward through the hidden units: w1 to w4", formulas.hidden_lines()),
        ("4  Update: one step of gradient descent", formulas.update_lines()),
        ("5  The loss after the update", _after_lines()),
    ):
        row = _write_section(book, sheet, row + 1, title, lines)
    sheet.freeze_panes = "A4"


def _write_editable(book: Any, sheet: Any, net: TwoLayerNet, eta: float) -> int:
    """Write the cells that a reader changes; return the last row."""
    given = [
        *zip(("i1", "i2"), net.inputs, ("input of the network",) * 2, strict=True),
        *zip(("t1", "t2"), net.targets, ("target: what the output should be",) * 2, strict=True),
        *zip(WEIGHTS, net.weights, map(_weight_text, WEIGHTS), strict=True),
        ("eta", eta, "η, the learning rate: how far one update goes"),
    ]
    rule = add_rule(sheet)
    write_heading(sheet, 3, "Numbers that you can change")
    row = 3
    for row, (name, value, meaning) in enumerate(given, start=4):
        sheet.cell(row, 1, "η" if name == "eta" else name)
        make_editable(sheet.cell(row, 2, value), rule)
        sheet.cell(row, 4, meaning)
        define(book, sheet, cell_name(name), row)
    return row


def _weight_text(weight: str) -> str:
    number = int(weight[1]) - 1
    layer, (unit, given) = number // 4, divmod(number % 4, 2)
    source, target = (("i", "h"), ("h", "o"))[layer]
    return f"weight from {source}{given + 1} to {target}{unit + 1}"


def _write_section(book: Any, sheet: Any, row: int, title: str, lines: Iterable[Line]) -> int:
    """Write a title and a line per formula; return the last row."""
    from openpyxl.styles import Alignment

    write_heading(sheet, row, title)
    for line in lines:
        row += 1
        sheet.cell(row, 1, line.name)
        cell = sheet.cell(row, 2, f"={line.formula}")
        cell.number_format = _EIGHT_DECIMALS
        sheet.cell(row, 3, line.symbols).alignment = Alignment(horizontal="left", indent=1)
        sheet.cell(row, 4, line.meaning)
        define(book, sheet, cell_name(line.name), row)
    return row


def _after_lines() -> list[Line]:
    after = f"{TABLE}!${_letter('E_total')}${_FIRST_ROW + 1}"
    return [
        Line("E_after", after, "E_total with the new weights", f"Row 1 of the sheet {TABLE}."),
        Line(
            "E_change",
            "E_after-E_total",
            "E after − E before",
            "Negative if the update helped. A learning rate that is too large makes it positive.",
        ),
    ]


# --- many updates


def _letter(name: str) -> str:
    from openpyxl.utils import get_column_letter

    return str(get_column_letter(COLUMNS.index(name) + 1))


def _write_table(sheet: Any, eta: str, iterations: int) -> None:
    """Write a table of iterations, one row per update, with the columns of ``--as csv``.

    Args:
        sheet: The sheet.
        eta: The cell of the learning rate.
        iterations: The number of updates.
    """
    sheet["A1"], sheet["B1"] = "η", f"={eta}"
    sheet["C1"] = (
        "Row n has the weights after n updates, with the outputs, errors and gradients of these "
        "weights. Each weight is the one above minus η times the gradient above."
    )
    for place, name in enumerate(COLUMNS, start=1):
        write_head(sheet, _FIRST_ROW - 1, place, name.replace("dE_d", "∂E/∂"))
        sheet.column_dimensions[_letter(name)].width = 13
    for iteration in range(iterations + 1):
        row = _FIRST_ROW + iteration

        def at(name: str, row: int = row) -> str:
            return f"{_letter(name)}{row}" if name in COLUMNS else cell_name(name)

        cells: dict[str, str | int] = {"iteration": f"=A{row - 1}+1" if iteration else 0}
        for name in WEIGHTS:
            above, slope = at(name, row - 1), at(f"dE_d{name}", row - 1)
            cells[name] = f"={above}-$B$1*{slope}" if iteration else f"={cell_name(name)}"
        cells |= {name: f"={text}" for name, text in formulas.forward(at).items()}
        cells |= {f"dE_d{name}": f"={text}" for name, text in formulas.gradients(at).items()}
        for place, name in enumerate(COLUMNS, start=1):
            sheet.cell(row, place, cells[name]).number_format = (
                "0" if name == "iteration" else _EIGHT_DECIMALS
            )
    sheet.freeze_panes = sheet.cell(_FIRST_ROW, 2)


def _write_rates(sheet: Any, iterations: int) -> None:
    """Write the loss over the updates for several learning rates, with their curves."""
    sheet["A1"] = "The loss with different learning rates"
    sheet["A1"].font = font(bold=True, size=16)
    rule = add_rule(sheet)
    sheet["A2"] = (
        "Change a blue number. Each learning rate starts from the same weights and has a sheet "
        "with all its values."
    )
    for column in "ABCDEFGHIJKLMNOPQR":
        sheet.column_dimensions[column].width = 13
    for place, head in enumerate(("sheet", "η", "E at the start", "E at the end"), start=1):
        write_head(sheet, 4, place, head)
    first = 5 + len(ETAS) + 2
    last = _FIRST_ROW + iterations
    loss = _letter("E_total")
    for number, eta in enumerate(ETAS, start=1):
        row, name = 4 + number, f"eta {number}"
        sheet.cell(row, 1, name)
        make_editable(sheet.cell(row, 2, eta), rule)
        for place, at in ((3, _FIRST_ROW), (4, last)):
            sheet.cell(row, place, f"='{name}'!{loss}{at}").number_format = _EIGHT_DECIMALS
        write_head(sheet, first - 1, number + 1, f'="η = "&B{row}')
    write_head(sheet, first - 1, 1, "iteration")
    for iteration in range(iterations + 1):
        at = _FIRST_ROW + iteration
        sheet.cell(first + iteration, 1, f"='eta 1'!A{at}")
        for number in range(1, len(ETAS) + 1):
            cell = sheet.cell(first + iteration, number + 1, f"='eta {number}'!{loss}{at}")
            cell.number_format = _EIGHT_DECIMALS
    columns = range(2, len(ETAS) + 2)
    chart = scatter("the loss over the updates, by learning rate")
    add_curves(chart, sheet, first - 1, first + iterations, columns)
    sheet.add_chart(chart, "I4")


# --- charts


def _loss_chart(sheet: Any, iterations: int) -> Any:
    """Return the chart of one table of iterations."""
    chart = scatter("the loss over the updates")
    places = [COLUMNS.index("E_total") + 1]
    add_curves(chart, sheet, _FIRST_ROW - 1, _FIRST_ROW + iterations, places)
    chart.legend = None
    return chart
