"""Stand-ins for torch's functions that show what their results depend on.

The gradient of a network says how strongly a pixel moves a feature. It may vanish where the feature
depends on the pixel all the same: in a dead ReLU, a saturated sigmoid, behind weights that cancel,
or after so many small factors that nothing is left. So each function is replaced by one that reads
the same values and whose derivatives are all positive: activations pass, convolutions, fully
connected layers, pools and recurrent layers take averages, products become sums. A function without
a stand-in is run as it is, on positive numbers, with positive weights.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from math import prod
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tui_trainer.anatomy import moves
from tui_trainer.anatomy.names import in_place
from tui_trainer.anatomy.operations import COMPARISONS, PASSING, bind, operation_of
from tui_trainer.anatomy.sliding import along_each
from tui_trainer.anatomy.windows import pool

Named = Mapping[str, Any]


def _fine(numbers: Tensor) -> Tensor:
    """Return numbers as float64, so that a thin share is not lost; mps has none."""
    if numbers.device.type == "mps":
        return numbers
    if numbers.is_complex():
        return numbers.to(torch.complex128)
    return numbers.to(torch.float64) if numbers.is_floating_point() else numbers


def depends(tensor: Any) -> bool:
    """Say whether a tensor depends on the image; no parameter must require a gradient."""
    return isinstance(tensor, Tensor) and tensor.requires_grad


def passes_through(name: str) -> bool:
    """Say whether a function's stand-in gives each feature as it is."""
    operation = operation_of(name)
    kinds = ("relu", "activation", "dropout", "identity")
    return name != "glu" and (operation.norm or operation.kind in kinds)


def surrogate(
    name: str, run: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]
) -> Any:
    """Run a function's stand-in, or the function itself where it has none."""
    if not any(map(depends, _tensors((args, tuple(kwargs.values()))))):
        return run(*args, **kwargs)
    with torch.enable_grad():  # what is run without gradients depends on the image all the same
        return _followed(name, run, args, kwargs)


def _followed(
    name: str, run: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]
) -> Any:
    found: Any = None
    with suppress(Exception):  # it was called in a way that is not known
        found = _stand_in(name, run, bind(name, args, kwargs), args, kwargs)
    if found is None:
        return _as_it_is(name, run, args, kwargs)
    if not (in_place(run, kwargs) and args and isinstance(args[0], Tensor)):
        return found
    return args[0] if passes_through(name) else args[0].copy_(found)


def _even(result: Tensor) -> Tensor:
    """Let the gradient of a result be 1 where it is not 0, so that it never fades."""
    if result.requires_grad:
        result.register_hook(  # type: ignore[no-untyped-call]
            lambda gradient: None if gradient is None else _ones(gradient)
        )
    return result


def _ones(gradient: Tensor) -> Tensor:
    return (gradient != 0).to(gradient.dtype)


def _numbers_only(gradient: Tensor | None) -> Tensor | None:
    """Return a gradient without what is no number: nothing is known from it."""
    if gradient is None:  # of a part that nothing reads
        return None
    return _ones(torch.where(torch.isfinite(gradient), gradient, 0))


def _stand_in(
    name: str,
    run: Callable[..., Any],
    named: Named,
    args: tuple[Any, ...],
    kwargs: Mapping[str, Any],
) -> Any:
    """Return what a function's stand-in gives; None for a function without one."""
    move = operation_of(name).moves
    if name in _AS_THEY_ARE:
        return None
    if name == "glu":
        one, other = named["input"].chunk(2, named.get("dim", -1))
        return one + other
    if passes_through(name):
        return named["input"].clone()
    if "conv" in name and "weight" in named:
        return _convolved(name, run, named)
    if name in ("sort", "topk"):
        return _ordered(run, args, kwargs)
    if name in _PRODUCTS:
        return _product(*args[:2])
    if stand_in := _STAND_INS.get(name):
        return stand_in(named)
    if name in _FOURIER:
        return _spectrum(name, run, args, kwargs)
    if move is moves.element_wise:
        return _added(name, (*args, *kwargs.values()))
    if move is moves.along:
        features = named["input"]
        dims = tuple(moves.dims_of_softmax(name, named, features.dim()))
        return (features + _even(features.mean(dims, keepdim=True))) / 2
    return _reduced(run, named, args, kwargs) if move is moves.reduced else None


def _as_it_is(
    name: str, run: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]
) -> Any:
    """Run a function, on positive weights where it does more than to move features."""
    is_getter = getattr(run, "__name__", "") == "__get__"
    moves_only = operation_of(name).moves in _PLACING or name in _PLACES
    if is_getter or moves_only or in_place(run, kwargs):
        return run(*args, **kwargs)
    read = next(filter(depends, _tensors((args, tuple(kwargs.values())))))
    result = run(*_each(args, _positive), **_each(kwargs, _positive))
    return _each(result, lambda tensor: _even(_like(tensor, read)))


def _like(tensor: Tensor, other: Tensor) -> Tensor:
    """Return a result of float64 in the precision that the network works in."""
    single = other.dtype not in (torch.float64, torch.complex128)
    if single and tensor.dtype == torch.complex128:
        return tensor.to(torch.complex64)
    real = torch.float32 if other.is_complex() else other.dtype
    return tensor.to(real) if single and tensor.dtype == torch.float64 else tensor


_PLACING = (
    *(moves.reshaped, moves.permuted, moves.transposed, moves.moved, moves.taken, moves.selected),
    *(moves.apart, moves.stacked, moves.unbound, moves.padded, moves.unfolded),
)
"""What only puts features elsewhere."""

_PLACES = frozenset(
    (
        *PASSING.split(),
        *("roll", "flip", "fliplr", "flipud", "rot90", "repeat", "tile", "repeat_interleave"),
        *("pixel_shuffle", "pixel_unshuffle", "index_select", "gather", "take_along_dim"),
        *("tril", "triu", "fold", "setitem", "masked_select", "channel_shuffle"),
    )
)
"""Likewise, by name."""


# --- the stand-ins


def _convolved(name: str, run: Callable[..., Any], named: Named) -> Tensor:
    """Return the average over a kernel: all outputs of a group of channels are the same."""
    features, weight = named["input"], named["weight"]
    dims, groups = weight.dim() - 2, int(named.get("groups", 1))
    outputs = weight.shape[1] if "transpose" in name else weight.shape[0] // groups
    channels = features.dim() - dims - 1
    mean = features.unflatten(channels, (groups, -1)).mean(channels + 1)
    for kernel, how in _passes(name, tuple(weight.shape[2:]), named):
        share = mean.new_full((groups, 1, *kernel), 1 / prod(kernel))
        mean = run(mean, share, **how, groups=groups)
    result = _even(mean).repeat_interleave(outputs, dim=channels)
    return result + weight.abs().mean() if depends(weight) else result


def _passes(
    name: str, size: tuple[int, ...], named: Named
) -> Iterator[tuple[tuple[int, ...], dict[str, Any]]]:
    """Yield kernels of ones, and how they slide, that together are one of this size.

    It is taken apart into one along each dimension: 14 weights in place of 7×7.
    """
    if "transpose" in name:
        keys = ("stride", "padding", "output_padding", "dilation")
        yield size, {key: named[key] for key in keys if key in named}
        return
    padding = named.get("padding", 0)
    is_word = isinstance(padding, str)
    steps = along_each(
        len(size), named.get("stride", 1), 0 if is_word else padding, named.get("dilation", 1)
    )
    for dim, (stride, before, dilation) in enumerate(steps):

        def only(value: int, other: int, at: int = dim) -> tuple[int, ...]:
            return tuple(value if place == at else other for place in range(len(size)))

        yield (
            only(size[dim], 1),
            {
                "stride": only(stride, 1),
                "padding": padding if is_word else only(before, 0),
                "dilation": only(dilation, 1),
            },
        )


def _connected(named: Named) -> Tensor:
    features, weight = named["input"], named["weight"]
    mean = _even(features.mean(-1, keepdim=True))
    result = mean.expand(*mean.shape[:-1], weight.shape[0]).contiguous()
    return result + weight.mean() if depends(weight) else result


_shape_of_all: Callable[..., Any] = torch.broadcast_shapes

_AS_THEY_ARE = (
    *COMPARISONS.split(),
    "channel_shuffle",
    "native_channel_shuffle",
    "complex",
    "polar",
)

_PRODUCTS = ("matmul", "mm", "bmm")

_FOURIER: Mapping[str, int | None] = {
    **dict.fromkeys(["fft", "ifft", "rfft", "irfft", "hfft", "ihfft"], 1),
    **dict.fromkeys(["fft2", "ifft2", "rfft2", "irfft2"], 2),
    **dict.fromkeys(["fftn", "ifftn", "rfftn", "irfftn"], None),
}
"""Fourier transforms, and over how many of the last dimensions they are; None for all."""


def _product(left: Tensor, right: Tensor) -> Tensor | None:
    """Return averages over a row of one matrix and a column of the other.

    None for a product with a matrix that is not learned: it may be 0 in many places.
    """
    learned = all(depends(t) or isinstance(t, nn.Parameter) for t in (left, right))
    if not learned or left.dim() < 2 or right.dim() < 2:
        return None
    batch: Any = _shape_of_all(left.shape[:-2], right.shape[:-2])
    means = [left.mean(-1, keepdim=True)] if depends(left) else []
    means += [right.mean(-2, keepdim=True)] if depends(right) else []
    each = [_even(mean).expand(*batch, left.shape[-2], right.shape[-1]) for mean in means]
    return (each[0] + each[1]) / 2 if len(each) > 1 else each[0].contiguous()


def _added(name: str, values: Sequence[Any]) -> Tensor:
    """Return the mean of what depends on the image, in the shape of the function's result."""
    tensors = _tensors(values)
    shape: Any = _shape_of_all(*(tensor.shape for tensor in tensors))
    read = [tensor for tensor in tensors if depends(tensor)]
    if name in ("abs", "angle", "imag"):
        read = [t.real + t.imag if t.is_complex() else t for t in read]
    total = read[0] / len(read)
    for other in read[1:]:
        total = total + other / len(read)
    return total.expand(shape).contiguous() if total.shape != shape else total


def _reduced(
    run: Callable[..., Any], named: Named, args: tuple[Any, ...], kwargs: Mapping[str, Any]
) -> Any:
    """Return a mean in place of a maximum, a deviation or a product."""
    features, dim = named["input"], named.get("dim", kwargs.get("axis"))
    if isinstance(dim, Tensor):  # torch.max(one, other)
        return _added("max", (features, dim))
    keep = bool(named.get("keepdim", kwargs.get("keepdims")))
    everything = dim is None or dim == ()
    mean = _even(features.mean() if everything else features.mean(dim, keep))
    with torch.no_grad():
        real = run(*args, **kwargs)
    # Some maxima come with the places where they were found.
    return type(real)((mean, *real[1:])) if isinstance(real, tuple) else mean


def _spectrum(
    name: str, run: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]
) -> Tensor:
    """Return averages over the dimensions of a Fourier transform, or of its inverse."""
    named = bind(name, args, kwargs)
    features = named["input"]
    dims = moves.dims_of_transform(named, _FOURIER[name], features.dim())
    with torch.no_grad():
        real = run(*args, **kwargs)
    numbers = features.real + features.imag if features.is_complex() else features
    mean = _even(numbers.mean(tuple(dims), keepdim=True)).expand(real.shape).contiguous()
    return torch.complex(mean, mean) if real.is_complex() else mean


def _ordered(run: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:
    """Return ordered features, each of which depends on all that were compared."""
    values, *places = run(*args, **kwargs)
    named = bind(getattr(run, "__name__", ""), args, kwargs)
    mean = _even(args[0].mean(named.get("dim", -1), keepdim=True))
    return (values + mean, *places)


def _average_pool(dims: int) -> Callable[[Named], Any]:
    """Return the averages of what a pool takes the maxima of."""
    average = (F.avg_pool1d, F.avg_pool2d, F.avg_pool3d)[dims - 1]

    def averages(named: Named) -> Any:
        if named.get("return_indices") or named.get("dilation", 1) not in (1, (1,) * dims):
            return _dilated_pool(named) if dims == 2 else None
        rest = {key: named[key] for key in ("stride", "padding", "ceil_mode") if key in named}
        if not rest.get("stride"):
            rest.pop("stride", None)
        pooled = average(named["input"], named["kernel_size"], **rest)
        return _even(pooled)

    return averages


def _dilated_pool(named: Named) -> Any:
    features, window = named["input"], pool(named, (), None)
    maxima = F.max_pool2d_with_indices(
        features.detach(),
        window.kernel,
        window.stride,
        window.padding,
        window.dilation,
        bool(named.get("ceil_mode")),
    )
    (top, behind), (left, right) = (
        (before, dilation * kernel + stride) for kernel, stride, before, dilation in window.steps
    )
    channels = features.shape[-3]
    kernel = features.new_full(
        (channels, 1, *window.kernel), 1 / (window.kernel[0] * window.kernel[1])
    )
    spread = F.pad(features, (left, right, top, behind))
    pooled = F.conv2d(spread, kernel, None, window.stride, 0, window.dilation, channels)
    height, width = maxima[0].shape[-2:]
    averages = _even(pooled[..., :height, :width].contiguous())  # as a pool leaves it, for views
    return (averages, maxima[1]) if named.get("return_indices") else averages


def _average_places(dims: int) -> Callable[[Named], Any]:
    average = (F.adaptive_avg_pool1d, F.adaptive_avg_pool2d, F.adaptive_avg_pool3d)[dims - 1]

    def averages(named: Named) -> Any:
        if named.get("return_indices"):
            return None
        return _even(average(named["input"], named["output_size"]))

    return averages


def _recurrent(named: Named) -> Any:
    """Return averages over the steps before each one; if both directions are read, over all."""
    flags = [value for value in named.values() if isinstance(value, bool)]
    if len(flags) < 4:  # packed
        return None
    features, hidden = named["input"], named["hx"]
    states = hidden if isinstance(hidden, tuple) else (hidden,)
    time = 1 if flags[-1] else 0
    mean = features.mean(-1, keepdim=True)
    mean = mean + mean.mean(time, keepdim=True) if flags[2] else mean.cumsum(time)
    if depends(states[0]):
        mean = mean + states[0].mean()
    width = states[0].shape[-1] * (2 if flags[2] else 1)
    output = _even(mean / features.shape[time]).expand(*mean.shape[:-1], width).contiguous()
    last = output.mean() if flags[2] else output.select(time, -1)[..., :1].unsqueeze(0)
    return (output, *(last.expand(state.shape).contiguous() for state in states))


def _attention(named: Named) -> Any:
    """Return averages over all places; a mask that hides some is left to the function itself."""
    if any(named.get(key) is not None for key in moves.MASKS) or named.get("is_causal"):
        return None
    is_layer = "num_heads" in named  # (places, images, features), and the attention itself
    query, key, value = (named[part] for part in ("query", "key", "value"))
    dim = 0 if is_layer else -2
    means = [t.mean(-1, keepdim=True) for t in (query, key, value)]
    told = means[0] + means[1].mean(dim, keepdim=True) + means[2].mean(dim, keepdim=True)
    result = _even(told / 3).expand(*query.shape[:-1], value.shape[-1]).contiguous()
    if not is_layer:
        return result
    if not named.get("need_weights", True) or not named.get("average_attn_weights", True):
        return (result, None) if not named.get("need_weights", True) else None
    among = told.movedim(0, -2) if told.dim() == 3 else told
    return result, among.expand(*among.shape[:-1], key.shape[0]).contiguous()


def _one_step(named: Named) -> Any:
    hidden = named["hx"]
    states = hidden if isinstance(hidden, tuple) else (hidden,)
    mean = _added("add", [t.mean(-1, keepdim=True) for t in (named["input"], *states)])
    found = [mean.expand(state.shape).contiguous() for state in states]
    return tuple(found) if isinstance(hidden, tuple) else found[0]


_STAND_INS: Mapping[str, Callable[[Named], Any]] = {
    "linear": _connected,
    "multi_head_attention_forward": _attention,
    "scaled_dot_product_attention": _attention,
    **{f"max_pool{dims}d": _average_pool(dims) for dims in (1, 2, 3)},
    **{f"adaptive_max_pool{dims}d": _average_places(dims) for dims in (1, 2, 3)},
    **dict.fromkeys(("lstm", "gru", "rnn_tanh", "rnn_relu"), _recurrent),
    **dict.fromkeys(("lstm_cell", "gru_cell", "rnn_tanh_cell", "rnn_relu_cell"), _one_step),
}


# --- arguments


def _tensors(value: Any) -> list[Tensor]:
    if isinstance(value, Tensor):
        return [value]
    return [t for part in value for t in _tensors(part)] if isinstance(value, (tuple, list)) else []


def _positive(tensor: Tensor) -> Tensor:
    """Return weights that are positive, and of different sizes; features guarded against NaN."""
    if depends(tensor):
        guarded = tensor.view_as(tensor)
        guarded.register_hook(_numbers_only)  # type: ignore[no-untyped-call]
        return _fine(guarded)
    numbers = _fine(tensor)
    if not isinstance(tensor, nn.Parameter) or not (
        numbers.is_floating_point() or numbers.is_complex()
    ):
        return numbers
    noise = torch.Generator().manual_seed(tensor.numel())
    part = torch.rand(tensor.shape, generator=noise, dtype=torch.float64) + 0.5
    turned = torch.polar(part, part * 6) if numbers.is_complex() else part
    positive: Tensor = turned.to(numbers) / max(1, tensor.numel()) ** 0.5
    return positive


def _each(value: Any, change: Callable[[Tensor], Tensor]) -> Any:
    if isinstance(value, Tensor):
        return change(value)
    if isinstance(value, Mapping):
        return {name: _each(part, change) for name, part in value.items()}
    if type(value) in (tuple, list):
        return type(value)(_each(part, change) for part in value)
    if isinstance(value, tuple):  # several results with names
        parts = [_each(part, change) for part in value]
        return type(value)(*parts) if hasattr(value, "_fields") else type(value)(parts)
    return value
