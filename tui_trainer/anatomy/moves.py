"""How each family of torch's functions moves what the features of a map see."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any

from torch import Tensor

from tui_trainer.anatomy import shapes
from tui_trainer.anatomy.calls import Call
from tui_trainer.anatomy.field import Axis, Field, Undefined, join
from tui_trainer.anatomy.sliding import Steps, larger, resized, size, slid, steps_of, steps_to_size

Moves = Callable[[Call], Field]


def element_wise(call: Call) -> Field:
    """Move the field as an activation or a sum does."""
    return join(call.fields)


def unknown(call: Call) -> Field:
    """Where all features see the same, no operation can change it; of others nothing is known."""
    return no_field("it is not known what its features see")(call)


def no_field(reason: str) -> Moves:
    """Return a move that gives a reason, unless all features see the same already."""

    def refuse(call: Call) -> Field:
        if any(axis.features > 1 for field in call.fields for axis in field.axes):
            raise Undefined(reason)
        return join(call.fields)

    return refuse


# --- kernels


def slides(call: Call) -> Field:
    """Move the field as a convolution or a pool does that slides over the last dimensions."""
    return _slid(call, steps_of(call.arguments, call.dims))


def slides_upwards(call: Call) -> Field:
    """Move the field as a transposed convolution: with a stride of 1 it is one as any other."""
    steps = steps_of(call.arguments, call.dims)
    return _slid(call, [(k, 1, d * (k - 1) - p, d) if s == 1 else None for k, s, p, d in steps])


def slides_to_size(call: Call) -> Field:
    """Move the field as a pool does that is given the size of its output."""
    steps = steps_to_size(call)
    old, new = call.shapes[0][-call.dims :], call.result[-call.dims :]
    if any(step is None and b <= a for step, a, b in zip(steps, old, new, strict=True)):
        raise Undefined(f"{size(old)} features do not divide into {size(new)} places")
    return _slid(call, steps)


def _slid(call: Call, steps: Sequence[Steps | None]) -> Field:
    if len(call.fields) > 1:
        raise Undefined("its weights depend on the image")
    groups = int(call.arguments.get("groups", 1)) if call.is_convolution else 0
    return slid(call.fields[0], call.shapes[0], call.result, steps, groups=groups)


def interpolated(call: Call) -> Field:
    """Move the field as a change of the map's size does."""
    return resized(call.fields[0], call.shapes[0], call.result, call.arguments)


def unshuffled(call: Call) -> Field:
    """Move the field as space to depth does: a place has all channels of so many pixels."""
    factor = int(call.arguments["factor"])
    return _slid(call, [(factor, factor, 0, 1)] * 2)


def shuffled(call: Call) -> Field:
    """Refuse depth to space: neighbours come from the same place of the smaller map."""
    field = call.fields[0]
    if any(axis.features > 1 for axis in field.axes):
        raise Undefined(larger(call.shapes[0][-2:], call.result[-2:]))
    return field


def unfolded(call: Call) -> Field:
    """Move the field as ``unfold`` does: patches of a map, or windows along a dimension."""
    if "stride" in call.arguments:
        return _patches(call)
    dim, size, step = (int(call.arguments[key]) for key in ("kernel_size", "dilation", "padding"))
    dim = shapes.from_end(dim, len(call.shapes[0]))

    def seen(axis: Axis) -> Axis:
        moved = replace(axis, dim=axis.dim - 1)  # the window's places are the last dimension
        if axis.dim != dim or axis.features == 1:
            return moved
        if not axis.is_whole(call.shapes[0]):
            raise Undefined("it cuts windows out of a flattened map")
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


# --- along dimensions


def reduced(call: Call) -> Field:
    """Move the field as a mean over some dimensions does."""
    if isinstance(call.arguments.get("dim"), Tensor):  # torch.max(one, other)
        return element_wise(call)
    return shapes.reduced(call.fields[0], call.shapes[0], call.arguments)


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
    inputs, arrow, output = equation.replace(" ", "").partition("->")
    terms = inputs.split(",")
    of_features = next(
        t for t, o in zip(terms, operands, strict=True) if tuple(o.shape) == call.shapes[0]
    )
    if not arrow:
        output = "".join(sorted(c for c in set(inputs) - {","} if inputs.count(c) == 1))

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
    return {shapes.from_end(dim, count) for dim in named}


def transformed(call: Call) -> Field:
    """Move the field as a Fourier transform over some dimensions does."""
    return _spread(
        call.fields[0], dims_of_transform(call.name, call.arguments, len(call.shapes[0]))
    )


def dims_of_transform(name: str, arguments: Mapping[str, Any], count: int) -> frozenset[int]:
    """Return the dimensions that a transform names, else the last ones: 2 for ``fft2``."""
    last = range(-{"2": 2, "n": count}.get(name[-1], 1), 0)
    return shapes.dims_of(arguments.get("dim", tuple(last)), count) or frozenset()


def _spread(field: Field, dims: Collection[int]) -> Field:
    """Return a field after each value came to see all values along some dimensions."""
    return field.each(lambda axis: axis.spread() if axis.dim in dims else axis)


def attended(dims: tuple[int, ...]) -> Moves:
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


def unless_along(reason: str, default: Any = -1) -> Moves:
    """Return a move that gives a reason if it goes along the rows or the columns, else none."""

    def move(call: Call) -> Field:
        named = call.arguments
        given = named.get("dims", named.get("dim", named.get("rest", default)))
        dims = shapes.dims_of(given, len(call.shapes[0]))
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


# --- where the features lie


def apart(call: Call) -> Field:
    """Move the field as putting tensors behind one another does, or cutting one to pieces."""
    field = join(call.fields)
    dim = shapes.from_end(call.arguments.get("dim", 0), len(call.shapes[0]))
    if any(axis.dim == dim and axis.features > 1 for axis in field.axes):
        raise Undefined("it joins or cuts along the rows, the columns or a flattened map")
    return field


def stacked(call: Call) -> Field:
    """Move the field as a stack does, which adds a dimension."""
    dim = shapes.from_end(call.arguments.get("dim", 0), len(call.result))

    def seen(axis: Axis) -> Axis:
        return replace(axis, dim=axis.dim - 1) if axis.dim <= dim else axis

    return join(call.fields).each(seen)


def unbound(call: Call) -> Field:
    """Move the field as taking a dimension apart does."""
    dim = shapes.from_end(call.arguments.get("dim", 0), len(call.shapes[0]))
    index = [slice(None)] * len(call.shapes[0])
    if any(axis.dim == dim and axis.features > 1 for axis in call.fields[0].axes):
        raise Undefined("it takes the rows, the columns or a flattened map apart")
    return shapes.indexed(call.fields[0], call.shapes[0], _at(index, dim, 0))


def selected(call: Call) -> Field:
    """Move the field as ``select(dim, index)`` or ``narrow(dim, start, length)`` does."""
    named = call.arguments
    dim = shapes.from_end(named["dim"], len(call.shapes[0]))
    part: Any = int(named["start"])
    if "length" in named:
        part = slice(part, part + int(named["length"]))
    index = [slice(None)] * len(call.shapes[0])
    return shapes.indexed(call.fields[0], call.shapes[0], _at(index, dim, part))


def _at(index: list[Any], dim: int, part: Any) -> tuple[Any, ...]:
    index[dim] = part
    return tuple(index)


def reshaped(call: Call) -> Field:
    """Move the field as a view or a flattening does."""
    return shapes.reshaped(call.fields[0], call.shapes[0], call.result)


def permuted(call: Call) -> Field:
    """Move the field as another order of the dimensions does."""
    return shapes.permuted(call.fields[0], [int(dim) for dim in call.arguments["rest"]])


def transposed(call: Call) -> Field:
    """Move the field as two dimensions that take each other's place do."""
    order = list(range(len(call.shapes[0])))
    one, other = call.arguments.get("dim0", -2), call.arguments.get("dim1", -1)
    order[one], order[other] = order[other], order[one]
    return shapes.permuted(call.fields[0], order)


def moved(call: Call) -> Field:
    """Move the field as ``movedim`` does."""
    count = len(call.shapes[0])
    pairs = []
    for key in ("source", "destination"):
        dims = call.arguments[key]
        pairs.append([d % count for d in ((dims,) if isinstance(dims, int) else dims)])
    sources, goals = pairs
    rest = iter([dim for dim in range(count) if dim not in sources])
    placed = dict(zip(goals, sources, strict=True))
    return shapes.permuted(
        call.fields[0], [placed[at] if at in placed else next(rest) for at in range(count)]
    )


def padded(call: Call) -> Field:
    """Move the field as features that are added around a map do."""
    if call.arguments.get("mode") == "circular":
        return no_field("what it adds is seen from the other side of the map")(call)
    return shapes.padded(call.fields[0], call.arguments["pad"], call.shapes[0], call.result)


def taken(call: Call) -> Field:
    """Move the field as an index does."""
    return shapes.indexed(call.fields[0], call.shapes[0], call.arguments["index"])
