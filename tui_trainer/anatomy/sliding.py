"""How convolutions, pools, patches and interpolation propagate fields along each dimension."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
import torch.nn.functional as F

from tui_trainer.anatomy.calls import Call, dims_of, from_end
from tui_trainer.anatomy.field import Axis, Field, Undefined

Pair = tuple[int, int]
Shape = tuple[int, ...]

Steps = tuple[int, int, int, int]
"""Kernel, stride, padding before the first feature, and dilation, along one dimension."""


@dataclass(frozen=True, slots=True)
class Window:
    """A kernel and how it slides; pairs are down, then across.

    Attributes:
        kernel: Its height and width.
        stride: The distance between two of its positions.
        padding: The padding before the map's first row and column.
        dilation: The distance between two of its weights.
    """

    kernel: Pair
    stride: Pair
    padding: Pair = (0, 0)
    dilation: Pair = (1, 1)

    @property
    def steps(self) -> tuple[tuple[int, int, int, int], tuple[int, int, int, int]]:
        """Kernel, stride, padding and dilation, down and across."""
        down, across = zip(self.kernel, self.stride, self.padding, self.dilation, strict=True)
        return down, across

    def unreached(self, size: Pair, positions: Pair) -> Pair:
        """Return the number of last rows and columns of the map that the kernel never reads.

        Args:
            size: Rows and columns of the map.
            positions: The number of kernel positions down and across.
        """
        left = []
        for (kernel, stride, before, dilation), length, count in zip(
            self.steps, size, positions, strict=True
        ):
            end = (count - 1) * stride + dilation * (kernel - 1) + 1 - before
            left.append(max(0, length - end))
        return left[0], left[1]


def slid(
    field: Field, old: Shape, new: Shape, steps: Sequence[Steps | None], *, groups: int = 0
) -> Field:
    """Return a field after a kernel slides over a tensor's last dimensions.

    Args:
        field: The field of the input.
        old: The shape of the input.
        new: The shape of the result.
        steps: The steps along each of the last dimensions; None where the result is larger.
        groups: The groups of a convolution; 0 for a pool, whose features read one channel each.

    Raises:
        Undefined: If rows or columns lie where the kernel cannot slide over them.
    """
    channels = -len(steps) - 1

    def seen(axis: Axis) -> Axis:
        is_along = channels < axis.dim
        if axis.features == 1 and not (is_along and old[axis.dim] == 1):
            return axis
        if is_along:
            if not axis.is_whole(old):
                raise Undefined("it slides over a flattened two-dimensional map")
            step = steps[axis.dim]
            if step is not None:
                return axis.through(*step, features=new[axis.dim])
            if axis.features > 1:
                raise Undefined(_larger(old[channels + 1 :], new[channels + 1 :]))
            return axis
        if axis.dim == channels and groups:
            if groups > 1:
                raise Undefined("each of its groups reads only some rows or columns")
            return axis.mixed()
        return axis

    return field.each(seen)


def along_each(dims: int, *values: Any) -> list[Any]:
    """Return the values per dimension: ``2`` stands for all dimensions, ``(2, 3)`` for each."""
    spread = [
        (value,) * dims
        if isinstance(value, int)
        else tuple(int(v) for v in value) * (dims if len(value) == 1 else 1)
        for value in values
    ]
    return list(zip(*spread, strict=True))


def steps_of(arguments: Mapping[str, Any], dims: int) -> list[Steps]:
    """Return how the kernel of a convolution or a pool slides along each dimension."""
    is_pool = "kernel_size" in arguments
    kernel = arguments["kernel_size"] if is_pool else tuple(arguments["weight"].shape[2:])
    stride = arguments.get("stride") or (kernel if is_pool else 1)
    padding, dilation = arguments.get("padding", 0), arguments.get("dilation", 1)
    if padding == "same":  # torch adds an odd extra pixel at the end
        padding = tuple(d * (k - 1) // 2 for k, d in along_each(dims, kernel, dilation))
    elif padding == "valid":
        padding = 0
    return along_each(dims, kernel, stride, padding, dilation)


def steps_to_size(call: Call) -> list[Steps | None]:
    """Return how an adaptive pool slides along each dimension."""
    sides = zip(call.shapes[0][-call.dims :], call.result[-call.dims :], strict=True)
    return [pooled_to(old, new) for old, new in sides]


def sliding_window(call: Call) -> Window:
    """Return the kernel of a two-dimensional convolution or pool."""
    return Window(*zip(*steps_of(call.arguments, 2), strict=True))


def adaptive_window(call: Call) -> Window | None:
    """Return the kernel of an adaptive pool; None if its windows differ in size or spacing."""
    steps = steps_to_size(call)
    return None if None in steps else Window(*zip(*filter(None, steps), strict=True))


def reduced_window(call: Call) -> Window | None:
    """Return the kernel of a mean over rows and columns; None for other dimensions."""
    dims = dims_of(call.arguments.get("dim"), len(call.shapes[0]))
    field = call.fields[0] if call.fields else None
    if dims is None or field is None or field.down.dim == field.across.dim:
        return None
    down, across = (axis.features if axis.dim in dims else 1 for axis in field.axes)
    over = any(axis.dim in dims for axis in field.axes)
    return Window((down, across), (down, across)) if over else None


# --- propagation


def slides(call: Call) -> Field:
    """Propagate through a convolution or a pool over the last dimensions."""
    return _slid(call, steps_of(call.arguments, call.dims))


def slides_upwards(call: Call) -> Field:
    """Propagate through a transposed convolution; with stride 1 it is an ordinary convolution."""
    steps = steps_of(call.arguments, call.dims)
    return _slid(call, [(k, 1, d * (k - 1) - p, d) if s == 1 else None for k, s, p, d in steps])


def slides_to_size(call: Call) -> Field:
    """Propagate through an adaptive pool."""
    steps = steps_to_size(call)
    old, new = call.shapes[0][-call.dims :], call.result[-call.dims :]
    if any(step is None and b <= a for step, a, b in zip(steps, old, new, strict=True)):
        raise Undefined(f"{_size(old)} features do not divide evenly into {_size(new)}")
    return _slid(call, steps)


def _slid(call: Call, steps: Sequence[Steps | None]) -> Field:
    if len(call.fields) > 1:
        raise Undefined("its weights depend on the image")
    groups = int(call.arguments.get("groups", 1)) if call.is_convolution else 0
    return slid(call.fields[0], call.shapes[0], call.result, steps, groups=groups)


def interpolated(call: Call) -> Field:
    """Propagate through ``interpolate``.

    The features it reads are measured along each dimension, because they depend on the mode,
    ``align_corners``, ``antialias`` and a fractional scale.

    Raises:
        Undefined: If the fields of its features differ in size or are not evenly spaced.
    """
    field, old, new = call.fields[0], call.shapes[0], call.result
    count = len(old) - 2
    steps: list[Steps | None] = []
    for dim in range(-count, 0):
        if old[dim] == 1 or not any(a.dim == dim and a.features > 1 for a in field.axes):
            steps.append((1, 1, 0, 1) if old[dim] == new[dim] else None)
            continue
        read = _read_by(call.arguments, old[dim], new[dim], dim + count, count)
        steps.append(evenly(read, old[dim]))
        if steps[-1] is None and new[dim] <= old[dim]:
            raise Undefined(
                f"it resizes {_size(old[2:])} to {_size(new[2:])}: the fields of its features "
                "differ in size, or are not evenly spaced"
            )
    return slid(field, old, new, steps)


def unshuffled(call: Call) -> Field:
    """Propagate through ``pixel_unshuffle`` (space to depth): blocks of pixels become channels."""
    factor = int(call.arguments["factor"])
    return _slid(call, [(factor, factor, 0, 1)] * 2)


def shuffled(call: Call) -> Field:
    """Reject ``pixel_shuffle`` (depth to space): neighbors share a position of the smaller map."""
    field = call.fields[0]
    if any(axis.features > 1 for axis in field.axes):
        raise Undefined(_larger(call.shapes[0][-2:], call.result[-2:]))
    return field


def unfolded(call: Call) -> Field:
    """Propagate through ``unfold``: patches of a map, or windows along a dimension."""
    if "stride" in call.arguments:
        return _patches(call)
    dim, size, step = (int(call.arguments[key]) for key in ("kernel_size", "dilation", "padding"))
    dim = from_end(dim, len(call.shapes[0]))

    def seen(axis: Axis) -> Axis:
        moved = replace(axis, dim=axis.dim - 1)  # the window is the new last dimension
        if axis.dim != dim or axis.features == 1:
            return moved
        if not axis.is_whole(call.shapes[0]):
            raise Undefined("it extracts windows from a flattened map")
        return moved.through(size, step, 0, 1, features=call.result[dim - 1])

    return call.fields[0].each(seen)


def _patches(call: Call) -> Field:
    shape = call.shapes[0]
    steps = steps_of(call.arguments, 2)
    sides = [
        (length + 2 * before - dilation * (kernel - 1) - 1) // stride + 1
        for length, (kernel, stride, before, dilation) in zip(shape[-2:], steps, strict=True)
    ]
    moved = slid(call.fields[0], shape, (*shape[:-2], *sides), steps)
    return Field(replace(moved.down, dim=-1, inner=sides[1]), replace(moved.across, dim=-1))


def _larger(old: Shape, new: Shape) -> str:
    """Return why an enlarged map has no receptive field of one size."""
    return (
        f"it makes the map larger ({_size(old)} to {_size(new)}): the fields of its features are "
        "not evenly spaced"
    )


def pooled_to(old: int, new: int) -> Steps | None:
    """Return how an adaptive pool slides along a dimension; None if its windows differ."""
    reads = [(i * old // new, -(-(i + 1) * old // new) - 1) for i in range(new)]
    return evenly(reads, old)


def evenly(reads: Sequence[tuple[int, int]], length: int) -> Steps | None:
    """Return the kernel that reads these ranges of features, one per position; None if none does.

    The ranges may be clipped at the ends of the map.
    """
    middle = len(reads) // 2
    low, high = reads[middle]
    stride = reads[middle][0] - reads[middle - 1][0] if len(reads) > 1 else length
    first = low - middle * stride
    kernel = high - low + 1
    for position, read in enumerate(reads):
        start = first + position * stride
        if read != (max(0, start), min(length, start + kernel) - 1):
            return None
    return (kernel, stride, -first, 1) if stride > 0 else None


def _read_by(
    arguments: Mapping[str, Any], old: int, new: int, position: int, count: int
) -> list[tuple[int, int]]:
    """Return the first and last feature that ``interpolate`` reads at each output position."""
    mode = {"trilinear": "linear"}.get(arguments.get("mode", "nearest"), arguments.get("mode"))
    is_flat = mode in ("bilinear", "bicubic")
    one = (1,) if is_flat else ()
    scale = arguments.get("scale_factor")
    scales = scale if isinstance(scale, (tuple, list)) else (scale,) * count
    how = {key: arguments.get(key) for key in ("align_corners", "recompute_scale_factor")}
    factor: Any = scales[position]
    with torch.no_grad():
        weights = F.interpolate(
            torch.eye(old, dtype=torch.float64).view(1, old, old, *one),
            size=None if scale is not None else (new, *one),
            scale_factor=None if scale is None else (factor, *one),
            mode=mode or "nearest",
            antialias=bool(arguments.get("antialias")) and is_flat,
            **how,
        )
    is_read = weights.reshape(old, -1) != 0  # (features, places)
    first = is_read.int().argmax(dim=0)
    last = old - 1 - is_read.flip(0).int().argmax(dim=0)
    return list(zip(first.tolist(), last.tolist(), strict=True))


def _size(sides: Shape) -> str:
    """Return the size of a map as text: ``7×7``."""
    return "×".join(map(str, sides))
