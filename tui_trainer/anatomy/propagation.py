"""How each family of torch's functions moves what the features of a map see."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import replace
from typing import Any

from torch import Tensor

from tui_trainer.anatomy.calls import Call, dims_of, from_end, indices_of
from tui_trainer.anatomy.field import Axis, Field, Undefined, join

Propagate = Callable[[Call], Field]


def element_wise(call: Call) -> Field:
    """Move the field as an activation or a sum does."""
    return join(call.fields)


def unknown(call: Call) -> Field:
    """Where all features see the same, no operation can change it; of others nothing is known."""
    return no_field("it is not known what its features see")(call)


def no_field(reason: str) -> Propagate:
    """Return a move that gives a reason, unless all features see the same already."""

    def refuse(call: Call) -> Field:
        if any(axis.features > 1 for field in call.fields for axis in field.axes):
            raise Undefined(reason)
        return join(call.fields)

    return refuse


# --- along dimensions


def reduced(call: Call) -> Field:
    """Move the field as a mean, a sum or a maximum over some dimensions does."""
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
    """Move the field as a fully connected layer does: it mixes the last dimension."""
    return join(call.fields).each(lambda axis: axis.mixed() if axis.dim == -1 else axis)


def multiplied(call: Call) -> Field:
    """Move the field as a product with a matrix of weights does."""
    if len(call.fields) > 1:
        return no_field("it multiplies features by features of other places")(call)
    dims = (-2,) if call.features and call.features[0] in _RIGHT else (-1,)
    lost = len(call.shapes[0]) - len(call.result)  # a vector of weights leaves no dimension

    def seen(axis: Axis) -> Axis:
        if axis.dim in dims:
            return axis.mixed()
        return replace(axis, dim=axis.dim + lost) if lost > 0 else axis

    return call.fields[0].each(seen)


_RIGHT = ("other", "mat2", "vec")
"""The names of the right-hand operand of a product of matrices."""


def summed(call: Call) -> Field:
    """Move the field as an einsum of features and weights does, by the names of the indices."""
    equation, *operands = call.arguments["rest"]
    if len(call.fields) > 1 or not isinstance(equation, str) or "." in equation:
        return no_field("it multiplies features by features of other places")(call)
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
    """Move the field as a softmax does: each value sees its whole dimension."""
    return _spread(call.fields[0], dims_along(call))


def dims_along(call: Call) -> Collection[int]:
    """Return the dimensions, from the end, that a softmax or a normalization is taken over."""
    return dims_of_softmax(call.name, call.arguments, len(call.shapes[0]))


def dims_of_softmax(name: str, arguments: Mapping[str, Any], count: int) -> Collection[int]:
    """Return likewise, for a tensor of so many dimensions."""
    dims = arguments.get("dim", None if "softm" in name else 1)
    if dims is None:  # as torch chooses where none is given
        dims = 0 if count in (0, 1, 3) else 1
    named = dims if isinstance(dims, (tuple, list)) else (dims,)
    return {from_end(dim, count) for dim in named}


def transformed(call: Call) -> Field:
    """Move the field as a Fourier transform over some dimensions does."""
    return _spread(
        call.fields[0], dims_of_transform(call.name, call.arguments, len(call.shapes[0]))
    )


def dims_of_transform(name: str, arguments: Mapping[str, Any], count: int) -> frozenset[int]:
    """Return the dimensions that a transform names, else the last ones: 2 for ``fft2``."""
    last = range(-{"2": 2, "n": count}.get(name[-1], 1), 0)
    return dims_of(arguments.get("dim", tuple(last)), count) or frozenset()


def _spread(field: Field, dims: Collection[int]) -> Field:
    """Return a field after each value came to see all values along some dimensions."""
    return field.each(lambda axis: axis.spread() if axis.dim in dims else axis)


def attended(dims: tuple[int, ...]) -> Propagate:
    """Return how attention between the places along some dimensions moves the field."""

    def move(call: Call) -> Field:
        if is_masked(call.arguments):
            return no_field("its mask hides some places from others")(call)
        return join([_spread(field, dims) for field in call.fields])

    return move


def is_masked(arguments: Mapping[str, Any]) -> bool:
    """Say whether attention hides some places from others."""
    masks = (arguments.get("attn_mask"), arguments.get("key_padding_mask"))
    return any(mask is not None for mask in masks) or bool(arguments.get("is_causal"))


def recurrent(call: Call) -> Field:
    """Move the field as a recurrent layer does, which reads one step after the other."""
    flags = [value for value in call.arguments.values() if isinstance(value, bool)]
    is_packed, is_bidirectional = len(flags) < _FLAGS, flags[2]
    field, shape = call.fields[0], call.shapes[0]
    dim = (0 if is_packed or not flags[-1] else 1) - len(shape)
    if any(axis.dim == dim and axis.features > 1 for axis in field.axes):
        if is_packed or not is_bidirectional:
            raise Undefined("a step sees those before it, and the last one sees them all")
        field = _spread(field, {dim})
    return field.each(lambda axis: axis.mixed() if axis.dim == -1 else axis)


_FLAGS = 4
"""Of a recurrent layer: has_biases, train, bidirectional, batch_first; the last if not packed."""


def unless_along(reason: str, default: Any = -1) -> Propagate:
    """Return a move that gives a reason if it goes along the rows or the columns, else none."""

    def move(call: Call) -> Field:
        named = call.arguments
        given = named.get("dims", named.get("dim", named.get("rest", default)))
        dims = dims_of(given, len(call.shapes[0]))
        field = join(call.fields)
        if any(a.features > 1 and (dims is None or a.dim in dims) for a in field.axes):
            raise Undefined(reason)
        return field

    return move


def repeated(call: Call) -> Field:
    """Move the field as copies behind one another do; of channels they change nothing."""
    named, count = call.arguments, len(call.shapes[0])
    times = tuple(named.get("dims", named.get("sizes", named["rest"])))
    times = (1,) * (count - len(times)) + times
    if any(times[axis.dim] > 1 and axis.features > 1 for axis in call.fields[0].axes):
        raise Undefined("it is not known what its features see: it repeats the map")
    return call.fields[0]
