"""How each family of torch functions propagates receptive fields."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import replace
from typing import Any

from torch import Tensor

from tui_trainer.anatomy.calls import Call, dims_of, from_end, indices_of
from tui_trainer.anatomy.field import Axis, Field, Undefined, join

Propagate = Callable[[Call], Field]


def element_wise(call: Call) -> Field:
    """Propagate through an activation or a sum."""
    return join(call.fields)


def unknown(call: Call) -> Field:
    """Propagate through an unknown function: only safe if all features have the same field."""
    return no_field("the receptive field of its output is unknown")(call)


def no_field(reason: str) -> Propagate:
    """Return a propagation that is undefined, unless all features have the same field already."""

    def refuse(call: Call) -> Field:
        if any(axis.features > 1 for field in call.fields for axis in field.axes):
            raise Undefined(reason)
        return join(call.fields)

    return refuse


# --- along dimensions


def reduced(call: Call) -> Field:
    """Propagate through a mean, a sum or a maximum over some dimensions."""
    named = call.arguments
    if isinstance(named.get("dim"), Tensor):  # torch.max(one, other)
        return element_wise(call)
    dims = dims_of(named.get("dim"), len(call.shapes[0])) or frozenset()
    kept = named.get("keepdim") or named.get("keepdims")

    def seen(axis: Axis) -> Axis:
        if axis.dim in dims:
            n = axis.features
            return axis.through(n, n, 0, 1, features=1)
        return axis if kept else replace(axis, dim=axis.dim + sum(d > axis.dim for d in dims))

    return call.fields[0].each(seen)


def mixes_last(call: Call) -> Field:
    """Propagate through a fully connected layer, which mixes the last dimension."""
    return join(call.fields).each(lambda axis: axis.mixed() if axis.dim == -1 else axis)


def multiplied(call: Call) -> Field:
    """Propagate through a product with a weight matrix."""
    if len(call.fields) > 1:
        return no_field("it multiplies features from different positions")(call)
    dims = (-2,) if call.features and call.features[0] in _RIGHT else (-1,)
    removed = len(call.shapes[0]) - len(call.result)  # a weight vector removes a dimension

    def seen(axis: Axis) -> Axis:
        if axis.dim in dims:
            return axis.mixed()
        return replace(axis, dim=axis.dim + removed) if removed > 0 else axis

    return call.fields[0].each(seen)


_RIGHT = ("other", "mat2", "vec")
"""The names of the right operand of a matrix product."""


def summed(call: Call) -> Field:
    """Propagate through an einsum of features and weights, by its index letters."""
    equation, *operands = call.arguments["rest"]
    if len(call.fields) > 1 or not isinstance(equation, str) or "." in equation:
        return no_field("it multiplies features from different positions")(call)
    terms, output = indices_of(equation)
    of_features = next(
        t for t, o in zip(terms, operands, strict=True) if tuple(o.shape) == call.shapes[0]
    )

    def seen(axis: Axis) -> Axis:
        name = of_features[axis.dim]
        if name not in output:
            return axis.mixed()
        return replace(axis, dim=output.index(name) - len(output))

    return call.fields[0].each(seen)


def along(call: Call) -> Field:
    """Propagate through a softmax: each value depends on its whole dimension."""
    return _spread(call.fields[0], dims_along(call))


def dims_along(call: Call) -> Collection[int]:
    """Return the dimensions, as negative indices, of a softmax or a normalization."""
    return dims_of_softmax(call.name, call.arguments, len(call.shapes[0]))


def dims_of_softmax(name: str, arguments: Mapping[str, Any], count: int) -> Collection[int]:
    """Return the same for a tensor with ``count`` dimensions."""
    dims = arguments.get("dim", None if "softm" in name else 1)
    if dims is None:  # torch's default for softmax
        dims = 0 if count in (0, 1, 3) else 1
    named = dims if isinstance(dims, (tuple, list)) else (dims,)
    return {from_end(dim, count) for dim in named}


def transformed(call: Call) -> Field:
    """Propagate through a Fourier transform over some dimensions."""
    return _spread(
        call.fields[0], dims_of_transform(call.name, call.arguments, len(call.shapes[0]))
    )


def dims_of_transform(name: str, arguments: Mapping[str, Any], count: int) -> frozenset[int]:
    """Return the dimensions that a transform names, by default the last: 2 for ``fft2``."""
    last = range(-{"2": 2, "n": count}.get(name[-1], 1), 0)
    return dims_of(arguments.get("dim", tuple(last)), count) or frozenset()


def _spread(field: Field, dims: Collection[int]) -> Field:
    """Return a field after each value depends on all values along some dimensions."""
    return field.each(lambda axis: axis.spread() if axis.dim in dims else axis)


def attended(dims: tuple[int, ...]) -> Propagate:
    """Return the propagation of attention between the positions along some dimensions."""

    def propagate(call: Call) -> Field:
        if is_masked(call.arguments):
            return no_field("its attention mask differs between positions")(call)
        return join([_spread(field, dims) for field in call.fields])

    return propagate


def is_masked(arguments: Mapping[str, Any]) -> bool:
    """Return whether attention has a mask."""
    masks = (arguments.get("attn_mask"), arguments.get("key_padding_mask"))
    return any(mask is not None for mask in masks) or bool(arguments.get("is_causal"))


def recurrent(call: Call) -> Field:
    """Propagate through a recurrent layer, which reads one step after the other."""
    flags = [value for value in call.arguments.values() if isinstance(value, bool)]
    is_packed, is_bidirectional = len(flags) < _FLAGS, flags[2]
    field, shape = call.fields[0], call.shapes[0]
    dim = (0 if is_packed or not flags[-1] else 1) - len(shape)
    if any(axis.dim == dim and axis.features > 1 for axis in field.axes):
        if is_packed or not is_bidirectional:
            raise Undefined("each step sees all earlier steps")
        field = _spread(field, {dim})
    return field.each(lambda axis: axis.mixed() if axis.dim == -1 else axis)


_FLAGS = 4
"""The flags of a recurrent layer: has_biases, train, bidirectional and, unless packed,
batch_first."""


def unless_along(reason: str, default: Any = -1) -> Propagate:
    """Return a propagation that is undefined along the rows or columns, else the identity."""

    def propagate(call: Call) -> Field:
        named = call.arguments
        given = named.get("dims", named.get("dim", named.get("rest", default)))
        dims = dims_of(given, len(call.shapes[0]))
        field = join(call.fields)
        if any(a.features > 1 and (dims is None or a.dim in dims) for a in field.axes):
            raise Undefined(reason)
        return field

    return propagate


def repeated(call: Call) -> Field:
    """Propagate through repetition; repeated channels change nothing."""
    named, count = call.arguments, len(call.shapes[0])
    times = tuple(named.get("dims", named.get("sizes", named["rest"])))
    times = (1,) * (count - len(times)) + times
    if any(times[axis.dim] > 1 and axis.features > 1 for axis in call.fields[0].axes):
        raise Undefined("it repeats the map")
    return call.fields[0]
