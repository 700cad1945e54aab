"""What each function of torch does: its kind in the layer table, and how it moves the field."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import prod
from typing import Any

from torch import Tensor

from tui_trainer.anatomy import shapes
from tui_trainer.anatomy.field import Axis, Field, Undefined, join
from tui_trainer.anatomy.windows import Window, adaptive, convolution, pool, reduced


@dataclass(frozen=True, slots=True)
class Call:
    """One call of a function, as far as the table needs it.

    Attributes:
        name: The function's name, one for all its spellings.
        arguments: Its arguments by the names that its operation declares, and by keyword.
        shapes: The shapes of the features that it reads.
        fields: What those features see, one for each of the shapes; none where that is not defined
            for all of them.
        result: The shape of its result; of the first, if there are several.
    """

    name: str
    arguments: Mapping[str, Any]
    shapes: tuple[tuple[int, ...], ...]
    fields: tuple[Field, ...]
    result: tuple[int, ...]

    @property
    def is_convolution(self) -> bool:
        """Whether it uses each of its weights once at every place of its output."""
        return operation_of(self.name).arguments in (_CONV, _UP)

    @property
    def mixes_channels(self) -> bool:
        """Whether it is a convolution or a fully connected layer."""
        return self.is_convolution or self.name == "linear"

    @property
    def places(self) -> int:
        """The places of a convolution's output."""
        return prod(self.result[2 - self.arguments["weight"].dim() :])


@dataclass(frozen=True, slots=True)
class Operation:
    """What is known of a function.

    Attributes:
        kind: What the layer table calls it.
        moves: Returns what the features of its result see, or raises Undefined.
        arguments: The names of its arguments, in order, as far as they are needed.
        window: Returns the kernel that it slides over a map; None where a call has none.
        norm: Whether it scales by statistics. They are taken as given: they move no field.
    """

    kind: str
    moves: Callable[[Call], Field]
    arguments: tuple[str, ...] = ("input",)
    window: Callable[..., Window | None] | None = None
    norm: bool = False


def operation_of(name: str) -> Operation:
    """Return what is known of the function with this name."""
    return OPERATIONS.get(name) or Operation(name, _unknown)


def bind(name: str, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> dict[str, Any]:
    """Return a call's arguments by name; those that are declared to be a list are gathered."""
    names = operation_of(name).arguments
    if names[-1].startswith("*"):
        names, rest = names[:-1], args[len(names) - 1 :]
        spread = rest[0] if len(rest) == 1 and isinstance(rest[0], (tuple, list)) else rest
        return {"rest": tuple(spread), **dict(zip(names, args, strict=False)), **kwargs}
    return {**dict(zip(names, args, strict=False)), **kwargs}


def passes(name: str, old: tuple[int, ...], new: tuple[int, ...]) -> bool:
    """Say whether a function is bookkeeping: it changes no value and nothing that features see.

    Args:
        name: The function's name.
        old: The shape of what it read.
        new: The shape of its result.
    """
    return name in _PASSING.split() or (
        old == new and operation_of(name).moves in (_reshape, _index)
    )


def window_of(call: Call) -> Window | None:
    """Return the kernel that a call slides over its first input, None where it has none."""
    try:
        return _window(call)
    except Undefined:
        return None


def _window(call: Call) -> Window | None:
    window = operation_of(call.name).window
    field = call.fields[0] if call.fields else None
    return window(call.arguments, call.shapes[0], field) if window else None


def unreached(call: Call) -> tuple[int, int]:
    """Return how many of its map's last rows and columns a call's kernel does not reach."""
    window = window_of(call)
    if window is None or operation_of(call.name).moves is not _slide:
        return 0, 0
    (*_, height, width), (*_, down, across) = call.shapes[0], call.result
    return window.unreached((height, width), (down, across))


# --- how the field is moved


def _element_wise(call: Call) -> Field:
    return join(call.fields)


def _slide(call: Call) -> Field:
    """Move the field as a kernel does that slides over a map of rows and columns."""
    if len(call.fields) > 1:
        raise Undefined("its weights depend on the image")
    window = _window(call)
    if window is None:
        return _element_wise(call)
    field = shapes.as_map(call.fields[0], call.shapes[0])
    moved = [
        axis.through(*steps, features=call.result[axis.dim])
        for axis, steps in zip(field.axes, window.steps, strict=True)
    ]
    return Field(moved[0], moved[1])


def _reduce(call: Call) -> Field:
    """Move the field as a mean over some dimensions does."""
    if isinstance(call.arguments.get("dim"), Tensor):  # torch.max(one, other)
        return _element_wise(call)
    return shapes.reduced(call.fields[0], call.shapes[0], call.arguments)


def _mix_last(call: Call) -> Field:
    """Move the field as a fully connected layer does: it mixes the last dimension."""
    return join(call.fields).each(lambda axis: axis.mixed() if axis.dim == -1 else axis)


def _along(call: Call) -> Field:
    """Move the field as a softmax does: each value sees its whole dimension."""
    dim = shapes.from_end(call.arguments.get("dim", 1), len(call.shapes[0]))

    def seen(axis: Axis) -> Axis:
        return axis.lit_by(axis.mixed().reach) if axis.dim == dim else axis

    return call.fields[0].each(seen)


def _apart(call: Call) -> Field:
    """Move the field as putting tensors behind one another does, or cutting one to pieces."""
    field = join(call.fields)
    dim = shapes.from_end(call.arguments.get("dim", 0), len(call.shapes[0]))
    if any(axis.dim == dim and axis.features > 1 for axis in field.axes):
        raise Undefined("it joins or cuts along the rows, the columns or a flattened map")
    return field


def _reshape(call: Call) -> Field:
    return shapes.reshaped(call.fields[0], call.shapes[0], call.result)


def _permute(call: Call) -> Field:
    return shapes.permuted(call.fields[0], [int(dim) for dim in call.arguments["rest"]])


def _transpose(call: Call) -> Field:
    order = list(range(len(call.shapes[0])))
    one, other = call.arguments.get("dim0", -2), call.arguments.get("dim1", -1)
    order[one], order[other] = order[other], order[one]
    return shapes.permuted(call.fields[0], order)


def _pad(call: Call) -> Field:
    if call.arguments.get("mode") == "circular":
        raise Undefined("what it adds is seen from the other side of the map")
    return shapes.padded(call.fields[0], call.arguments["pad"], call.result)


def _index(call: Call) -> Field:
    return shapes.indexed(call.fields[0], call.shapes[0], call.arguments["index"])


def _unknown(call: Call) -> Field:
    """Where each feature sees the same, and none are put elsewhere, no operation can change it."""
    field = join(call.fields)
    places = 1 if len(call.result) < 3 else call.result[-1] * call.result[-2]
    if places > 1 or any(axis.features > 1 for axis in field.axes):
        raise Undefined("it is not known what its features see")
    return field


def _no_field(reason: str) -> Callable[[Call], Field]:
    def refuse(call: Call) -> Field:
        raise Undefined(reason)

    return refuse


# --- the table

_CONV = ("input", "weight", "bias", "stride", "padding", "dilation", "groups")
_UP = ("input", "weight", "bias", "stride", "padding", "output_padding", "groups", "dilation")
_POOL = ("input", "kernel_size", "stride", "padding")
_OVER = ("input", "dim", "keepdim")
_ONE_AXIS = "only its two-dimensional form is followed"
_UPWARDS = "it makes the map larger"

_ACTIVATIONS = (
    "relu6 leaky_relu prelu rrelu elu selu celu gelu silu mish softplus softsign tanh "
    "sigmoid logsigmoid log_sigmoid hardtanh hardswish hardsigmoid hardshrink softshrink "
    "tanhshrink threshold"
)
_ARITHMETIC = (
    "sub div neg pow abs exp log log1p sqrt rsqrt square reciprocal sign round floor ceil "
    "clamp clamp_min clamp_max clip where addcmul addcdiv lerp masked_fill "
    "eq ne lt gt le ge nan_to_num erf sin cos channel_shuffle native_channel_shuffle"
)
_RESHAPES = "view reshape view_as reshape_as squeeze unsqueeze unflatten ravel"

OPERATIONS: Mapping[str, Operation] = {
    "conv2d": Operation("conv", _slide, _CONV, convolution),
    "conv1d": Operation("conv", _no_field(_ONE_AXIS), _CONV),
    "conv3d": Operation("conv", _no_field(_ONE_AXIS), _CONV),
    "conv_transpose1d": Operation("transposed conv", _no_field(_UPWARDS), _UP),
    "conv_transpose2d": Operation("transposed conv", _no_field(_UPWARDS), _UP),
    "conv_transpose3d": Operation("transposed conv", _no_field(_UPWARDS), _UP),
    "interpolate": Operation("interpolate", _no_field(_UPWARDS)),
    "max_pool2d": Operation("max pool", _slide, (*_POOL, "dilation", "ceil_mode"), pool),
    "avg_pool2d": Operation("average pool", _slide, (*_POOL, "ceil_mode"), pool),
    "adaptive_max_pool2d": Operation("max pool", _slide, ("input", "output_size"), adaptive),
    "adaptive_avg_pool2d": Operation("average pool", _slide, ("input", "output_size"), adaptive),
    "mean": Operation("average pool", _reduce, _OVER, reduced),
    "amax": Operation("max pool", _reduce, _OVER, reduced),
    "max": Operation("max pool", _reduce, _OVER, reduced),
    "sum": Operation("sum", _reduce, _OVER, reduced),
    "amin": Operation("amin", _reduce, _OVER, reduced),
    "min": Operation("min", _reduce, _OVER, reduced),
    "var": Operation("var", _reduce, ("input", "dim"), reduced),
    "std": Operation("std", _reduce, ("input", "dim"), reduced),
    "batch_norm": Operation("batch norm", _element_wise, norm=True),
    "layer_norm": Operation("layer norm", _element_wise, norm=True),
    "group_norm": Operation("group norm", _element_wise, norm=True),
    "instance_norm": Operation("instance norm", _element_wise, norm=True),
    "rms_norm": Operation("rms norm", _element_wise, norm=True),
    "local_response_norm": Operation("local response norm", _element_wise, norm=True),
    "linear": Operation("fully connected", _mix_last, ("input", "weight", "bias")),
    "flatten": Operation("flatten", _reshape),
    **{name: Operation("flatten", _reshape) for name in _RESHAPES.split()},
    "permute": Operation("permute", _permute, ("input", "*dims")),
    "transpose": Operation("transpose", _transpose, ("input", "dim0", "dim1")),
    "mT": Operation("transpose", _transpose),
    "getitem": Operation("slice", _index, ("input", "index")),
    "relu": Operation("relu", _element_wise),
    **{name: Operation("activation", _element_wise) for name in _ACTIVATIONS.split()},
    "glu": Operation("activation", _apart, ("input", "dim")),
    "softmax": Operation("softmax", _along, ("input", "dim")),
    "log_softmax": Operation("softmax", _along, ("input", "dim")),
    "softmin": Operation("softmax", _along, ("input", "dim")),
    "normalize": Operation("normalize", _along, ("input", "p", "dim")),
    "dropout": Operation("dropout", _element_wise),
    "add": Operation("add", _element_wise),
    "mul": Operation("multiply", _element_wise),
    **{name: Operation(name, _element_wise) for name in _ARITHMETIC.split()},
    "cat": Operation("concatenate", _apart, ("tensors", "dim")),
    "chunk": Operation("chunk", _apart, ("input", "chunks", "dim")),
    "split": Operation("split", _apart, ("input", "sizes", "dim")),
    "pad": Operation("pad", _pad, ("input", "pad", "mode", "value")),
    "maximum": Operation("maximum", _element_wise, ("input", "other")),
    "minimum": Operation("minimum", _element_wise, ("input", "other")),
    "identity": Operation("identity", _element_wise),
    "setitem": Operation("setitem", _no_field("it writes into a part of the map")),
}
"""What is known of each function, by its name; of any other it is not known what it moves."""

_PASSING = (
    "contiguous detach clone alias to float double half bfloat16 type type_as cpu cuda "
    "expand expand_as broadcast_to requires_grad data real positive"
)
