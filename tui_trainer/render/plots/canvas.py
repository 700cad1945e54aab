"""A canvas of braille cells, 2 × 4 dots each, with room for glyphs on top.

Each cell shows one character in one role; later drawing overwrites earlier drawing.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache
from itertools import pairwise

from tui_trainer.render.plots.chart_shapes import Line, Mark, Points, Row, Segment
from tui_trainer.render.plots.grid import XAxis, YAxis

_BRAILLE = 0x2800
# The bit of each dot of a braille cell, by row and column (Unicode, block 2800).
_DOTS = ((0x01, 0x08), (0x02, 0x10), (0x04, 0x20), (0x40, 0x80))
# The dots of one column of a cell from one row to another: _SPANS[column][from][to].
_SPANS = tuple(
    tuple(
        tuple(sum(_DOTS[row][side] for row in range(top, bottom + 1)) for bottom in range(4))
        for top in range(4)
    )
    for side in range(2)
)


class Canvas:
    """The cells inside a frame."""

    def __init__(self, x_axis: XAxis, y_axis: YAxis) -> None:
        self._x_axis, self._y_axis = x_axis, y_axis
        self._columns = x_axis.cells
        self._characters = [" "] * (x_axis.cells * y_axis.cells)
        self._roles = [""] * (x_axis.cells * y_axis.cells)

    def lines(self, lines: Sequence[Line]) -> None:
        """Draw curves: first all bands, then the trends over them."""
        stops = [self._x_axis.stops(line.x) for line in lines]
        for line, its_stops in zip(lines, stops, strict=True):
            if line.low is not None and line.high is not None:
                self._band(line.low, line.high, its_stops, line.band_role or line.role)
        for line, its_stops in zip(lines, stops, strict=True):
            self._trend(line.trend, its_stops, line.role)

    def _band(
        self, low: Sequence[float], high: Sequence[float], stops: list[int], role: str
    ) -> None:
        """Tint each text column from the smallest to the largest value in it and its neighbors.

        Including the neighbors smooths the edge of a noisy band and hides no value.
        """
        begun, end = stops[0], stops[-1]
        columns, tops, bottoms = [], [], []
        for column, (first, last) in enumerate(pairwise(stops[::2])):
            if last > begun and first < end:
                # A column between two points belongs to the later one, whose band reaches back.
                last = max(last, first + 1)
                columns.append(column)
                tops.append(max(high[first:last]))
                bottoms.append(min(low[first:last]))
        top_dots = _around(min, self._y_axis.dots(tops))
        bottom_dots = _around(max, self._y_axis.dots(bottoms))
        for column, top, bottom in zip(columns, top_dots, bottom_dots, strict=True):
            tints = _tints(top, bottom)
            start = (top >> 2) * self._columns + column
            cells = slice(start, start + len(tints) * self._columns, self._columns)
            self._characters[cells] = tints
            self._roles[cells] = [role] * len(tints)

    def _trend(self, trend: Sequence[float], stops: list[int], role: str) -> None:
        """Connect the last values of the dot columns, each column with its piece of the slope."""
        ends = [(column, b - 1) for column, (a, b) in enumerate(pairwise(stops)) if b > a]
        if not ends:
            return
        columns = [column for column, _ in ends]
        path = _path(columns, self._y_axis.dots(trend[end] for _, end in ends))
        cells: defaultdict[int, int] = defaultdict(int)
        steps = zip([path[0], *path], path, strict=False)
        for column, (before, now) in enumerate(steps, columns[0]):
            top, bottom = (before, now) if before < now else (now, before)
            first, last = top >> 2, bottom >> 2
            spans = _SPANS[column & 1]
            for row in range(first, last + 1):
                span = spans[top & 3 if row == first else 0][bottom & 3 if row == last else 3]
                cells[row * self._columns + (column >> 1)] |= span
        for cell, dots in cells.items():
            self._put(cell, chr(_BRAILLE | dots), role)

    def points(self, group: Points) -> None:
        """Draw a glyph at each value."""
        for x, y in zip(group.x, group.y, strict=True):
            column = self._x_axis.cell(x)
            if column is not None:
                self._put(self._y_axis.cell(y) * self._columns + column, group.glyph, group.role)

    def stems(self, marks: Sequence[Mark]) -> None:
        """Draw the thin line of each mark; call it before drawing anything else."""
        for mark in marks:
            column = self._x_axis.cell(mark.x)
            if column is not None:
                stem = slice(column, None, self._columns)
                self._characters[stem] = ["┊"] * self._y_axis.cells
                self._roles[stem] = [mark.role] * self._y_axis.cells

    def heads(self, marks: Sequence[Mark]) -> None:
        """Draw the glyph of each mark in the top row, and labels where there is room."""
        placed = [(mark, self._x_axis.cell(mark.x)) for mark in marks]
        for mark, column in placed:
            if column is not None:
                self._put(column, mark.glyph, mark.role)
        for mark, column in placed:
            if column is not None and mark.label:
                self._label(mark, column)

    def _label(self, mark: Mark, column: int) -> None:
        size = len(mark.label)
        for row in (0, (self._y_axis.cells - 1) * self._columns):
            for start in (column + 2, column - 1 - size):
                # A space on either side, but not beyond the edge.
                around = range(max(start - 1, 0), min(start + size + 1, self._columns))
                is_free = not any(self._roles[row + cell] for cell in around)
                if start >= 0 and start + size <= self._columns and is_free:
                    for cell in around:
                        self._put(row + cell, " ", mark.role)
                    for cell, character in enumerate(mark.label, row + start):
                        self._put(cell, character, mark.role)
                    return

    def _put(self, cell: int, character: str, role: str) -> None:
        self._characters[cell] = character
        self._roles[cell] = role

    def rows(self, edges: Sequence[str]) -> list[Row]:
        """Return the rows with their left edges; neighboring characters of one role are merged."""
        return [self._row(edge, row * self._columns) for row, edge in enumerate(edges)]

    def _row(self, edge: str, start: int) -> Row:
        end = start + self._columns
        row: Row = []
        text, role, first = edge, "axis", start
        for cell, its_role in enumerate(self._roles[start:end], start):
            if its_role and its_role != role:
                row.append(Segment(text + "".join(self._characters[first:cell]), role))
                text, role, first = "", its_role, cell
        row.append(Segment(text + "".join(self._characters[first:end]), role))
        return row


def _around(choose: Callable[[Iterable[int]], int], rows: list[int]) -> list[int]:
    """Apply ``choose`` to each row and its two neighbors."""
    neighbors = zip([*rows[:1], *rows], rows, [*rows[1:], *rows[-1:]], strict=False)
    return [choose(near) for near in neighbors]


def _path(columns: list[int], rows: list[int]) -> list[int]:
    """Interpolate a row for every column, from the first to the last."""
    path = rows[:1]
    for (x0, x1), (y0, y1) in zip(pairwise(columns), pairwise(rows), strict=True):
        if x1 == x0 + 1:
            path.append(y1)
        else:
            slope = (y1 - y0) / (x1 - x0)
            path += [round(y0 + slope * step) for step in range(1, x1 - x0 + 1)]
    return path


@lru_cache(maxsize=4096)
def _tints(top: int, bottom: int) -> str:
    """Return the tinted cells of a text column between two dot rows, from top to bottom.

    Every other dot is set, like a chessboard: the texture separates band and curve without color.
    """
    tints = []
    for cell in range(top >> 2, (bottom >> 2) + 1):
        rows = range(max(top, 4 * cell), min(bottom, 4 * cell + 3) + 1)
        tints.append(chr(_BRAILLE | sum(_DOTS[row & 3][row & 1] for row in rows)))
    return "".join(tints)
