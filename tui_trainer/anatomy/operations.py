"""What each torch function does: its kind in the layer table, and how it propagates fields."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from tui_trainer.anatomy import propagation, shapes, sliding
from tui_trainer.anatomy.calls import CELLS, RECURRENT, Call


@dataclass(frozen=True, slots=True)
class Operation:
    """What is known about a function.

    Attributes:
        kind: Its kind in the layer table.
        propagate: Returns the receptive field of its result, or raises Undefined.
        arguments: The names of its positional arguments, in order; those that are not needed at the
            end are left out.
        window: Returns the kernel that it slides over a map; None where a call has none.
        norm: Whether it normalizes by statistics. They count as constants and widen no field.
    """

    kind: str
    propagate: propagation.Propagate
    arguments: tuple[str, ...] = ("input",)
    window: Callable[[Call], sliding.Window | None] | None = None
    norm: bool = False


def operation_of(name: str) -> Operation:
    """Return what is known about the function with this name."""
    return OPERATIONS.get(name) or Operation(name, propagation.unknown)


def bind(name: str, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> dict[str, Any]:
    """Return a call's arguments by name; a starred name collects the remaining ones."""
    names = operation_of(name).arguments
    if names[-1].startswith("*"):
        names, rest = names[:-1], args[len(names) - 1 :]
        spread = rest[0] if len(rest) == 1 and isinstance(rest[0], (tuple, list)) else rest
        return {"rest": tuple(spread), **dict(zip(names, args, strict=False)), **kwargs}
    return {**dict(zip(names, args, strict=False)), **kwargs}


def passes(
    name: str, arguments: Mapping[str, Any], old: tuple[int, ...], new: tuple[int, ...]
) -> bool:
    """Return whether a function is bookkeeping: it changes neither values nor receptive fields.

    Args:
        name: The function's name.
        arguments: Its arguments.
        old: The shape of its input.
        new: The shape of its result.
    """
    if name in PASSING:
        return True
    move = operation_of(name).propagate
    is_whole = move is shapes.taken and shapes.is_plain(arguments["index"])
    return old == new and (move is shapes.reshaped or is_whole)


def window_of(call: Call) -> sliding.Window | None:
    """Return the kernel that a call slides over its first input; None if it has none."""
    window = operation_of(call.name).window
    return window(call) if window else None


def unreached(call: Call) -> tuple[int, int]:
    """Return the number of last rows and columns of its input that a call's kernel never reads."""
    window = window_of(call)
    if window is None or operation_of(call.name).window is sliding.reduced_window:
        return 0, 0
    (*_, height, width), (*_, down, across) = call.shapes[0], call.result
    return window.unreached((height, width), (down, across))


# --- the table

_CONV = ("input", "weight", "bias", "stride", "padding", "dilation", "groups")
_UP = ("input", "weight", "bias", "stride", "padding", "output_padding", "groups", "dilation")
_POOL = ("input", "kernel_size", "stride", "padding")
_OVER = ("input", "dim", "keepdim")
_PART = ("input", "dim", "start", "length")
_SIZE = ("input", "output_size")
_PATCHES = ("input", "kernel_size", "dilation", "padding", "stride")
_HEADS = (
    "query key value embed_dim num_heads in_proj_weight in_proj_bias bias_k bias_v add_zero_attn "
    "dropout_p out_proj_weight out_proj_bias"
)
_CELL = ("input", "hx", "w_ih", "w_hh", "b_ih", "b_hh")
_STEPS = "input hx params has_biases num_layers dropout train bidirectional batch_first"

_ACTIVATIONS = (
    "relu6 leaky_relu prelu rrelu elu selu celu gelu silu mish softplus softsign tanh "
    "sigmoid logsigmoid log_sigmoid hardtanh hardswish hardsigmoid hardshrink softshrink "
    "tanhshrink threshold"
)
_ARITHMETIC = (
    "sub div neg pow abs exp expm1 log log2 log10 log1p sqrt rsqrt square reciprocal sign round "
    "floor ceil trunc frac clamp clamp_min clamp_max clip where addcmul addcdiv lerp masked_fill "
    "nan_to_num erf erfc sin cos tan atan asin acos sinh cosh atan2 hypot fmod remainder "
    "floor_divide logaddexp angle imag conj sgn"
)
COMPARISONS = (
    "eq ne lt gt le ge logical_and logical_or logical_not logical_xor and or xor invert isnan "
    "isinf isfinite bitwise_and bitwise_or bitwise_not"
)
"""Element-wise too, but without a gradient."""

TRANSFORMS = "fft ifft rfft irfft hfft ihfft fft2 ifft2 rfft2 irfft2 fftn ifftn rfftn irfftn"
_PASSING = (
    "contiguous detach clone alias to float double half bfloat16 type type_as cpu cuda expand "
    "expand_as broadcast_to requires_grad data real positive resolve_conj resolve_neg cfloat"
)
PASSING = frozenset(_PASSING.split())
"""Bookkeeping functions: they change neither values nor receptive fields."""

_RESHAPES = "view reshape view_as reshape_as squeeze unsqueeze unflatten ravel"
_NORMS = "batch layer group instance rms local_response"
_TURNS = "it reverses the rows or the columns"
_ROLLS = "it rolls rows or columns around the edge"
_ORDERS = "which features it selects depends on the image"
_ONE_BY_ONE = "it selects single features"
_SEES_BEFORE = "each feature sees all earlier features"

_Rows = Mapping[str, Operation]


def _each(names: str, kind: str, move: propagation.Propagate, *rest: Any) -> _Rows:
    """Return one operation under several names; an empty kind means the name itself."""
    return {name: Operation(kind or name, move, *rest) for name in names.split()}


def _over(dims: int) -> _Rows:
    """Return the operations whose kernels slide over ``dims`` dimensions."""
    window, to_size = (
        (sliding.sliding_window, sliding.adaptive_window) if dims == 2 else (None, None)
    )
    maxima, means = (*_POOL, "dilation", "ceil_mode"), (*_POOL, "ceil_mode")
    norms = ("input", "norm_type", *_POOL[1:])
    return {
        f"conv{dims}d": Operation("conv", sliding.slides, _CONV, window),
        f"conv_transpose{dims}d": Operation("transposed conv", sliding.slides_upwards, _UP),
        f"max_pool{dims}d": Operation("max pool", sliding.slides, maxima, window),
        f"avg_pool{dims}d": Operation("average pool", sliding.slides, means, window),
        f"lp_pool{dims}d": Operation("lp pool", sliding.slides, norms),
        f"adaptive_max_pool{dims}d": Operation("max pool", sliding.slides_to_size, _SIZE, to_size),
        f"adaptive_avg_pool{dims}d": Operation(
            "average pool", sliding.slides_to_size, _SIZE, to_size
        ),
    }


OPERATIONS: _Rows = {
    **_over(1),
    **_over(2),
    **_over(3),
    "interpolate": Operation(
        "interpolate", sliding.interpolated, ("input", "size", "scale_factor")
    ),
    "pixel_unshuffle": Operation("pixel_unshuffle", sliding.unshuffled, ("input", "factor")),
    "pixel_shuffle": Operation("pixel_shuffle", sliding.shuffled, ("input", "factor")),
    "unfold": Operation("unfold", sliding.unfolded, _PATCHES),
    "fold": Operation("fold", propagation.no_field("it overlaps patches")),
    "mean": Operation("average pool", propagation.reduced, _OVER, sliding.reduced_window),
    "amax": Operation("max pool", propagation.reduced, _OVER, sliding.reduced_window),
    "max": Operation("max pool", propagation.reduced, _OVER, sliding.reduced_window),
    **_each("sum amin min", "", propagation.reduced, _OVER, sliding.reduced_window),
    **_each("var std", "", propagation.reduced, ("input", "dim"), sliding.reduced_window),
    **_each("prod logsumexp nansum nanmean argmax argmin any all", "", propagation.reduced, _OVER),
    **_each("median nanmedian", "", propagation.reduced, _OVER),
    **_each("norm vector_norm kthvalue", "", propagation.reduced, ("input", "p", "dim", "keepdim")),
    **_each("sort argsort", "", propagation.unless_along(_ORDERS), ("input", "dim")),
    "topk": Operation("topk", propagation.unless_along(_ORDERS), ("input", "k", "dim")),
    **_each("repeat tile", "", propagation.repeated, ("input", "*sizes")),
    "index_select": Operation(
        "index_select", propagation.unless_along(_ONE_BY_ONE), ("input", "dim")
    ),
    **{
        f"{name}_norm": Operation(
            f"{name.replace('_', ' ')} norm",
            propagation.element_wise,
            ("input", "num_groups") if name == "group" else ("input",),
            norm=True,
        )
        for name in _NORMS.split()
    },
    "linear": Operation("fully connected", propagation.mixes_last, ("input", "weight", "bias")),
    "bilinear": Operation(
        "bilinear", propagation.mixes_last, ("input", "input2", "weight", "bias")
    ),
    **_each("matmul mm bmm", "", propagation.multiplied, ("input", "other")),
    "rmatmul": Operation("matmul", propagation.multiplied, ("other", "input")),
    "mv": Operation("mv", propagation.multiplied, ("input", "vec")),
    **_each("addmm baddbmm addbmm", "", propagation.multiplied, ("bias", "input", "mat2")),
    **_each(" ".join(RECURRENT), "", propagation.recurrent, tuple(_STEPS.split())),
    **_each(" ".join(CELLS), "", propagation.mixes_last, _CELL),
    "einsum": Operation("einsum", propagation.summed, ("*operands",)),
    "multi_head_attention_forward": Operation(
        "attention", propagation.attended((-3, -1)), tuple(_HEADS.split())
    ),
    "scaled_dot_product_attention": Operation(
        "attention", propagation.attended((-2, -1)), ("query", "key", "value", "attn_mask")
    ),
    **_each(TRANSFORMS, "", propagation.transformed, ("input", "n", "dim")),
    "flatten": Operation("flatten", shapes.reshaped),
    **_each(_RESHAPES, "flatten", shapes.reshaped),
    "permute": Operation("permute", shapes.permuted, ("input", "*dims")),
    "transpose": Operation("transpose", shapes.transposed, ("input", "dim0", "dim1")),
    **_each("mT t", "transpose", shapes.transposed),
    "movedim": Operation("permute", shapes.moved, ("input", "source", "destination")),
    "getitem": Operation("slice", shapes.taken, ("input", "index")),
    **_each("select narrow", "slice", shapes.selected, _PART),
    "relu": Operation("relu", propagation.element_wise),
    **_each(_ACTIVATIONS, "activation", propagation.element_wise),
    "glu": Operation("activation", shapes.apart, ("input", "dim")),
    **_each("softmax log_softmax softmin", "softmax", propagation.along, ("input", "dim")),
    "normalize": Operation("normalize", propagation.along, ("input", "p", "dim")),
    "dropout": Operation("dropout", propagation.element_wise),
    "add": Operation("add", propagation.element_wise),
    "mul": Operation("multiply", propagation.element_wise),
    **_each(_ARITHMETIC, "", propagation.element_wise),
    **_each(COMPARISONS, "", propagation.element_wise),
    **_each("channel_shuffle native_channel_shuffle complex polar", "", propagation.element_wise),
    **_each("maximum minimum fmax fmin", "", propagation.element_wise, ("input", "other")),
    "identity": Operation("identity", propagation.element_wise),
    "cat": Operation("concatenate", shapes.apart, ("tensors", "dim")),
    "stack": Operation("stack", shapes.stacked, ("tensors", "dim")),
    "chunk": Operation("chunk", shapes.apart, ("input", "chunks", "dim")),
    **_each("split tensor_split", "split", shapes.apart, ("input", "sizes", "dim")),
    "unbind": Operation("unbind", shapes.unbound, ("input", "dim")),
    "pad": Operation("pad", shapes.padded, ("input", "pad", "mode", "value")),
    "flip": Operation("flip", propagation.unless_along(_TURNS), ("input", "*dims")),
    "rot90": Operation("rot90", propagation.unless_along(_TURNS), ("input", "k", "dims")),
    "roll": Operation("roll", propagation.unless_along(_ROLLS), ("input", "shifts", "dim")),
    **_each(
        "cumsum cumprod cummax cummin logcumsumexp",
        "",
        propagation.unless_along(_SEES_BEFORE),
        ("input", "dim"),
    ),
    "grid_sample": Operation(
        "grid_sample", propagation.no_field("its sampling grid decides which features it reads")
    ),
    "setitem": Operation("setitem", propagation.no_field("it writes into a part of the map")),
}
"""All known functions by name; the receptive field after any other function is unknown."""
