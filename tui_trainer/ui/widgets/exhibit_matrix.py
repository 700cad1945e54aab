"""A square table of numbers: what stands out is coloured, the chosen cell is framed by arrows."""

from __future__ import annotations

from rich.segment import Segment
from rich.style import Style
from textual.color import Color

from tui_trainer.protocol.exhibit import Matrix
from tui_trainer.text.fmt import columns
from tui_trainer.ui.widgets.exhibit_pictures import Brush, Drawn
from tui_trainer.ui.widgets.finding_lines import paragraph

LEAST_CELL = 4
HEAT = 0.75
"""How much of the colour the hottest cell has."""


def matrix_width(matrix: Matrix) -> int:
    """Return how many columns a matrix takes."""
    return _head_width(matrix) + _cell_width(matrix) * len(matrix.heads) + 1


def matrix_lines(matrix: Matrix, width: int, brush: Brush) -> Drawn:
    """Return a matrix, its rows labelled at the left and its columns above."""
    style, across = brush.style, _cell_width(matrix)
    lead = _head_width(matrix)
    caption = f"{matrix.caption} · rows {matrix.row_label}, columns {matrix.column_label}"
    lines: Drawn = [
        [Segment(cell.text, style(cell.style)) for cell in line]
        for line in paragraph(caption, "title", min(width, matrix_width(matrix)))
    ]
    row, column = matrix.cell
    heads = [Segment(matrix.row_label.ljust(lead), style("muted"))]
    for place, name in enumerate(matrix.heads):
        heads.append(
            Segment(_placed(name, across), style("title bold" if place == column else "muted"))
        )
    lines.append(heads)
    for place, name in enumerate(matrix.heads):
        line = [
            Segment(name.rjust(lead - 1) + " ", style("title bold" if place == row else "muted"))
        ]
        for across_place, text in enumerate(matrix.texts[place]):
            is_chosen = (place, across_place) == matrix.cell
            line.append(
                Segment(
                    _chosen(text, across) if is_chosen else _placed(text, across),
                    _cell_style(matrix, place, across_place, brush, is_chosen=is_chosen),
                )
            )
        lines.append(line)
    return lines


def _head_width(matrix: Matrix) -> int:
    return max(columns(text) for text in (*matrix.heads, matrix.row_label)) + 1


def _cell_width(matrix: Matrix) -> int:
    widest = max(columns(text) for row in (*matrix.texts, matrix.heads) for text in row)
    return max(LEAST_CELL, widest + 2)


def _placed(text: str, width: int) -> str:
    return f"{text.rjust(width - 1)} "


def _chosen(text: str, width: int) -> str:
    return f"▸{text.rjust(width - 2)}◂"


def _cell_style(matrix: Matrix, row: int, column: int, brush: Brush, *, is_chosen: bool) -> Style:
    """Return the colours of a cell: the diagonal is good, the rest is wrong by its heat."""
    colours = brush.colours
    if row == column:
        base = brush.style("good bold" if is_chosen else "good")
    else:
        heat = matrix.heats[row][column]
        base = brush.style("bold" if is_chosen else ("" if heat else "muted"))
        if heat > 0:
            ground: Color = colours["background"].blend(
                colours["role-wrong"], HEAT * min(1.0, heat)
            )
            base += Style(bgcolor=ground.rich_color, color=ground.get_contrast_text(1).rich_color)
    if is_chosen:
        base += Style(bold=True, underline=True)
    return base
