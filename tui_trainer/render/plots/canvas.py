"""A canvas of braille cells, 2 × 4 dots each, with room for glyphs on top.

Each cell shows one character in one role; later drawing overwrites earlier drawing.
"""

from __future__ import annotations

from collections.abc import Sequence

from tui_trainer.render.plots.chart_shapes import Line, Mark, Points, Row, Segment
from tui_trainer.render.plots.curve_cells import band_cells, curve_cells, glyph_cells
from tui_trainer.render.plots.grid import XAxis, YAxis

BLANK, FULL = "\u2800", "\u28ff"
"""The first and the last braille character; the bits of the code are the dots."""

_NEAR = 1
"""How many columns next to the cursor a mark may be to be named."""


class Canvas:
    """The cells inside a frame."""

    def __init__(self, x_axis: XAxis, y_axis: YAxis) -> None:
        self._x_axis, self._y_axis = x_axis, y_axis
        self._columns = x_axis.cells
        self._characters = [" "] * (x_axis.cells * y_axis.cells)
        self._roles = [""] * (x_axis.cells * y_axis.cells)

    def bands(self, lines: Sequence[Line]) -> None:
        """Draw the bands of curves."""
        for line in lines:
            role = line.band_role or line.role
            for start, tints in () if line.is_raw else band_cells(line, self._x_axis, self._y_axis):
                cells = slice(start, start + len(tints) * self._columns, self._columns)
                self._characters[cells] = tints
                self._roles[cells] = [role] * len(tints)

    def trends(self, lines: Sequence[Line]) -> None:
        """Draw the trends of curves, then their glyphs over all of them."""
        drawn = [curve_cells(line, self._x_axis, self._y_axis) for line in lines]
        characters, roles = self._characters, self._roles
        for line, cells in zip(lines, drawn, strict=True):
            role = line.role
            # Most of the time of a chart of many runs is here: no calls.
            for cell, character in cells.items():
                characters[cell] = character
                roles[cell] = role
        for place, line in enumerate(lines):
            if line.glyph:
                for cell in glyph_cells(line, self._x_axis, self._y_axis, place / len(lines)):
                    self._put(cell, line.glyph, line.role)

    def texture(self, lines: Sequence[Line], role: str) -> None:
        """Draw the trends of many lines in one role: where they cross, the dots of all are set."""
        for line in lines:
            for cell, character in curve_cells(line, self._x_axis, self._y_axis).items():
                before = self._characters[cell]
                if BLANK < before <= FULL:
                    character = chr(ord(before) | ord(character))
                self._put(cell, character, role)

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
            if column is not None and mark.has_line:
                self._column(column, "┊", mark.role)

    def cursor(self, x: float) -> None:
        """Draw a line at a place; call it before the trends."""
        column = self._x_axis.cell(x)
        if column is not None:
            self._column(column, "│", "title")

    def _column(self, column: int, character: str, role: str) -> None:
        cells = slice(column, None, self._columns)
        self._characters[cells] = [character] * self._y_axis.cells
        self._roles[cells] = [role] * self._y_axis.cells

    def names(self, marks: Sequence[Mark], x: float) -> None:
        """Write the names of the marks next to a place into the top rows, over everything else.

        The mark that is drawn last comes first: it is over the others at its place.
        """
        here = self._x_axis.cell(x)
        if here is None:
            return
        near = [
            mark
            for mark in reversed(marks)
            if mark.name and abs((self._x_axis.cell(mark.x) or -9) - here) <= _NEAR
        ]
        for row, mark in enumerate(near[: max(1, self._y_axis.cells // 2)]):
            text = f" {mark.glyph} {mark.name} "
            start = here + 2
            if start + len(text) > self._columns:
                start = max(0, here - 1 - len(text))
            for column, character in enumerate(text[: self._columns], start):
                if column < self._columns:
                    self._put(row * self._columns + column, character, mark.role)

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

    def text(self, row: int, column: int, text: str, role: str) -> None:
        """Write single-width characters over everything else; what does not fit is cut."""
        for place, character in enumerate(text[: max(0, self._columns - column)], column):
            self._put(row * self._columns + place, character, role)

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
