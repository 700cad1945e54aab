"""The layer table that the course asks for: receptive field, kernel and jump of each layer."""

from __future__ import annotations

from collections.abc import Sequence

from tui_trainer.protocol.exhibit import Table
from tui_trainer.protocol.layers import NO_LAYERS, LayerRow, field_in, jump_in, shape_text, totals
from tui_trainer.text import fmt
from tui_trainer.text.tables import DASH, csv_table

HEADS = (
    *("layer", "type", "input", "output"),
    *("Rin", "K", "S", "P", "D", "Jin", "Jout", "Rout"),
    *("parameters", "multiply-adds"),
)
"""The columns: Rin and Rout are receptive fields, Jin and Jout jumps, before and after the layer;
K, S, P and D are kernel size, stride, padding and dilation."""

CSV_HEADS = (
    *("layer", "type", "kind", "repeats", "input", "output"),
    *("r_in", "k", "s", "p", "d", "j_in", "j_out", "r_out"),
    *("parameters", "multiply_adds", "undefined"),
)
"""The columns of the CSV table; the last one has the reason why a receptive field is undefined."""


def course_table(rows: Sequence[LayerRow], measured: Sequence[str] = ()) -> Table:
    """Return the layer table as text, with the totals as its last row.

    Lengths are in pixels of the image, once where both directions are equal, else down × across.
    A dash stands for a value that a layer does not have, or that is undefined.

    Args:
        rows: The layers.
        measured: The measured receptive field of each; they are the last column.
    """
    whole = totals(rows)
    last = ["total", *[""] * (len(HEADS) - 1)]
    last[HEADS.index("Rout")] = _pair(whole.receptive_field)
    last[-2:] = fmt.count(whole.parameters), fmt.count(whole.multiply_adds)
    lines = [*(_cells(row, rows) for row in rows), tuple(last)]
    if not measured:
        return Table(caption="Layers", heads=HEADS, rows=tuple(lines))
    return Table(
        caption="Layers",
        heads=(*HEADS, "measured"),
        rows=tuple((*line, field) for line, field in zip(lines, (*measured, ""), strict=True)),
    )


def _cells(row: LayerRow, rows: Sequence[LayerRow]) -> tuple[str, ...]:
    is_used = row.kind not in NO_LAYERS
    return (
        row.name,
        row.kind_text,
        shape_text(row.input_shape) if row.input_shape else DASH,
        row.shape_text if is_used else DASH,
        *(_pair(pair) for pair in _window(row, rows)),
        fmt.count(row.parameters),
        fmt.count(row.multiply_adds),
    )


def _window(row: LayerRow, rows: Sequence[LayerRow]) -> tuple[tuple[int, int] | None, ...]:
    """Return the pairs of the eight columns from Rin to Rout."""
    return (
        field_in(row, rows),
        *(row.kernel_size, row.stride, row.padding, row.dilation),
        *(jump_in(row, rows), row.jump, row.receptive_field),
    )


def _pair(pair: tuple[int, int] | None, times: str = "×", missing: str = DASH) -> str:
    if pair is None:
        return missing
    down, across = pair
    return str(down) if down == across else f"{down}{times}{across}"


def course_csv(rows: Sequence[LayerRow], measured: Sequence[str] = ()) -> str:
    """Return the layer table as CSV, without totals: plain numbers, nothing for a missing value.

    Shapes and pairs are joined by ``x``: a spreadsheet that expects no UTF-8 reads them, too.

    Args:
        rows: The layers.
        measured: The measured receptive field of each; they are the last column.
    """
    lines = [_csv_cells(row, rows) for row in rows]
    if not measured:
        return csv_table(CSV_HEADS, lines)
    fields = [text.replace("×", "x").replace(DASH, "") for text in measured]
    longer = [(*line, field) for line, field in zip(lines, fields, strict=True)]
    return csv_table((*CSV_HEADS, "measured"), longer)


def _csv_cells(row: LayerRow, rows: Sequence[LayerRow]) -> tuple[object, ...]:
    shapes = (row.input_shape, None if row.kind in NO_LAYERS else row.output_shape)
    return (
        *(row.name, row.type or row.kind, row.kind, row.repeats),
        *("x".join(map(str, shape)) if shape else "" for shape in shapes),
        *(_pair(pair, "x", "") for pair in _window(row, rows)),
        *(row.parameters, row.multiply_adds, row.undefined),
    )
