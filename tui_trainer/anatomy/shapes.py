"""How reshaping, permuting, slicing and padding propagate receptive fields."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from math import prod
from typing import Any

from torch import Tensor

from tui_trainer.anatomy.calls import Call, from_end
from tui_trainer.anatomy.field import Axis, Field, Undefined, join
from tui_trainer.anatomy.propagation import no_field, unless_along

Shape = tuple[int, ...]


apart = unless_along("it concatenates or splits along rows, columns or a flattened map", 0)
"""Propagates through a concatenation or a split."""


def stacked(call: Call) -> Field:
    """Propagate through a stack, which adds a dimension."""
    dim = from_end(call.arguments.get("dim", 0), len(call.result))

    def seen(axis: Axis) -> Axis:
        return replace(axis, dim=axis.dim - 1) if axis.dim <= dim else axis

    return join(call.fields).each(seen)


def unbound(call: Call) -> Field:
    """Propagate through ``unbind``, which removes a dimension."""
    dim = from_end(call.arguments.get("dim", 0), len(call.shapes[0]))
    if any(axis.dim == dim and axis.features > 1 for axis in call.fields[0].axes):
        raise Undefined("it unbinds rows, columns or a flattened map")
    return _part(call, dim, 0)


def selected(call: Call) -> Field:
    """Propagate through ``select(dim, index)`` or ``narrow(dim, start, length)``."""
    named = call.arguments
    part: Any = int(named["start"])
    if "length" in named:
        part = slice(part, part + int(named["length"]))
    return _part(call, from_end(named["dim"], len(call.shapes[0])), part)


def _part(call: Call, dim: int, part: Any) -> Field:
    index = [slice(None)] * len(call.shapes[0])
    index[dim] = part
    return _indexed(call.fields[0], call.shapes[0], tuple(index))


def reshaped(call: Call) -> Field:
    """Propagate through a view, a flatten and the like, which keep the order of the values.

    Raises:
        Undefined: If it splits the dimension of the rows or columns.
    """
    old, new = call.shapes[0], call.result

    def seen(axis: Axis) -> Axis:
        if axis.features == 1:
            return axis
        step = axis.inner * prod(old[axis.dim :][1:])  # between neighbors, in memory order
        length = step * axis.features
        for dim in range(-len(new), 0):
            within = prod(new[dim:][1:])
            if step % within == 0 and within * new[dim] % length == 0:
                return replace(axis, dim=dim, inner=step // within)
        raise Undefined("it splits the rows or the columns")

    return call.fields[0].each(seen)


def permuted(call: Call) -> Field:
    """Propagate through ``permute``."""
    return _reordered(call, [int(dim) for dim in call.arguments["rest"]])


def transposed(call: Call) -> Field:
    """Propagate through ``transpose``."""
    order = list(range(len(call.shapes[0])))
    one, other = call.arguments.get("dim0", -2), call.arguments.get("dim1", -1)
    order[one], order[other] = order[other], order[one]
    return _reordered(call, order)


def moved(call: Call) -> Field:
    """Propagate through ``movedim``."""
    count = len(call.shapes[0])
    pairs = []
    for key in ("source", "destination"):
        dims = call.arguments[key]
        pairs.append([d % count for d in ((dims,) if isinstance(dims, int) else dims)])
    sources, goals = pairs
    rest = iter([dim for dim in range(count) if dim not in sources])
    placed = dict(zip(goals, sources, strict=True))
    return _reordered(call, [placed[at] if at in placed else next(rest) for at in range(count)])


def _reordered(call: Call, order: Sequence[int]) -> Field:
    count = len(order)
    positions = {from_end(old, count): new - count for new, old in enumerate(order)}
    return call.fields[0].each(lambda axis: replace(axis, dim=positions.get(axis.dim, axis.dim)))


def padded(call: Call) -> Field:
    """Propagate through padding, which crops where it is negative.

    Raises:
        Undefined: If the map is flattened.
    """
    if call.arguments.get("mode") == "circular":
        return no_field("circular padding reads from the opposite edge of the map")(call)
    pad, old, new = call.arguments["pad"], call.shapes[0], call.result

    def seen(axis: Axis) -> Axis:
        position = 2 * (-axis.dim - 1)
        before, behind = pad[position : position + 2] if position + 1 < len(pad) else (0, 0)
        if (not before and not behind) or (axis.features == 1 and old[axis.dim] > 1):
            return axis
        if not axis.is_whole(old):
            raise Undefined("it pads a flattened map")
        return axis.through(1, 1, int(before), 1, features=new[axis.dim])

    return call.fields[0].each(seen)


def taken(call: Call) -> Field:
    """Propagate through indexing."""
    return _indexed(call.fields[0], call.shapes[0], call.arguments["index"])


def _indexed(field: Field, shape: Shape, index: Any) -> Field:
    """Return a field after indexing, as in ``map[:, :, ::2, ::2]``.

    Raises:
        Undefined: If rows or columns are indexed by anything but integers and slices, or if a
            flattened map is sliced.
    """
    if all(axis.features == 1 for axis in field.axes):
        return field
    items = list(index) if isinstance(index, tuple) else [index]
    lists = [item for item in items if _is_list(item)]
    rest = tuple(item for item in items if not _is_list(item))
    if len(lists) > 1 or not is_plain(rest):
        raise Undefined("it selects single features")
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
    """Return whether an index is a list or a one-dimensional tensor."""
    return isinstance(item, list) or (isinstance(item, Tensor) and item.dim() == 1)


def is_plain(index: Any) -> bool:
    """Return whether an index contains only integers, slices, ``...`` and None."""
    items = index if isinstance(index, tuple) else (index,)
    return all(item is None or item is ... or type(item) in (int, slice) for item in items)


def _cut(axis: Axis, dim: int, positions: range | None, shape: Shape) -> Axis:
    """Return an axis after slicing its dimension; ``positions`` is None for single features."""
    if axis.features == 1 or positions == range(shape[axis.dim]):
        return replace(axis, dim=dim)
    if positions is None:
        raise Undefined("it selects single features")
    if not axis.is_whole(shape):
        raise Undefined("it slices a flattened map")
    reach = axis.reach
    start = reach.start + positions.start * reach.jump
    return Axis(replace(reach, jump=reach.jump * positions.step, start=start), len(positions), dim)
