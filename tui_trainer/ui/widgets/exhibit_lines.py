"""The blocks of an exhibit that are text: words, tables, bars and curves, in lines of a width."""

from __future__ import annotations

import math
import textwrap
from itertools import zip_longest

from tui_trainer.protocol.exhibit import Bar, Bars, Curve, Curves, Table, Tone, Words
from tui_trainer.render.plots import Line, Points, Scale, chart
from tui_trainer.text.fmt import Cell, columns, share_bar
from tui_trainer.ui.widgets.finding_lines import Lines, paragraph

PROSE = 76
"""Columns beyond which a line of prose is tiring to read."""

WIDEST_BAR = 40
LEAST_BAR = 6
CURVES_WIDTH = 100
"""Columns that curves take at most: they do not get better by being longer."""

TONES: dict[Tone, tuple[str, str]] = {
    "plain": ("", ""),
    "muted": ("", "muted"),
    "title": ("", "title bold"),
    "good": ("✓ ", "good"),
    "look": ("▲ ", "look"),
    "wrong": ("✗ ", "wrong"),
}
"""How words of each tone begin, and their role: no colour tells anything alone."""

CURVE_ROLES = ("train", "validation", "intervention", "test", "title", "look", "good", "wrong")
CURVE_GLYPHS = "●■▲◆○□△◇"
"""What marks a curve where there is no colour, by its place."""

GLYPHS_A_CURVE = 5

NUMBER = tuple("0123456789+-−")
"""A cell that begins with one of these is flush right."""

NONE = ("", "–", "—")
"""A cell without a number: it stands as its column does."""

GAP = 2
"""Blanks between two columns of a table."""


def words_lines(words: Words, width: int) -> Lines:
    """Return a paragraph, or lines as they are; what is too long goes on, further to the right."""
    sign, role = TONES[words.tone]
    if words.keeps_lines:
        return [[Cell(line, style=role)] for line in _kept(words.text, sign, width)]
    lines: Lines = []
    for part in words.text.split("\n\n"):
        lines += [[], *paragraph(sign + part, role, min(width, PROSE))]
    return lines[1:]


def _kept(text: str, sign: str, width: int) -> list[str]:
    kept = []
    for number, line in enumerate(text.splitlines()):
        line = (sign if number == 0 else " " * len(sign)) + line
        indent = " " * (len(line) - len(line.lstrip()) + 4)
        fits = columns(line) <= width
        kept += [line] if fits else textwrap.wrap(line, width, subsequent_indent=indent)
    return kept


def table_lines(table: Table, width: int) -> Lines:
    """Return a table: its numbers flush right, what is too wide folded, or row by row."""
    lines = _caption(table.caption, width)
    gutter = 0 if table.marked is None else 2
    widths = _folded(table, width - gutter)
    if widths is None:
        return lines + _row_by_row(table, width)
    is_right = [_is_right(table, place) for place in range(len(table.heads))]
    lines += _row(table.heads, widths, is_right, " " * gutter, "muted")
    for number, row in enumerate(table.rows):
        is_marked = number == table.marked
        aside = [
            cell.startswith(NUMBER) or (cell in NONE and right)
            for cell, right in zip(row, is_right, strict=True)
        ]
        sign = "▸ " if is_marked else " " * gutter
        lines += _row(row, widths, aside, sign, "title bold" if is_marked else "")
    return lines


def _caption(words: str, width: int) -> Lines:
    return paragraph(words, "title", min(width, PROSE)) if words else []


def natural_width(table: Table) -> int:
    """Return how many columns a table takes if nothing of it is folded."""
    gutter = 0 if table.marked is None else 2
    return gutter + sum(_widths(table)) + GAP * (len(table.heads) - 1)


def _widths(table: Table) -> list[int]:
    return [max(columns(cell) for cell in cells) for cells in zip(table.heads, *table.rows)]  # noqa: B905


def _folded(table: Table, width: int) -> list[int] | None:
    """Return the columns' widths, the widest of words made narrower; None if that is not enough."""
    widths = _widths(table)
    least = [
        max(len(word) for cell in cells for word in [*cell.split(), ""])
        for cells in zip(table.heads, *table.rows)  # noqa: B905
    ]
    spare = sum(widths) + GAP * (len(widths) - 1) - width
    while spare > 0:
        wide = [(size, place) for place, size in enumerate(widths) if size > least[place]]
        if not wide:
            return None
        widths[max(wide)[1]] -= 1
        spare -= 1
    return widths


def _is_right(table: Table, place: int) -> bool:
    """Return whether a column's head is flush right, as its numbers are."""
    cells = [row[place] for row in table.rows if row[place] not in NONE]
    return bool(cells) and sum(cell.startswith(NUMBER) for cell in cells) * 2 > len(cells)


def _row(
    cells: tuple[str, ...], widths: list[int], is_right: list[bool], sign: str, role: str
) -> Lines:
    """Return a row in one line, or in several where a cell is folded."""
    folded = [
        textwrap.wrap(cell, width) if columns(cell) > width else [cell]
        for cell, width in zip(cells, widths, strict=True)
    ]
    lines: Lines = []
    for number, pieces in enumerate(zip_longest(*folded, fillvalue="")):
        laid = (
            " " * (width - columns(piece)) + piece
            if right
            else piece + " " * (width - columns(piece))
            for piece, width, right in zip(pieces, widths, is_right, strict=True)
        )
        start = sign if number == 0 else " " * len(sign)
        lines.append([Cell((start + (" " * GAP).join(laid)).rstrip(), style=role)])
    return lines


def _row_by_row(table: Table, width: int) -> Lines:
    """Return a table for which there is no room: each row as a paragraph."""
    lines: Lines = []
    for number, row in enumerate(table.rows):
        told = " · ".join(f"{head} {cell}".strip() for head, cell in zip(table.heads, row))  # noqa: B905
        sign, role = ("▸ ", "title bold") if number == table.marked else ("", "")
        lines += paragraph(sign + told, role, width)
    return lines


def bars_lines(bars: Bars, width: int) -> Lines:
    """Return bars below each other, each with its number flush right."""
    lines = _caption(bars.caption, width)
    labels = max((columns(bar.label) for bar in bars.bars), default=0)
    numbers = max((columns(bar.number) for bar in bars.bars), default=0)
    room = min(WIDEST_BAR, width - 2 - labels - 1 - 1 - numbers)
    for bar in bars.bars:
        lines += _bar_lines(bar, labels, numbers, room, width)
    return lines


def _bar_lines(bar: Bar, labels: int, numbers: int, room: int, width: int) -> Lines:
    sign, role = ("▸ ", "title bold") if bar.is_marked else ("  ", "")
    colour = "title" if bar.is_marked else "train"
    share = min(1.0, max(0.0, bar.share)) if math.isfinite(bar.share) else 0.0
    if room < LEAST_BAR:
        drawn = share_bar(share, max(1, min(WIDEST_BAR, width - 2)))
        told = paragraph(f"{sign}{bar.label}  {bar.number}", role, width)
        return [*told, [Cell(f"  {drawn}", style=colour)]]
    label = bar.label + " " * (labels - columns(bar.label))
    number = " " * (numbers - columns(bar.number)) + bar.number
    return [
        [
            Cell(f"{sign}{label} ", style=role),
            Cell(share_bar(share, room), style=colour),
            Cell(f" {number}", style=role),
        ]
    ]


def bars_width(bars: Bars) -> int:
    """Return how many columns bars need to be worth drawing."""
    labels = max((columns(bar.label) for bar in bars.bars), default=0)
    numbers = max((columns(bar.number) for bar in bars.bars), default=0)
    return labels + numbers + 4 + LEAST_BAR + 2


def curves_lines(block: Curves, width: int, height: int) -> Lines:
    """Return curves in one plot of ``height`` lines, below them what x is and which curve is which.

    Each has a role and a glyph of its own, which stands on it here and there.
    """
    width = min(width, CURVES_WIDTH)
    lines = _caption(block.caption, width)
    curves = [curve.drawable(is_log=block.is_log) for curve in block.curves]
    end = max((x for curve in curves for x in curve.x), default=0.0)
    if end <= 0:
        return [*lines, *paragraph("nothing to draw yet", "muted", width)]
    roles = curve_roles(block.curves)
    rows = chart(
        width,
        height,
        x_max=end,
        scale=Scale("log" if block.is_log else "linear"),
        lines=[Line(c.x, c.y, role) for c, role in zip(curves, roles, strict=True)],
        points=[
            _glyphs(curve, roles[place], place, len(curves), end)
            for place, curve in enumerate(curves)
        ],
    )
    lines += [[Cell(run.text, style=run.role) for run in row] for row in rows]
    x_label = block.x_label + (" · logarithmic y" if block.is_log else "")
    lines.append([Cell(" " * max(0, width - columns(x_label)) + x_label, style="muted")])
    return lines + _legend(block.curves, roles, width)


def curve_roles(curves: tuple[Curve, ...]) -> list[str]:
    """Return a role for each curve: what is named after one has it, the rest those left over."""
    roles: dict[int, str] = {}
    for place, curve in enumerate(curves):
        for role in ("train", "validation"):
            if curve.name.startswith(role) and role not in roles.values():
                roles[place] = role
    left = iter([role for role in CURVE_ROLES if role not in roles.values()])
    return [roles.get(place) or next(left, "muted") for place in range(len(curves))]


def _glyphs(curve: Curve, role: str, place: int, count: int, end: float) -> Points:
    """Return a few points of a curve, at other places than those of its neighbours."""
    glyph = CURVE_GLYPHS[place % len(CURVE_GLYPHS)]
    x: list[float] = []
    y: list[float] = []
    for number in range(GLYPHS_A_CURVE):
        wanted = end * (number + (place + 0.5) / count) / GLYPHS_A_CURVE
        after = next((i for i, at in enumerate(curve.x) if at >= wanted), None)
        if after is not None and (not x or curve.x[after] != x[-1]):
            x.append(curve.x[after])
            y.append(curve.y[after])
    if not x and curve.x:
        x, y = [curve.x[-1]], [curve.y[-1]]
    return Points(x, y, role, glyph)


def _legend(curves: tuple[Curve, ...], roles: list[str], width: int) -> Lines:
    """Return the curves' names behind their glyphs, as many in a line as fit."""
    lines: Lines = [[]]
    used = 0
    for place, (curve, role) in enumerate(zip(curves, roles, strict=True)):
        piece = f"{CURVE_GLYPHS[place % len(CURVE_GLYPHS)]} {curve.name}"
        if used and used + 3 + columns(piece) > width:
            lines.append([])
            used = 0
        gap = "   " if used else ""
        lines[-1].append(Cell(gap + piece, style=role))
        used += len(gap) + columns(piece)
    return lines
