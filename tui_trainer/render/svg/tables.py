"""Tables, matrices and bars as SVG elements."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import zip_longest

from tui_trainer.protocol.exhibit import Bars, Matrix, Table
from tui_trainer.render.block_lines import is_number, is_right
from tui_trainer.render.svg.drawn import Drawn, lines, rect, rule, stacked, text
from tui_trainer.render.svg.paint import CURVES, HEAT, INK, PANEL, QUIET
from tui_trainer.render.svg.paint import LINE as GRAY
from tui_trainer.render.svg.text import LINE, SIZE, clipped, text_width, wrapped

COLUMN_GAP = 18
"""The distance of two columns, in pixels."""

GUTTER = 16
"""Room for the sign of the marked row."""

LEAST = 40.0
"""A column is not made narrower than this, in pixels."""

BAR, BAR_HEIGHT = 256, 13
"""The length of a full bar, and the height of a bar."""

CELL_MARGIN, LEAST_CELL = 7, 30
"""The blank on either side of a number in a matrix, and the least width of its cell."""

HEAD_SIZE, LONGEST_HEAD = 110, 220
"""The width from which the names of the columns of a matrix stand upright, and where they end."""

WIDER = 1.25
"""How much wider than the page a table may be before its cells are wrapped."""

STRONGEST = 0.6
"""The color strength of the hottest cell of a matrix: its number must stay readable."""


def caption(words: str, width: float) -> Drawn:
    """Return a caption."""
    return lines(wrapped(words, width, is_bold=True) if words else [], is_bold=True)


def table_drawn(table: Table, width: float) -> Drawn:
    """Return a table; a column whose cells are mostly numbers is right-aligned.

    Cells are wrapped where the table would be much wider than ``width``; if they cannot, it is.
    """
    gutter = 0.0 if table.marked is None else float(GUTTER)
    widths = _column_widths(table, WIDER * width - gutter)
    right = [is_right(table, index) for index in range(len(table.heads))]
    across = gutter + sum(widths) + COLUMN_GAP * (len(widths) - 1)
    parts = [caption(table.caption, max(width, across))]
    if any(table.heads):
        head = _row(table.heads, widths, right, gutter, fill=QUIET)
        parts.append(Drawn(head.svg + rule(0, head.height + 2, across), across, head.height + 6))
    for number, row in enumerate(table.rows):
        is_marked = number == table.marked
        aside = [is_number(cell, flush) for cell, flush in zip(row, right, strict=True)]
        drawn = _row(row, widths, aside, gutter, is_bold=is_marked)
        sign = text("▸", 0, SIZE) if is_marked else ""
        parts.append(Drawn(sign + drawn.svg, across, drawn.height))
    return stacked(parts)


def _column_widths(table: Table, width: float) -> list[float]:
    """Return the widths of columns, the widest made narrower until the table fits."""
    bold = table.marked
    cells = list(zip(table.heads, *table.rows, strict=True))
    natural = [
        max(
            text_width(cell, is_bold=bold is not None and index == bold + 1)
            for index, cell in enumerate(column)
        )
        for column in cells
    ]
    least = [
        max([LEAST, *(text_width(word, is_bold=True) for cell in column for word in cell.split())])
        for column in cells
    ]
    widths = list(natural)
    spare = sum(widths) + COLUMN_GAP * (len(widths) - 1) - width
    while spare > 0:
        wide = [(size, index) for index, size in enumerate(widths) if size > least[index]]
        if not wide:
            break
        size, index = max(wide)
        step = min(8.0, size - least[index])
        widths[index] -= step
        spare -= step
    return widths


def _row(
    cells: Sequence[str],
    widths: Sequence[float],
    right: Sequence[bool],
    left: float,
    *,
    fill: str = INK,
    is_bold: bool = False,
) -> Drawn:
    """Return a row, of several lines where a cell is wrapped."""
    folded = [
        [cell]
        if text_width(cell, is_bold=is_bold) <= width + 0.01
        else wrapped(cell, width, is_bold=is_bold)
        for cell, width in zip(cells, widths, strict=True)
    ]
    parts = []
    rows = list(zip_longest(*folded, fillvalue=""))
    for number, pieces in enumerate(rows):
        x, y = left, number * LINE + SIZE
        for piece, width, flush in zip(pieces, widths, right, strict=True):
            place, anchor = (x + width, "end") if flush else (x, "start")
            parts.append(text(piece, place, y, fill=fill, anchor=anchor, is_bold=is_bold))
            x += width + COLUMN_GAP
    return Drawn("".join(parts), left + sum(widths), len(rows) * LINE)


# --- bars


def bars_drawn(bars: Bars, width: float) -> Drawn:
    """Return bars below each other, each with its number."""
    labels = max((text_width(bar.label, is_bold=bar.is_marked) for bar in bars.bars), default=0)
    numbers = max((text_width(bar.number, is_bold=bar.is_marked) for bar in bars.bars), default=0)
    labels = min(labels, max(LEAST, width - GUTTER - BAR - numbers - 2 * COLUMN_GAP))
    start = GUTTER + labels + COLUMN_GAP
    across = start + BAR + COLUMN_GAP + numbers
    rows = [caption(bars.caption, width)]
    for bar in bars.bars:
        named = lines(wrapped(bar.label, labels, is_bold=bar.is_marked), is_bold=bar.is_marked)
        length = max(1.0, BAR * bar.drawn_share)
        parts = [
            text("▸", 0, SIZE) if bar.is_marked else "",
            f"<g transform='translate({GUTTER} 0)'>{named.svg}</g>",
            rect(start, 4, BAR, BAR_HEIGHT, f"fill='{PANEL}'"),
            rect(start, 4, round(length, 1), BAR_HEIGHT, f"fill='{CURVES[0]}'"),
            text(bar.number, across, SIZE, anchor="end", is_bold=bar.is_marked),
        ]
        rows.append(Drawn("".join(parts), across, named.height))
    return stacked(rows)


# --- matrices


def matrix_drawn(matrix: Matrix, width: float) -> Drawn:
    """Return a matrix; the more a cell stands out, the redder it is."""
    names = [clipped(head, LONGEST_HEAD) for head in matrix.heads]
    widest_head = max(map(text_width, names), default=0)
    is_upright = widest_head > HEAD_SIZE or (
        widest_head > LEAST_CELL and len(matrix.heads) * (widest_head + 2 * CELL_MARGIN) > width
    )
    across_texts = [text_width(cell) for row in matrix.texts for cell in row]
    bold = [text_width(row[i], is_bold=True) for i, row in enumerate(matrix.texts)]
    across = math.ceil(
        max([LEAST_CELL - 2 * CELL_MARGIN, *across_texts, *bold, 0 if is_upright else widest_head])
        + 2 * CELL_MARGIN
    )
    lead = math.ceil(max(widest_head, text_width(matrix.row_label))) + 2 * CELL_MARGIN
    head_height = math.ceil(widest_head) + 8 if is_upright else LINE
    total = lead + across * len(matrix.heads)
    parts = [
        text(matrix.column_label, lead + (total - lead) / 2, SIZE, fill=QUIET, anchor="middle")
    ]
    bottom = LINE + head_height
    parts.append(text(matrix.row_label, lead - CELL_MARGIN, bottom - 6, fill=QUIET, anchor="end"))
    for index, head in enumerate(names):
        x = lead + across * index
        if is_upright:
            place = f"translate({x + across / 2 + 5:g} {bottom - 6:g}) rotate(-90)"
            parts.append(f"<g transform='{place}'>{text(head, 0, 0, fill=QUIET)}</g>")
        else:
            parts.append(text(head, x + across - CELL_MARGIN, bottom - 6, fill=QUIET, anchor="end"))
    for row, head in enumerate(names):
        parts.append(_matrix_row(matrix, row, head, lead, across, bottom + row * (LINE + 2)))
    height = bottom + len(matrix.heads) * (LINE + 2)
    parts.append(rect(lead, bottom, total - lead, height - bottom, f"fill='none' stroke='{GRAY}'"))
    return stacked(
        [caption(matrix.caption, max(width, total)), Drawn("".join(parts), total, height)]
    )


def _matrix_row(matrix: Matrix, row: int, head: str, lead: float, across: float, top: float) -> str:
    y = top + SIZE + 1
    parts = [text(head, lead - CELL_MARGIN, y, fill=QUIET, anchor="end")]
    for column, words in enumerate(matrix.texts[row]):
        x, is_diagonal = lead + across * column, column == row
        heat = matrix.intensities[row][column]
        strength = STRONGEST * min(1.0, max(0.0, heat)) if math.isfinite(heat) else 0.0
        if is_diagonal:
            parts.append(rect(x, top, across, LINE + 2, f"fill='{PANEL}'"))
        elif strength > 0:
            fill = f"fill='{HEAT}' fill-opacity='{strength:.2f}'"
            parts.append(rect(x, top, across, LINE + 2, fill))
        color = INK if words.strip("· ") else QUIET
        end = x + across - CELL_MARGIN
        parts.append(text(words, end, y, fill=color, anchor="end", is_bold=is_diagonal))
    return "".join(parts)
