"""Surrogates of torch functions that show what their results depend on.

The gradient of a feature says how strongly a pixel changes it. It can vanish although the feature
depends on the pixel: in a dead ReLU, a saturated sigmoid, where weights cancel, or after many small
factors. So each function is replaced by one that reads the same values and has only positive
derivatives: activations become the identity; convolutions, fully connected layers, pools and
recurrent layers become averages; products become sums. A function without a surrogate runs
unchanged, on positive numbers with positive weights.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from math import prod
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tui_trainer.anatomy import propagation, shapes, sliding
from tui_trainer.anatomy.calls import CELLS, RECURRENT, in_place
from tui_trainer.anatomy.operations import COMPARISONS, PASSING, TRANSFORMS, bind, operation_of
from tui_trainer.models.tensors import tensors_in

Named = Mapping[str, Any]


@dataclass(frozen=True)
class _Run:
    """A function and its arguments."""

    name: str
    function: Callable[..., Any]
    args: tuple[Any, ...]
    kwargs: Mapping[str, Any]

    @cached_property
    def named(self) -> Named:
        return bind(self.name, self.args, self.kwargs)

    @property
    def features(self) -> list[Tensor]:
        """The tensors in its arguments that depend on the image."""
        return list(filter(depends, tensors_in((self.args, self.kwargs))))

    @property
    def is_in_place(self) -> bool:
        return in_place(self.function, self.kwargs)

    def result(self) -> Any:
        return self.function(*self.args, **self.kwargs)


def _fine(numbers: Tensor) -> Tensor:
    """Return a tensor as float64, so that small shares do not underflow; mps has no float64."""
    if numbers.device.type == "mps":
        return numbers
    if numbers.is_complex():
        return numbers.to(torch.complex128)
    return numbers.to(torch.float64) if numbers.is_floating_point() else numbers


def depends(tensor: Any) -> bool:
    """Return whether a tensor depends on the image; no parameter may require a gradient."""
    return isinstance(tensor, Tensor) and tensor.requires_grad


def passes_through(name: str) -> bool:
    """Return whether a function's surrogate is the identity."""
    operation = operation_of(name)
    kinds = ("relu", "activation", "dropout", "identity")
    return name != "glu" and (operation.norm or operation.kind in kinds)


def surrogate(
    name: str, function: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]
) -> Any:
    """Run a function's surrogate, or the function itself where it has none."""
    run = _Run(name, function, args, kwargs)
    if not run.features:
        return run.result()
    with torch.enable_grad():  # under no_grad, features depend on the image all the same
        return _surrogate_or_original(run)


def _surrogate_or_original(run: _Run) -> Any:
    found: Any = None
    with suppress(Exception):  # a call signature that the surrogate does not know
        found = _run_surrogate(run)
    if found is None:
        return _run_unchanged(run)
    if not (run.is_in_place and run.args and isinstance(run.args[0], Tensor)):
        return found
    return run.args[0] if passes_through(run.name) else run.args[0].copy_(found)


def _even(result: Tensor) -> Tensor:
    """Set the gradient of a result to 1 where it is not 0, so that it never vanishes."""
    if result.requires_grad:
        result.register_hook(  # type: ignore[no-untyped-call]
            lambda gradient: None if gradient is None else _ones(gradient)
        )
    return result


def _ones(gradient: Tensor) -> Tensor:
    return (gradient != 0).to(gradient.dtype)


def _finite_only(gradient: Tensor | None) -> Tensor | None:
    """Return a gradient with non-finite values set to 0, because they show no dependence."""
    if gradient is None:  # of a tensor that nothing reads
        return None
    return _ones(torch.where(torch.isfinite(gradient), gradient, 0))


def _run_surrogate(run: _Run) -> Any:
    """Return the result of a function's surrogate; None for a function without one."""
    if run.name in _UNCHANGED:
        return None
    if passes_through(run.name):
        return run.named["input"].clone()
    if "conv" in run.name and "weight" in run.named:
        return _convolved(run)
    replacement = _SURROGATES.get(run.name) or _BY_PROPAGATION.get(operation_of(run.name).propagate)
    return replacement(run) if replacement else None


def _run_unchanged(run: _Run) -> Any:
    """Run a function; on positive weights, unless it only rearranges features."""
    is_getter = getattr(run.function, "__name__", "") == "__get__"
    moves_only = operation_of(run.name).propagate in _PLACING or run.name in _PLACES
    if is_getter or moves_only or run.is_in_place:
        return run.result()
    read = run.features[0]
    result = run.function(*_each(run.args, _positive), **_each(run.kwargs, _positive))
    return _each(result, lambda tensor: _even(_like(tensor, read)))


def _like(tensor: Tensor, other: Tensor) -> Tensor:
    """Return a float64 result in the precision of the model."""
    single = other.dtype not in (torch.float64, torch.complex128)
    if single and tensor.dtype == torch.complex128:
        return tensor.to(torch.complex64)
    real = torch.float32 if other.is_complex() else other.dtype
    return tensor.to(real) if single and tensor.dtype == torch.float64 else tensor


_PLACING = (
    *(shapes.reshaped, shapes.permuted, shapes.transposed, shapes.moved, shapes.taken),
    *(shapes.selected, shapes.apart, shapes.stacked, shapes.unbound, shapes.padded),
    sliding.unfolded,
)
"""Propagations of functions that only rearrange features."""

_PLACES = frozenset(
    (
        *PASSING,
        *("roll", "flip", "fliplr", "flipud", "rot90", "repeat", "tile", "repeat_interleave"),
        *("pixel_shuffle", "pixel_unshuffle", "index_select", "gather", "take_along_dim"),
        *("tril", "triu", "fold", "setitem", "masked_select", "channel_shuffle"),
    )
)
"""Functions that only rearrange features, by name."""


# --- the surrogates


def _convolved(run: _Run) -> Tensor:
    """Return the average over a kernel: all outputs of a channel group are equal."""
    named = run.named
    features, weight = named["input"], named["weight"]
    dims, groups = weight.dim() - 2, int(named.get("groups", 1))
    outputs = weight.shape[1] if "transpose" in run.name else weight.shape[0] // groups
    channels = features.dim() - dims - 1
    mean = features.unflatten(channels, (groups, -1)).mean(channels + 1)
    for kernel, how in _passes(run.name, tuple(weight.shape[2:]), named):
        share = mean.new_full((groups, 1, *kernel), 1 / prod(kernel))
        mean = run.function(mean, share, **how, groups=groups)
    result = _even(mean).repeat_interleave(outputs, dim=channels)
    return result + weight.abs().mean() if depends(weight) else result


def _passes(
    name: str, size: tuple[int, ...], named: Named
) -> Iterator[tuple[tuple[int, ...], dict[str, Any]]]:
    """Yield one-dimensional kernels of ones, and their arguments, that together form the kernel.

    A separable kernel is cheaper: 14 weights instead of 7×7.
    """
    if "transpose" in name:
        keys = ("stride", "padding", "output_padding", "dilation")
        yield size, {key: named[key] for key in keys if key in named}
        return
    padding = named.get("padding", 0)
    is_word = isinstance(padding, str)
    steps = sliding.along_each(
        len(size), named.get("stride", 1), 0 if is_word else padding, named.get("dilation", 1)
    )
    for dim, (stride, before, dilation) in enumerate(steps):

        def only(value: int, other: int, at: int = dim) -> tuple[int, ...]:
            return tuple(value if position == at else other for position in range(len(size)))

        yield (
            only(size[dim], 1),
            {
                "stride": only(stride, 1),
                "padding": padding if is_word else only(before, 0),
                "dilation": only(dilation, 1),
            },
        )


def _connected(run: _Run) -> Tensor:
    features, weight = run.named["input"], run.named["weight"]
    mean = _even(features.mean(-1, keepdim=True))
    result = mean.expand(*mean.shape[:-1], weight.shape[0]).contiguous()
    return result + weight.mean() if depends(weight) else result


def _gated(run: _Run) -> Tensor:
    one, other = run.named["input"].chunk(2, run.named.get("dim", -1))
    return one + other  # type: ignore[no-any-return]


_shape_of_all: Callable[..., Any] = torch.broadcast_shapes

_UNCHANGED = (
    *COMPARISONS.split(),
    "channel_shuffle",
    "native_channel_shuffle",
    "complex",
    "polar",
)


def _product(run: _Run) -> Tensor | None:
    """Return averages over a row of one matrix and a column of the other.

    None for a product with a constant matrix, which may have many zeros.
    """
    left, right = run.args[:2]
    learned = all(depends(t) or isinstance(t, nn.Parameter) for t in (left, right))
    if not learned or left.dim() < 2 or right.dim() < 2:
        return None
    batch: Any = _shape_of_all(left.shape[:-2], right.shape[:-2])
    means = [left.mean(-1, keepdim=True)] if depends(left) else []
    means += [right.mean(-2, keepdim=True)] if depends(right) else []
    each = [_even(mean).expand(*batch, left.shape[-2], right.shape[-1]) for mean in means]
    return (each[0] + each[1]) / 2 if len(each) > 1 else each[0].contiguous()


def _added(run: _Run) -> Tensor:
    """Return the mean of the arguments that depend on the image, in the shape of the result."""
    return _mean_of(run.name, list(tensors_in((run.args, run.kwargs))))


def _mean_of(name: str, tensors: list[Tensor]) -> Tensor:
    shape: Any = _shape_of_all(*(tensor.shape for tensor in tensors))
    read = [tensor for tensor in tensors if depends(tensor)]
    if name in ("abs", "angle", "imag"):
        read = [t.real + t.imag if t.is_complex() else t for t in read]
    total = read[0] / len(read)
    for other in read[1:]:
        total = total + other / len(read)
    return total.expand(shape).contiguous() if total.shape != shape else total


def _averaged(run: _Run) -> Tensor:
    """Return averages instead of a softmax or a normalization."""
    features: Tensor = run.named["input"]
    dims = tuple(propagation.dims_of_softmax(run.name, run.named, features.dim()))
    return (features + _even(features.mean(dims, keepdim=True))) / 2


def _reduced(run: _Run) -> Any:
    """Return a mean instead of a maximum, a standard deviation or a product."""
    named = run.named
    features, dim = named["input"], named.get("dim", named.get("axis"))
    if isinstance(dim, Tensor):  # torch.max(one, other)
        return _mean_of("max", [features, dim])
    keep = bool(named.get("keepdim", named.get("keepdims")))
    everything = dim is None or dim == ()
    mean = _even(features.mean() if everything else features.mean(dim, keep))
    with torch.no_grad():
        real = run.result()
    # Some maxima come with their indices.
    return type(real)((mean, *real[1:])) if isinstance(real, tuple) else mean


def _spectrum(run: _Run) -> Tensor:
    """Return averages over the dimensions of a Fourier transform or its inverse."""
    features = run.named["input"]
    dims = propagation.dims_of_transform(run.name, run.named, features.dim())
    with torch.no_grad():
        real = run.result()
    numbers = features.real + features.imag if features.is_complex() else features
    mean = _even(numbers.mean(tuple(dims), keepdim=True)).expand(real.shape).contiguous()
    return torch.complex(mean, mean) if real.is_complex() else mean


def _ordered(run: _Run) -> Any:
    """Return sorted features, each of which depends on all compared features."""
    values, *positions = run.result()
    mean = _even(run.args[0].mean(run.named.get("dim", -1), keepdim=True))
    return (values + mean, *positions)


def _pooled(run: _Run) -> Any:
    """Return average pooling instead of max pooling."""
    named, dims = run.named, int(run.name[-2])
    if named.get("return_indices") or named.get("dilation", 1) not in (1, (1,) * dims):
        return _dilated_pool(named) if dims == 2 else None
    rest = {key: named[key] for key in ("stride", "padding", "ceil_mode") if named.get(key)}
    return _even(_average_of(run.name)(named["input"], named["kernel_size"], **rest))


def _average_of(maximum: str) -> Callable[..., Tensor]:
    """Return the average pool that corresponds to a max pool."""
    average: Callable[..., Tensor] = getattr(F, maximum.replace("max", "avg"))
    return average


def _dilated_pool(named: Named) -> Any:
    features, steps = named["input"], sliding.steps_of(named, 2)
    kernel, stride, padding, dilation = zip(*steps, strict=True)
    maxima = F.max_pool2d_with_indices(
        features.detach(), kernel, stride, padding, dilation, bool(named.get("ceil_mode"))
    )
    (top, behind), (left, right) = ((before, d * k + s) for k, s, before, d in steps)
    channels = features.shape[-3]
    share = features.new_full((channels, 1, *kernel), 1 / prod(kernel))
    spread = F.pad(features, (left, right, top, behind))
    pooled = F.conv2d(spread, share, None, stride, 0, dilation, channels)
    height, width = maxima[0].shape[-2:]
    averages = _even(pooled[..., :height, :width].contiguous())  # like a pool's result, for views
    return (averages, maxima[1]) if named.get("return_indices") else averages


def _pooled_to_size(run: _Run) -> Any:
    if run.named.get("return_indices"):
        return None
    return _even(_average_of(run.name)(run.named["input"], run.named["output_size"]))


def _recurrent(run: _Run) -> Any:
    """Return averages over the steps up to each one; if bidirectional, over all steps."""
    named = run.named
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


def _attention(run: _Run) -> Any:
    """Return averages over all positions; masked attention has no surrogate."""
    named = run.named
    if propagation.is_masked(named):
        return None
    is_layer = "num_heads" in named  # (positions, images, features), and the attention weights
    query, key, value = (named[part] for part in ("query", "key", "value"))
    dim = 0 if is_layer else -2
    means = [t.mean(-1, keepdim=True) for t in (query, key, value)]
    total = means[0] + means[1].mean(dim, keepdim=True) + means[2].mean(dim, keepdim=True)
    result = _even(total / 3).expand(*query.shape[:-1], value.shape[-1]).contiguous()
    if not is_layer:
        return result
    if not named.get("need_weights", True) or not named.get("average_attn_weights", True):
        return (result, None) if not named.get("need_weights", True) else None
    weights = total.movedim(0, -2) if total.dim() == 3 else total
    return result, weights.expand(*weights.shape[:-1], key.shape[0]).contiguous()


def _one_step(run: _Run) -> Any:
    hidden = run.named["hx"]
    states = hidden if isinstance(hidden, tuple) else (hidden,)
    mean = _mean_of("add", [t.mean(-1, keepdim=True) for t in (run.named["input"], *states)])
    found = [mean.expand(state.shape).contiguous() for state in states]
    return tuple(found) if isinstance(hidden, tuple) else found[0]


_BY_PROPAGATION: Mapping[propagation.Propagate, Callable[[_Run], Any]] = {
    propagation.element_wise: _added,
    propagation.along: _averaged,
    propagation.reduced: _reduced,
}

_SURROGATES: Mapping[str, Callable[[_Run], Any]] = {
    "glu": _gated,
    "linear": _connected,
    "multi_head_attention_forward": _attention,
    "scaled_dot_product_attention": _attention,
    **dict.fromkeys(("sort", "topk"), _ordered),
    **dict.fromkeys(("matmul", "mm", "bmm"), _product),
    **dict.fromkeys((f"max_pool{dims}d" for dims in (1, 2, 3)), _pooled),
    **dict.fromkeys((f"adaptive_max_pool{dims}d" for dims in (1, 2, 3)), _pooled_to_size),
    **dict.fromkeys(TRANSFORMS.split(), _spectrum),
    **dict.fromkeys(RECURRENT, _recurrent),
    **dict.fromkeys(CELLS, _one_step),
}


# --- arguments


def _positive(tensor: Tensor) -> Tensor:
    """Return positive weights of different sizes, and features guarded against NaN gradients."""
    if depends(tensor):
        guarded = tensor.view_as(tensor)
        guarded.register_hook(_finite_only)  # type: ignore[no-untyped-call]
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
