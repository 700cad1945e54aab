"""The cells of the layer table, the same in the window and on the command line."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tui_trainer.protocol.layers import LayerRow, shape_text, totals
from tui_trainer.text import fmt


@dataclass(frozen=True, slots=True)
class Column:
    """A column of the layer table.

    Attributes:
        title: Its head.
        is_right: Whether it is right-aligned, like numbers.
        rank: The order in which columns are dropped: the highest first, 0 never.
    """

    title: str
    is_right: bool = True
    rank: int = 0


NAME, KIND, KERNEL, INPUT, OUTPUT, PARAMETERS, SHARE = range(7)
MULTIPLY_ADDS, THEIR_SHARE, MEMORY, FIELD, JUMP, START = range(7, 13)
"""The indices of the columns."""

COLUMNS = (
    Column("layer", is_right=False),
    Column("type", is_right=False),
    Column("kernel", is_right=False, rank=1),
    Column("input", rank=6),
    Column("output"),
    Column("parameters"),
    Column("of {budget}", is_right=False, rank=2),
    Column("multiply-adds", rank=3),
    Column("share", rank=5),
    Column("memory", rank=4),
    Column("field"),
    Column("jump", rank=7),
    Column("start", rank=8),
)


@dataclass(frozen=True, slots=True)
class Scale:
    """What the figures of a table are relative to.

    Attributes:
        budget: The limit on parameters.
        multiply_adds: The multiply-adds of the whole model.
        batch_size: The batch size of the activation memory.
    """

    budget: int
    multiply_adds: int
    batch_size: int


def titles(scale: Scale) -> tuple[str, ...]:
    """Return the heads of the columns."""
    return tuple(column.title.format(budget=fmt.count(scale.budget)) for column in COLUMNS)


def cells(row: LayerRow, scale: Scale) -> tuple[str, ...]:
    """Return a layer as the cells of its row; ``·`` means none, ``—`` undefined."""
    return (
        row.name,
        row.kind_text,
        kernel_text(row),
        shape_text(row.input_shape) if row.input_shape else "·",
        row.shape_text,
        fmt.count(row.parameters) if row.parameters else "·",
        fmt.percent(row.parameters / scale.budget, 1) if row.parameters else "",
        *_costs(row.multiply_adds, row.activation_bytes, scale),
        fmt.field(row.receptive_field),
        _pair(row.jump),
        _pair(row.start),
    )


def total_cells(rows: Sequence[LayerRow], scale: Scale) -> tuple[str, ...]:
    """Return the totals of a table as the cells of its last row."""
    whole = totals(rows)
    return (
        *("total", "", "", "", ""),
        fmt.count(whole.parameters),
        fmt.percent(whole.parameters / scale.budget, 1),
        *_costs(whole.multiply_adds, whole.activation_bytes, scale),
        *(fmt.field(whole.receptive_field), "", ""),
    )


def kernel_text(row: LayerRow) -> str:
    """Return the kernel, and stride, padding and dilation where they are not the default."""
    if row.kernel_size is None:
        return row.kernel
    parts = ["×".join(map(str, row.kernel_size))]
    is_conv = row.kind in ("conv", "depthwise")
    if row.stride is not None and row.stride != ((1, 1) if is_conv else row.kernel_size):
        parts.append(f"/{_pair(row.stride)}")
    if row.padding is not None and row.padding != (0, 0):
        parts.append(f"pad {_pair(row.padding)}")
    if row.dilation is not None and row.dilation != (1, 1):
        parts.append(f"dilated {_pair(row.dilation)}")
    if row.groups > 1 and row.kind != "depthwise":
        parts.append(f"groups {row.groups}")
    return " ".join(parts)


def _costs(multiply_adds: int, activation_bytes: int, scale: Scale) -> tuple[str, str, str]:
    share = multiply_adds / scale.multiply_adds if scale.multiply_adds else 0.0
    return (
        fmt.count(multiply_adds) if multiply_adds else "·",
        fmt.percent(share, 1) if multiply_adds else "",
        fmt.size(activation_bytes * scale.batch_size) if activation_bytes else "·",
    )


def _pair(pair: tuple[float, float] | None) -> str:
    """Return a length down and across, once where they are the same: ``4``, ``0.5×1``."""
    if pair is None:
        return "—"
    down, across = pair
    return f"{down:g}" if down == across else f"{down:g}×{across:g}"
