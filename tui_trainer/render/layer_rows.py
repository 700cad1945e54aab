"""The rows of the layer table in collapsible blocks, and the columns that fit."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

from tui_trainer.protocol.layers import Block, LayerRow, blocks, shape_text
from tui_trainer.render.layer_cells import (
    COLUMNS,
    FIELD,
    INPUT,
    JUMP,
    KERNEL,
    KIND,
    MEMORY,
    MULTIPLY_ADDS,
    NAME,
    OUTPUT,
    SHARE,
    START,
    Scale,
    cells,
)
from tui_trainer.text import fmt
from tui_trainer.text.fmt import Cell
from tui_trainer.text.lines import padded

NOT_RECORDED = "–"
"""The cell for what an older version did not record."""

MIN_BAR, MAX_BAR = 5, 24
"""The width of the bar that shows a layer's share of the budget."""

MIN_NAME = 16
"""A longer name is truncated where it would take more than a quarter of the table."""

DROPPED_LAST = (KIND, SHARE, OUTPUT)
"""The columns to drop where even those without a rank do not fit."""


@dataclass(frozen=True, slots=True)
class TableRow:
    """A row on the screen.

    Attributes:
        index: The index of its layer; for a block, of the block's last layer.
        block: The number of the block that it belongs to or heads; None for the input.
        is_head: Whether it is a block's head.
        cells: Its texts, one per column of :data:`tui_trainer.render.layer_cells.COLUMNS`.
        share: Its share of the budget.
    """

    index: int
    block: int | None
    is_head: bool
    cells: tuple[str, ...]
    share: float

    @property
    def key(self) -> tuple[int, bool]:
        """A unique key of the row, whether blocks are collapsed or not."""
        return self.index, self.is_head


def table_rows(rows: Sequence[LayerRow], scale: Scale, folded: Collection[int]) -> list[TableRow]:
    """Return the visible rows.

    Args:
        rows: The layer table, its first row the input.
        scale: What the figures are relative to.
        folded: The numbers of the collapsed blocks.
    """
    if not rows:
        return []
    shown = [TableRow(0, None, False, _mark_missing(cells(rows[0], scale), rows), 0.0)]
    for number, block in enumerate(blocks(rows)):
        shown.append(_head(rows, number, block, scale, is_folded=number in folded))
        if number in folded:
            continue
        for index in block.places:
            texts = list(_mark_missing(cells(rows[index], scale), rows))
            texts[NAME] = f"  {rows[index].name.removeprefix(f'{block.name}.')}"
            share = rows[index].parameters / scale.budget
            shown.append(TableRow(index, number, False, tuple(texts), share))
    return shown


def _head(
    rows: Sequence[LayerRow], number: int, block: Block, scale: Scale, *, is_folded: bool
) -> TableRow:
    """Return a block's head: its input, its output and the sums."""
    inside = [rows[index] for index in block.places]
    last = inside[-1]
    whole = replace(
        last,
        name=f"{'▸' if is_folded else '▾'} {block.name}",
        kind=fmt.plural(len(inside), "layer"),
        kernel="",
        kernel_size=None,
        input_shape=inside[0].input_shape,
        parameters=block.parameters,
        multiply_adds=block.multiply_adds,
    )
    texts = list(_mark_missing(cells(whole, scale), rows))
    memory = sum(row.activation_bytes for row in inside) * scale.batch_size
    texts[MEMORY] = fmt.size(memory) if memory else "·"
    share = block.parameters / scale.budget
    return TableRow(block.places[-1], number, True, tuple(texts), share)


def is_from_older_version(rows: Sequence[LayerRow]) -> bool:
    """Return whether a table was recorded before receptive fields were."""
    return not any(row.receptive_field or row.undefined for row in rows)


def _mark_missing(texts: tuple[str, ...], rows: Sequence[LayerRow]) -> tuple[str, ...]:
    """Return a row's cells; a dash for what an older version did not record."""
    if not is_from_older_version(rows):
        return texts
    not_recorded = (INPUT, MULTIPLY_ADDS, FIELD, JUMP, START)
    return tuple(
        NOT_RECORDED if index in not_recorded else words for index, words in enumerate(texts)
    )


@dataclass(frozen=True, slots=True)
class Layout:
    """The columns that fit: their indices, their widths, and the bar's width; 0 for no bar."""

    kept: tuple[int, ...]
    widths: tuple[int, ...]
    bar: int


def layout(table: Sequence[Sequence[str]], width: int, gap: int) -> Layout:
    """Return the columns that fit into ``width``, each with ``gap`` spaces; the bar takes the rest.

    Args:
        table: The heads, the rows and the totals, all the cells of each; columns beyond those of
            :data:`tui_trainer.render.layer_cells.COLUMNS` are never dropped.
        width: The width of the whole table.
        gap: Spaces around a column.
    """
    widths = [max(map(fmt.columns, column)) for column in zip(*table, strict=True)]
    widths[NAME] = min(widths[NAME], max(MIN_NAME, width // 4))
    figure = max(fmt.columns(row[SHARE]) for row in table[1:]) + 1
    kept = list(range(len(table[0])))
    has_figure = True

    def needed() -> int:
        widths[SHARE] = MIN_BAR + (figure if has_figure else 0)
        return sum(widths[index] + gap for index in kept)

    ranked = [index for index, column in enumerate(COLUMNS) if column.rank]
    for index in sorted(ranked, key=lambda index: -COLUMNS[index].rank):
        if needed() <= width:
            break
        if index == SHARE:
            has_figure = False
        else:
            kept.remove(index)
    for index in DROPPED_LAST:
        if needed() > width:
            kept.remove(index)
    bar = min(MAX_BAR, MIN_BAR + max(0, width - needed())) if SHARE in kept else 0
    widths[SHARE] = bar + (figure if has_figure else 0)
    return Layout(tuple(kept), tuple(widths), bar)


def head_texts(heads: Sequence[str], fitted: Layout) -> list[str]:
    """Return the heads of the kept columns, padded to their widths."""
    named = list(heads)
    if len(named[SHARE]) > fitted.widths[SHARE]:
        named[SHARE] = "share"
    return [_padded(named[index], index, fitted.widths[index]) for index in fitted.kept]


def row_pieces(
    texts: Sequence[str], share: float, fitted: Layout, *, is_bold: bool = False
) -> list[list[Cell]]:
    """Return the kept columns of a row, each as cells that add up to its width."""
    bold = " bold" if is_bold else ""
    pieces: list[list[Cell]] = []
    for index in fitted.kept:
        width = fitted.widths[index]
        if index == SHARE:
            figure = texts[SHARE].rjust(width - fitted.bar) if width > fitted.bar else ""
            bar = fmt.share_bar(share, fitted.bar)
            role = "error" if share > 1 else "train"
            pieces.append([Cell(bar, style=role), Cell(figure, style=f"muted{bold}")])
            continue
        is_quiet = index in (KIND, KERNEL) and not is_bold
        role = "muted" if is_quiet else f"title{bold}"
        pieces.append([Cell(_padded(texts[index], index, width), style=role)])
    return pieces


def _padded(words: str, index: int, width: int) -> str:
    # The columns that a front end adds after those of the table are numbers.
    return padded(words, width, is_right=index >= len(COLUMNS) or COLUMNS[index].is_right)


def layer_summary(row: LayerRow, budget: int) -> list[Cell]:
    """Return a layer in words; what the table also shows is dropped first."""
    kernel = f" {row.kernel.split()[0]}" if row.kernel else ""
    came = f" from {shape_text(row.input_shape)}" if row.input_shape else ""
    parts = [
        Cell(row.name, style="title bold"),
        Cell(f" · {row.kind_text}{kernel}", rank=4),
        Cell(f"{came} to {row.shape_text}", rank=5),
    ]
    if row.parameters:
        share = f"{fmt.percent(row.parameters / budget, 0)} of {fmt.count(budget)}"
        parts.append(Cell(f" · {fmt.plural(row.parameters, 'parameter')} ({share})", rank=6))
    if any(row.unused):
        unread = " and ".join(
            f"the last {noun}" if number == 1 else f"the last {fmt.plural(number, noun)}"
            for number, noun in zip(row.unused, ("row", "column"), strict=True)
            if number
        )
        parts.append(Cell(f" · never reads {unread} of its input", rank=2, style="warning"))
    return [*parts, *_receptive_field_cells(row)]


def _receptive_field_cells(row: LayerRow) -> list[Cell]:
    """Return the receptive field in words."""
    if row.receptive_field is None:
        if not row.undefined:
            return [Cell(" · its receptive field was not recorded", rank=1, style="muted")]
        return [Cell(f" · no receptive field: {row.undefined}", style="warning")]
    parts = [Cell(f" · receptive field {fmt.field(row.receptive_field)} pixels", rank=1)]
    height, width, _ = row.output_shape
    if row.jump is not None and (height, width) != (1, 1):
        down, across = row.jump
        jump = fmt.plural(down, "pixel") if down == across else f"{down}×{across} pixels"
        parts.append(Cell(f", jump {jump}", rank=3))
    return parts
