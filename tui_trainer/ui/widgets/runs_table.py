"""The table of the Runs screen, and of others whose rows have keys."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import ClassVar

from rich.text import Text
from textual.binding import BindingType
from textual.widgets import DataTable
from textual.widgets.data_table import RowKey

from tui_trainer.text.fmt import Cell
from tui_trainer.ui.keys.keymap import TABLE_KEYS
from tui_trainer.ui.widgets.painting import text_of

GAP = 2
"""Spaces between two columns."""

MARK = " mark"
"""The key of the first column."""

BLANK = Cell(" ")

Cells = Sequence[Cell]


class KeyedTable(DataTable[Text]):
    """Rows of cells, each with a key; the cursor stays on its row when the rows change."""

    def __init__(self, *, id: str) -> None:  # noqa: A002
        super().__init__(id=id, cursor_type="row", cell_padding=GAP // 2)
        self._heads: dict[str, str] = {}
        self._cells: dict[str, tuple[Cell, ...]] = {}
        self._marks: dict[str, Cell] = {}
        self._theme = ""

    @property
    def chosen(self) -> str | None:
        """The key of the row under the cursor."""
        keys = [*self._cells]
        return keys[self.cursor_row] if 0 <= self.cursor_row < len(keys) else None

    def show(self, heads: Mapping[str, str], rows: Sequence[tuple[str, Cells]]) -> None:
        """Show rows by their keys; if only cells have changed, only these are updated.

        Args:
            heads: The heads of the columns by their keys.
            rows: The rows, each with a cell for each column.
        """
        cells = {key: tuple(row) for key, row in rows}
        is_same = dict(heads) == self._heads and [*cells] == [*self._cells]
        if is_same and self.app.theme == self._theme:
            self._update_cells(cells)
            return
        chosen, place = self.chosen, self.cursor_row
        self._heads, self._cells, self._theme = dict(heads), cells, self.app.theme
        variables = self.app.theme_variables
        with self.prevent(DataTable.RowHighlighted):
            self.clear(columns=True)
            self.add_column(" ", key=MARK)
            for name, head in heads.items():
                self.add_column(head, key=name)
            for key, row in cells.items():
                mark = text_of([self._marks.get(key, BLANK)], variables)
                self.add_row(mark, *(text_of([cell], variables) for cell in row), key=key)
            keys = [*cells]
            if chosen in cells:
                self.move_cursor(row=keys.index(chosen))
            elif keys:
                self.move_cursor(row=min(place, len(keys) - 1))

    def _update_dimensions(self, new_rows: Iterable[RowKey]) -> None:
        """Measure one row: all cells of a column have the width of the column.

        Measuring 2,000 rows takes as long as adding them.
        """
        super()._update_dimensions([*new_rows][:1])

    def _update_cells(self, cells: dict[str, tuple[Cell, ...]]) -> None:
        variables = self.app.theme_variables
        for key, row in cells.items():
            before = self._cells[key]
            for name, cell, old in zip(self._heads, row, before, strict=True):
                if cell != old:
                    self.update_cell(key, name, text_of([cell], variables))
        self._cells = cells

    def show_marks(self, marks: Mapping[str, Cell]) -> None:
        """Show the glyphs of the marked rows, by their keys."""
        before, self._marks = self._marks, dict(marks)
        for key in before.keys() | self._marks.keys():
            cell = self._marks.get(key, BLANK)
            if key in self._cells and cell != before.get(key, BLANK):
                self.update_cell(key, MARK, text_of([cell], self.app.theme_variables))


class RunsTable(KeyedTable):
    """The table of the Runs screen."""

    BINDINGS: ClassVar[list[BindingType]] = [*TABLE_KEYS]
