"""An exhibit of a lesson in plain text: no colour is needed to read it, and nothing moves."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Sequence

from tui_trainer.protocol.exhibit import (
    Bars,
    Block,
    Control,
    Curve,
    Curves,
    Exhibit,
    Matrix,
    Pictures,
    Table,
    Value,
    Words,
)
from tui_trainer.render.ascii_pictures import RAMP, SIGNED, picture_lines
from tui_trainer.render.plots import Line, Points, Scale, chart
from tui_trainer.text import fmt

BAR_WIDTH, SHORTEST_BAR = 24, 6
PLOT_HEIGHT = 12
LETTERS = "abcdefgh"
MARK, NO_MARK = "▸ ", "  "

LETTER_COLUMNS = 9
"""Columns from one letter on a curve to its next."""

PICTURE_GAP = 4
NARROWEST_CAPTION = 18
NARROWEST_COLUMN = 8

SHOWN_STEPS = 12
"""As many steps of a control are named; more are told by their ends."""


def exhibit_lines(exhibit: Exhibit, width: int) -> list[str]:
    """Return what an exhibit shows, a blank line between its blocks."""
    lines: list[str] = []
    for block in exhibit.blocks:
        if lines:
            lines.append("")
        lines += _block_lines(block, width)
    return lines


def wrapped(paragraphs: str, width: int) -> list[str]:
    """Return paragraphs as lines of at most so many columns, a blank line between two."""
    lines: list[str] = []
    for paragraph in paragraphs.split("\n\n"):
        if lines:
            lines.append("")
        lines += textwrap.wrap(paragraph, width, break_on_hyphens=False) or [""]
    return lines


def labelled(label: str, told: str, width: int) -> list[str]:
    """Return a text behind its label, what follows the first line under it."""
    lead = f"{label}: "
    first, *others = wrapped(told, width - len(lead))
    return [f"{lead}{first}", *(f"{' ' * len(lead)}{line}" for line in others)]


def control_lines(controls: Sequence[Control], width: int) -> list[str]:
    """Return where the controls stand and what each can be turned to, one below the other."""
    lines = []
    for control in controls:
        told = f"{control.name} = {value_text(control.value)}  ({choice_text(control)})"
        lines += textwrap.wrap(told, width, subsequent_indent="    ", break_on_hyphens=False)
    return lines


def value_text(value: Value) -> str:
    """Return where a control stands."""
    return value if isinstance(value, str) else f"{value:.12g}"


def choice_text(control: Control) -> str:
    """Return what a control can be turned to."""
    words = [step for step in control.steps if isinstance(step, str)]
    numbers = [float(step) for step in control.steps if not isinstance(step, str)]
    if control.low is not None and control.high is not None:
        numbers_told = f"{control.low:.12g} to {control.high:.12g}"
    elif len(numbers) > SHOWN_STEPS:
        numbers_told = f"{min(numbers):.12g} to {max(numbers):.12g}"
    else:
        numbers_told = ", ".join(map(value_text, numbers))
    return ", ".join([*words, *([numbers_told] if numbers_told else [])])


def _block_lines(block: Block, width: int) -> list[str]:
    match block:
        case Words():
            return block.text.splitlines() if block.keeps_lines else wrapped(block.text, width)
        case Table():
            return [*_caption(block.caption, width), *_table_lines(block, width)]
        case Pictures():
            return [*_caption(block.caption, width), *_pictures_lines(block, width)]
        case Curves():
            return [*_caption(block.caption, width), *_curves_lines(block, width)]
        case Bars():
            return [*_caption(block.caption, width), *_bars_lines(block, width)]
        case Matrix():
            return _matrix_lines(block, width)


def _caption(caption: str, width: int) -> list[str]:
    return wrapped(caption, width) if caption else []


# --- tables and bars


def _table_lines(table: Table, width: int) -> list[str]:
    """Return a table; where it is too wide, its widest columns are cut."""
    lead = NO_MARK if table.marked is not None else ""
    rows = [table.heads, *table.rows]
    widths = [max(map(fmt.columns, column)) for column in zip(*rows, strict=True)]
    gaps = len(lead) + 2 * (len(widths) - 1)
    while sum(widths) + gaps > width and max(widths) > NARROWEST_COLUMN:
        widths[widths.index(max(widths))] -= 1
    first = table.rows[0] if table.rows else table.heads
    lines = []
    if any(table.heads):
        heads = [
            _placed(head, wide, flush_right=_is_number(cell))
            for head, cell, wide in zip(table.heads, first, widths, strict=True)
        ]
        lines = [
            f"{lead}{'  '.join(heads)}".rstrip(),
            lead + "─" * (sum(widths) + gaps - len(lead)),
        ]
    for place, row in enumerate(table.rows):
        cells = [
            _placed(cell, wide, flush_right=_is_number(cell))
            for cell, wide in zip(row, widths, strict=True)
        ]
        mark = MARK if place == table.marked else lead
        lines.append(f"{mark}{'  '.join(cells)}".rstrip())
    return lines


def _is_number(cell: str) -> bool:
    return cell[:1].isdecimal() or cell[:1] in ("+", "-", "−")


def _placed(cell: str, width: int, *, flush_right: bool) -> str:
    cell = fmt.clip(cell, width)
    blanks = " " * (width - fmt.columns(cell))
    return blanks + cell if flush_right else cell + blanks


def _bars_lines(bars: Bars, width: int) -> list[str]:
    """Return bars below each other; long numbers leave them less room."""
    names = max((fmt.columns(bar.label) for bar in bars.bars), default=0)
    numbers = max((fmt.columns(bar.number) for bar in bars.bars), default=0)
    has_mark = any(bar.is_marked for bar in bars.bars)
    room = width - names - numbers - len(MARK) * has_mark - 4
    longest = min(BAR_WIDTH, max(SHORTEST_BAR, room))
    lines = []
    for bar in bars.bars:
        share = min(1.0, max(0.0, bar.share)) if math.isfinite(bar.share) else 0.0
        lead = (MARK if bar.is_marked else NO_MARK) if has_mark else ""
        label = _placed(bar.label, names, flush_right=False)
        drawn = fmt.share_bar(share, longest)
        lines.append(f"{lead}{label}  {drawn}  {bar.number}".rstrip())
    return lines


def _matrix_lines(matrix: Matrix, width: int) -> list[str]:
    """Return a matrix, every number flush right; its chosen cell is not marked."""
    caption = f"{matrix.caption}: rows {matrix.row_label}, columns {matrix.column_label}"
    lead = max(map(fmt.columns, (*matrix.heads, matrix.row_label)))
    wide = max(fmt.columns(cell) for row in (matrix.heads, *matrix.texts) for cell in row)
    rows = zip((matrix.row_label, *matrix.heads), (matrix.heads, *matrix.texts), strict=True)
    lines = [
        f"{head.rjust(lead)}  {' '.join(c.rjust(wide) for c in cells)}" for head, cells in rows
    ]
    return [*_caption(caption, width), *lines]


# --- pictures


def _pictures_lines(pictures: Pictures, width: int) -> list[str]:
    """Return pictures side by side, as many as there is room for, and what their signs mean."""
    columns = []
    for picture in pictures.items:
        drawn = picture_lines(picture)
        wide = max([NARROWEST_CAPTION, *(len(line) for line in drawn)])
        ends = f"{picture.low:.3g} to {picture.high:.3g}".replace("-", "−")
        columns.append([*textwrap.wrap(picture.caption, wide), *drawn, ends])
    lines: list[str] = []
    while columns:
        fits = 1
        while fits < len(columns) and _beside(columns[: fits + 1]) <= width:
            fits += 1
        row, columns = columns[:fits], columns[fits:]
        most = max(len(column) for column in row)
        # Captions may differ in length, pictures in height: they stand on one line.
        level = [[""] * (most - len(column)) + column for column in row]
        widths = [max(map(fmt.columns, column)) for column in level]
        for cells in zip(*level, strict=True):
            placed = (_placed(c, w, flush_right=False) for c, w in zip(cells, widths, strict=True))
            lines.append((" " * PICTURE_GAP).join(placed).rstrip())
    keys = [
        f"'{SIGNED}' most negative to most positive"
        if any(picture.is_signed for picture in pictures.items)
        else "",
        f"'{RAMP}' least to largest"
        if any(not picture.is_signed for picture in pictures.items)
        else "",
    ]
    return [*lines, *(key for key in keys if key)]


def _beside(columns: Sequence[Sequence[str]]) -> int:
    return sum(max(map(fmt.columns, column)) + PICTURE_GAP for column in columns) - PICTURE_GAP


# --- curves


def _curves_lines(curves: Curves, width: int) -> list[str]:
    """Return curves as dots, each with its letter on it now and then."""
    shown = [curve.drawable(is_log=curves.is_log) for curve in curves.curves]
    ends = [x for curve in shown for x in curve.x]
    if not ends or max(ends) <= 0:
        return ["(nothing to draw)"]
    is_single = len(shown) == 1
    names = [
        f"{letter}  {curve.name}" for letter, curve in zip(LETTERS, curves.curves, strict=False)
    ]
    rows = chart(
        width,
        PLOT_HEIGHT,
        x_max=max(ends),
        scale=Scale("log" if curves.is_log else "linear"),
        lines=[Line(curve.x, curve.y, "curve") for curve in shown if curve.x],
        points=[]
        if is_single
        else [
            _letters(curve, LETTERS[place % len(LETTERS)], place, len(shown), max(ends), width)
            for place, curve in enumerate(shown)
        ],
    )
    drawn = ["".join(run.text for run in row).rstrip() for row in rows]
    label = f"{curves.x_label}{', the other axis logarithmic' if curves.is_log else ''}"
    told = [
        (name if not is_single else curve.name, _from_to(curve))
        for name, curve in zip(names, curves.curves, strict=False)
    ]
    widest = max(fmt.columns(name) for name, _ in told)
    legend = [f"{_placed(name, widest, flush_right=False)}  {ends}" for name, ends in told]
    return [*drawn, label.rjust(width), *legend]


def _letters(curve: Curve, letter: str, place: int, count: int, x_max: float, width: int) -> Points:
    """Return where a curve's letter stands: at its end, and apart from the others' on the way."""
    step = x_max * LETTER_COLUMNS / width
    wanted = (place / count + 0.3) * step
    x, y = [], []
    for at_x, at_y in zip(curve.x, curve.y, strict=True):
        if at_x >= wanted:
            x.append(at_x)
            y.append(at_y)
            wanted += step * max(1, math.ceil((at_x - wanted) / step + 1e-9))
    if not x:  # a curve that ends before its first letter
        x, y = list(curve.x[-1:]), list(curve.y[-1:])
    return Points(x, y, "curve", letter)


def _from_to(curve: Curve) -> str:
    """Return the first and the last value of a curve."""
    if not curve.y:
        return "no points yet"
    first, last = (f"{value:.4g}" for value in (curve.y[0], curve.y[-1]))
    return f"{first} → {last}".replace("-", "−")
