"""The layer table of the Model screen, its totals, and a line about the chosen layer."""

from __future__ import annotations

from typing import ClassVar

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Vertical
from textual.message import Message
from textual.widgets import DataTable

from tui_trainer.protocol.layers import BUDGET, LayerRow, blocks, totals
from tui_trainer.render.layer_cells import Scale, titles, total_cells
from tui_trainer.render.layer_rows import (
    Layout,
    TableRow,
    head_texts,
    layer_summary,
    layout,
    row_pieces,
    table_rows,
)
from tui_trainer.text import fmt
from tui_trainer.text.fmt import Cell
from tui_trainer.ui.keys.keymap import LAYER_KEYS
from tui_trainer.ui.widgets.cell_line import ShownLine
from tui_trainer.ui.widgets.painting import text_of

GAP = 2
"""Spaces between two columns."""

SCROLLBAR = 1


class LayersTable(DataTable[Text]):
    """The rows of the layer table."""

    BINDINGS: ClassVar[list[BindingType]] = [*LAYER_KEYS]


class ModelTable(Vertical):
    """The layers in foldable blocks; the totals below stay visible."""

    DEFAULT_CSS = """
    ModelTable {
        border: round $role-border;
        border-title-color: $role-title;
        border-subtitle-color: $role-muted;
    }
    ModelTable:focus-within { border: round $primary; }
    ModelTable LayersTable {
        height: 1fr;
        background: $background;
        background-tint: $background 0%;
        scrollbar-size-vertical: 1;
        scrollbar-size-horizontal: 0;
    }
    ModelTable #totals { background: $surface; }
    ModelTable #about-layer { padding: 0 1; }
    """

    class Chosen(Message):
        """The cursor is on another layer."""

    def __init__(self, *, id: str) -> None:  # noqa: A002
        super().__init__(id=id)
        self.border_title = "layers"
        self._rows: tuple[LayerRow, ...] = ()
        self._batch_size = 1
        self._budget = BUDGET
        self._folded: set[int] = set()
        self._shown: list[TableRow] = []
        self._place = 0

    def compose(self) -> ComposeResult:
        """The table, its totals, and a line about the layer under the cursor."""
        yield LayersTable(id="layers-table", cursor_type="row", cell_padding=GAP // 2)
        yield ShownLine(id="totals")
        yield ShownLine(id="about-layer")

    def on_mount(self) -> None:
        """Repaint when the theme changes."""
        self.app.theme_changed_signal.subscribe(self, lambda _: self._fill())

    def on_resize(self) -> None:
        """Choose the columns that fit."""
        self._fill()

    def show(self, rows: tuple[LayerRow, ...], batch_size: int, budget: int) -> None:
        """Show the layers of a model, with the memory of a batch of that size."""
        if (rows, batch_size, budget) == (self._rows, self._batch_size, self._budget):
            return
        if rows != self._rows:
            self._folded, self._shown = set(), []
            self._place = min(1, len(rows) - 1)
        self._rows, self._batch_size, self._budget = rows, batch_size, budget
        whole = fmt.plural(totals(rows).parameters, "parameter")
        self.border_subtitle = f"{whole} · memory of a batch of {fmt.count(batch_size)}"
        self._fill()

    @property
    def place(self) -> int:
        """The index of the chosen layer; for a block, of its last layer."""
        return self._place

    @property
    def _table(self) -> LayersTable:
        return self.query_one(LayersTable)

    def move(self, by: int) -> None:
        """Move the cursor by some rows."""
        self._table.move_cursor(row=self._table.cursor_row + by)

    def fold_all(self) -> None:
        """Fold all blocks; unfold them if all are folded."""
        numbers = set(range(len(blocks(self._rows))))
        self._folded = set() if self._folded == numbers else numbers
        self._fill()

    def on_data_table_row_selected(self) -> None:
        """Fold or unfold the block under the cursor."""
        row = self._under_cursor
        if row is not None and row.block is not None:
            self._folded ^= {row.block}
            self._fill()

    def on_data_table_row_highlighted(self) -> None:
        """Show details of the layer under the cursor."""
        row = self._under_cursor
        if row is not None and row.index != self._place:
            self._place = row.index
            self._show_about()
            self.post_message(self.Chosen())

    @property
    def _under_cursor(self) -> TableRow | None:
        place = self._table.cursor_row
        return self._shown[place] if 0 <= place < len(self._shown) else None

    def _fill(self) -> None:
        """Fill the table with the visible rows and the columns that fit."""
        if not self._rows or not self.size.width:
            return
        before = self._under_cursor if self._shown else None
        scale = Scale(self._budget, totals(self._rows).multiply_adds, self._batch_size)
        self._shown = table_rows(self._rows, scale, self._folded)
        sums = total_cells(self._rows, scale)
        texts = [titles(scale), *(row.cells for row in self._shown), sums]
        fitted = layout(texts, self.size.width - SCROLLBAR, GAP)
        self._write(head_texts(titles(scale), fitted), fitted, before)
        share = totals(self._rows).parameters / self._budget
        pieces = row_pieces(sums, share, fitted, is_bold=True)
        blank = Cell(" " * (GAP // 2))
        self.query_one("#totals", ShownLine).show(
            [cell for column in pieces for cell in (blank, *column, blank)]
        )
        self._show_about()

    def _write(self, heads: list[str], fitted: Layout, before: TableRow | None) -> None:
        table, variables = self._table, self.app.theme_variables
        scroll = table.scroll_y
        table.clear(columns=True)
        for head in heads:
            table.add_column(head)
        for row in self._shown:
            columns = row_pieces(row.cells, row.share, fitted, is_bold=row.is_head)
            table.add_row(*(text_of(cells, variables) for cells in columns))
        table.scroll_to(y=scroll, animate=False)
        table.move_cursor(row=self._row_of(before))

    def _row_of(self, before: TableRow | None) -> int:
        """Return the new row of the cursor: its old row, or the folded block that contains it."""
        if before is None:
            return next((y for y, row in enumerate(self._shown) if row.index == self._place), 0)
        keys = [row.key for row in self._shown]
        if before.key in keys:
            return keys.index(before.key)
        heads = [row.block if row.is_head else None for row in self._shown]
        return heads.index(before.block) if before.block in heads else 0

    def _show_about(self) -> None:
        """Show the line about the chosen layer."""
        line = self.query_one("#about-layer", ShownLine)
        line.show(layer_summary(self._rows[self._place], self._budget) if self._rows else ())
