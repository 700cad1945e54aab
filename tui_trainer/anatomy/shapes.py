"""Where the features of a map are in a tensor, and where they go as its shape is changed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from math import prod
from typing import Any

from torch import Tensor

from tui_trainer.anatomy.field import Axis, Field, Undefined

Shape = tuple[int, ...]


def from_end(dim: Any, count: int) -> int:
    """Return a dimension counted from the end (-1 is the last) of so many."""
    return int(dim) - count if dim is not None and dim >= 0 else int(dim or -1)


def dims_of(dim: Any, count: int) -> frozenset[int] | None:
    """Return the dimensions that an argument names, counted from the end; None names them all.

    An argument that is another tensor names none: None is returned.
    """
    if isinstance(dim, Tensor):
        return None
    if dim is None or dim == () or dim == []:
        return frozenset(range(-count, 0))
    return frozenset(from_end(d, count) for d in ((dim,) if isinstance(dim, int) else dim))


def reduced(field: Field, shape: Shape, arguments: Mapping[str, Any]) -> Field:
    """Return a field after a mean, a sum or a maximum over some dimensions."""
    dims = dims_of(arguments.get("dim"), len(shape)) or frozenset()
    kept = arguments.get("keepdim") or arguments.get("keepdims")

    def seen(axis: Axis) -> Axis:
        if axis.dim in dims:
            n = axis.features
            return axis.through(n, n, 0, 1, features=1)
        return axis if kept else replace(axis, dim=axis.dim + sum(d > axis.dim for d in dims))

    return field.each(seen)


def reshaped(field: Field, old: Shape, new: Shape) -> Field:
    """Return a field after a view, a flattening or the like, which keep the values' order.

    Raises:
        Undefined: If a dimension that rows or columns lie in is cut up.
    """

    def seen(axis: Axis) -> Axis:
        if axis.features == 1:
            return axis
        step = axis.inner * prod(old[axis.dim :][1:])  # between neighbours, in memory order
        length = step * axis.features
        for dim in range(-len(new), 0):
            within = prod(new[dim:][1:])
            if step % within == 0 and within * new[dim] % length == 0:
                return replace(axis, dim=dim, inner=step // within)
        raise Undefined("it cuts the rows or the columns up")

    return field.each(seen)


def permuted(field: Field, order: Sequence[int]) -> Field:
    """Return a field after its tensor's dimensions were put into this order."""
    count = len(order)
    places = {from_end(old, count): new - count for new, old in enumerate(order)}
    return field.each(lambda axis: replace(axis, dim=places.get(axis.dim, axis.dim)))


def padded(field: Field, pad: Sequence[int], old: Shape, new: Shape) -> Field:
    """Return a field after features were added around its map, or cut off where pad is negative.

    Args:
        field: What the features saw before.
        pad: Before and behind, for the last dimension first.
        old: The shape before it.
        new: The shape after it.

    Raises:
        Undefined: If the map is flattened.
    """

    def seen(axis: Axis) -> Axis:
        place = 2 * (-axis.dim - 1)
        before, behind = pad[place : place + 2] if place + 1 < len(pad) else (0, 0)
        if (not before and not behind) or (axis.features == 1 and old[axis.dim] > 1):
            return axis
        if not axis.is_whole(old):
            raise Undefined("it adds to a flattened map")
        return axis.through(1, 1, int(before), 1, features=new[axis.dim])

    return field.each(seen)


def indexed(field: Field, shape: Shape, index: Any) -> Field:
    """Return a field after a part of its tensor was taken, as in ``map[:, :, ::2, ::2]``.

    Raises:
        Undefined: If rows or columns are taken by more than whole numbers and slices, or a part of
            a flattened map.
    """
    if all(axis.features == 1 for axis in field.axes):
        return field
    items = list(index) if isinstance(index, tuple) else [index]
    lists = [item for item in items if _is_list(item)]
    rest = tuple(item for item in items if not _is_list(item))
    if len(lists) > 1 or not is_plain(rest):
        raise Undefined("it takes features out one by one")
    named = sum(item is not None and item is not ... for item in items)
    at = next((i for i, item in enumerate(items) if item is ...), len(items))
    items[at : at + 1] = [slice(None)] * (len(shape) - named)
    cuts: dict[int, tuple[int, range | None]] = {}
    old, new, total = 0, 0, sum(not isinstance(item, int) for item in items)
    for item in items:
        if isinstance(item, slice):
            cuts[old - len(shape)] = (new - total, range(*item.indices(shape[old])))
        elif isinstance(item, int):
            first = item % shape[old]
            cuts[old - len(shape)] = (new - total, range(first, first + 1))
        elif item is not None:
            cuts[old - len(shape)] = (new - total, None)
        old += item is not None
        new += not isinstance(item, int)
    return field.each(lambda axis: _cut(axis, *cuts.get(axis.dim, (axis.dim, None)), shape=shape))


def _is_list(item: Any) -> bool:
    """Say whether an index is a list of numbers, one-dimensional."""
    return isinstance(item, list) or (isinstance(item, Tensor) and item.dim() == 1)


def is_plain(index: Any) -> bool:
    """Say whether an index has nothing but whole numbers, slices, ``...`` and None."""
    items = index if isinstance(index, tuple) else (index,)
    return all(item is None or item is ... or type(item) in (int, slice) for item in items)


def _cut(axis: Axis, dim: int, places: range | None, shape: Shape) -> Axis:
    """Return an axis after some places of its dimension were taken; None if one by one."""
    if axis.features == 1 or places == range(shape[axis.dim]):
        return replace(axis, dim=dim)
    if places is None:
        raise Undefined("it takes features out one by one")
    if not axis.is_whole(shape):
        raise Undefined("it takes a part of a flattened map")
    reach = axis.reach
    start = reach.start + places.start * reach.jump
    return Axis(replace(reach, jump=reach.jump * places.step, start=start), len(places), dim)
