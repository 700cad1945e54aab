"""Comparison of the table's receptive fields with measured ones."""

from __future__ import annotations

from torch import Tensor, nn

from tests.anatomy.networks import SHAPE
from tui_trainer.anatomy.measured import measured_field
from tui_trainer.anatomy.table import layer_table
from tui_trainer.protocol.layers import Box, LayerRow


def places(row: LayerRow) -> set[tuple[int, int]]:
    """Return the first, last and center feature; only the center where no kernel slides."""
    height, width, _ = row.output_shape
    middle = (height // 2, width // 2)
    return {middle} if row.kernel_size is None else {(0, 0), middle, (height - 1, width - 1)}


def bounds(seen: Tensor) -> Box | None:
    """Return the bounding box of the seen pixels; None if there are none."""
    down, across = seen.nonzero(as_tuple=True)
    if not len(down):
        return None
    top, left, bottom, right = down.min(), across.min(), down.max() + 1, across.max() + 1
    return Box(float(top), float(left), float(bottom), float(right))


def on_padding_alone(rows: tuple[LayerRow, ...], place: int, at: tuple[int, int]) -> bool:
    """Return whether a feature's kernel covers only padding."""
    row = rows[place]
    while row.kernel_size is None:
        if row.kind == "pad":
            return True
        (before,) = row.sources
        row = rows[before]
    assert row.input_shape is not None
    assert row.stride is not None
    assert row.padding is not None
    assert row.dilation is not None
    for i in range(2):
        first = at[i] * row.stride[i] - row.padding[i]
        last = first + row.dilation[i] * (row.kernel_size[i] - 1)
        if last < 0 or first >= row.input_shape[i]:
            return True
    return False


def assert_arithmetic_is_measured(model: nn.Module, shape: tuple[int, int, int] = SHAPE) -> int:
    """Compare each row's box with the pixels that have a gradient."""
    rows = layer_table(model, shape)
    compared = 0
    for place, row in enumerate(rows):
        for at in places(row):
            box, seen = row.box(*at), bounds(measured_field(model, shape, place, *at))
            assert box is not None, row
            if seen is None:
                assert on_padding_alone(rows, place, at), row
                continue
            assert seen == box.within(*shape[:2]), (row, at)
            compared += 1
    return compared
