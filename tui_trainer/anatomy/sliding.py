"""How kernels slide, patches are cut and maps are resized, along each dimension of a tensor."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
import torch.nn.functional as F

from tui_trainer.anatomy.field import Axis, Field, Undefined

Shape = tuple[int, ...]

Steps = tuple[int, int, int, int]
"""Kernel, stride, padding before the first feature, and dilation, along one dimension."""


def slid(
    field: Field,
    old: Shape,
    new: Shape,
    steps: Mapping[int, Steps | None],
    *,
    mixes_channels: bool = False,
    groups: int = 1,
) -> Field:
    """Return a field after a kernel has slid over a tensor's last dimensions.

    Args:
        field: What the features saw before.
        old: The shape before it.
        new: The shape after it.
        steps: Along each dimension that it slides over, counted from the end; None if it leaves
            there more places than it found.
        mixes_channels: Whether each feature reads all channels: a convolution, no pool.
        groups: Into how many groups the channels are split.

    Raises:
        Undefined: If rows or columns lie where it cannot slide over them.
    """
    channels = -len(steps) - 1

    def seen(axis: Axis) -> Axis:
        if axis.features == 1 and (axis.dim not in steps or old[axis.dim] > 1):
            return axis
        if axis.dim in steps:
            if not axis.is_whole(old):
                raise Undefined("it slides along a two-dimensional map that was flattened")
            step = steps[axis.dim]
            if step is not None:
                return axis.through(*step, features=new[axis.dim])
            if axis.features > 1:
                raise Undefined(larger(old[channels + 1 :], new[channels + 1 :]))
            return axis
        if axis.dim == channels and mixes_channels:
            if groups > 1:
                raise Undefined("each of its groups reads a part of the rows or columns")
            return axis.mixed()
        return axis

    return field.each(seen)


def along_each(dims: int, *values: Any) -> list[Any]:
    """Return the values along each of the last dimensions: ``2`` or ``(2, 3)`` for each."""
    spread = [
        (value,) * dims
        if isinstance(value, int)
        else tuple(int(v) for v in value) * (dims if len(value) == 1 else 1)
        for value in values
    ]
    return list(zip(*spread, strict=True))


def larger(old: Shape, new: Shape) -> str:
    """Return why a map that has grown has no field of one size."""
    return (
        f"it makes the map larger ({_size(old)} to {_size(new)}): the fields of its features are "
        "not evenly spaced"
    )


def resized(field: Field, old: Shape, new: Shape, arguments: Mapping[str, Any]) -> Field:
    """Return a field after ``interpolate``.

    Which features it reads is measured on one dimension after the other: the rules differ with the
    mode, ``align_corners``, ``antialias`` and a scale that is no whole number.

    Raises:
        Undefined: If its features' fields are not of one size and evenly spaced.
    """
    count = len(old) - 2
    steps: dict[int, Steps | None] = {}
    for dim in range(-count, 0):
        if old[dim] == 1 or not any(a.dim == dim and a.features > 1 for a in field.axes):
            steps[dim] = (1, 1, 0, 1) if old[dim] == new[dim] else None
            continue
        steps[dim] = evenly(_read_by(arguments, old[dim], new[dim], dim + count, count), old[dim])
        if steps[dim] is None and new[dim] <= old[dim]:
            raise Undefined(
                f"it resizes {_size(old[2:])} to {_size(new[2:])}: the fields of its features "
                "are not of one size, or not evenly spaced"
            )
    return slid(field, old, new, steps)


def pooled_to(old: int, new: int) -> Steps | None:
    """Return how an adaptive pool slides along a dimension; None if its windows differ."""
    reads = [(i * old // new, -(-(i + 1) * old // new) - 1) for i in range(new)]
    return evenly(reads, old)


def evenly(reads: Sequence[tuple[int, int]], length: int) -> Steps | None:
    """Return the kernel that reads from the first to the last feature at each place, if one does.

    At a map's ends a kernel may be cut off.
    """
    middle = len(reads) // 2
    low, high = reads[middle]
    stride = reads[middle][0] - reads[middle - 1][0] if len(reads) > 1 else length
    first = low - middle * stride
    kernel = high - low + 1
    for place, read in enumerate(reads):
        start = first + place * stride
        if read != (max(0, start), min(length, start + kernel) - 1):
            return None
    return (kernel, stride, -first, 1) if stride > 0 else None


def _read_by(
    arguments: Mapping[str, Any], old: int, new: int, place: int, count: int
) -> list[tuple[int, int]]:
    """Return the first and the last feature that ``interpolate`` reads, for each of its places."""
    mode = {"trilinear": "linear"}.get(arguments.get("mode", "nearest"), arguments.get("mode"))
    is_flat = mode in ("bilinear", "bicubic")
    one = (1,) if is_flat else ()
    scale = arguments.get("scale_factor")
    scales = scale if isinstance(scale, (tuple, list)) else (scale,) * count
    how = {key: arguments.get(key) for key in ("align_corners", "recompute_scale_factor")}
    factor: Any = scales[place]
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
    return "×".join(map(str, sides))
