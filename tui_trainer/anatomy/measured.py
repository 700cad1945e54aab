"""What a feature sees, measured: the input pixels that its gradient reaches."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tui_trainer.anatomy.field import Field
from tui_trainer.anatomy.operations import bind, operation_of
from tui_trainer.anatomy.trace import Execute, Step, as_it_is, trace
from tui_trainer.anatomy.windows import pool

MOST_CHANNELS = 64
"""How many of a layer's channels the effective field is the mean of, at most."""

Look = Callable[[Tensor, Field | None], Tensor]
"""Takes what is wanted out of a layer's output, given what its features see."""

_LEFT_OUT = ("relu", "activation", "softmax", "dropout")


def measured_field(
    network: nn.Module, input_shape: tuple[int, int, int], place: int, row: int, column: int
) -> Tensor:
    """Return which pixels of the image one feature sees, by its gradient.

    So that no gradient vanishes by chance, it is run as if all weights were positive, without
    biases, batch norm, activations and dropout, and with averages for maxima. The network itself
    is not changed.

    Args:
        network: Maps (1, channels, height, width) to scores, on any device.
        input_shape: Height, width and channels of the image.
        place: The layer's place in the layer table.
        row: The feature's row in the layer's map, from 0; without meaning for a flat output. Of a
            flattened map, the first feature is looked at, of any other all features together.
        column: Its column, likewise.

    Returns:
        (height, width), of bool.
    """
    height, width, channels = input_shape
    with torch.inference_mode(False):
        image = _wide(torch.ones(1, channels, height, width, device=_device(network)))

        def feature(result: Tensor, field: Field | None) -> Tensor:
            return _features(result, field, 1, row, column).sum()

        gradient = _gradient(network, image, place, feature, _positive)
    return (gradient != 0).any(dim=1)[0].cpu()


def effective_field(network: nn.Module, image: Tensor, place: int, row: int, column: int) -> Tensor:
    """Return how strongly each pixel of an image moves one feature of a layer.

    It is what W. Luo, Y. Li, R. Urtasun and R. Zemel call the effective receptive field
    ("Understanding the Effective Receptive Field in Deep Convolutional Neural Networks", NIPS
    2016), for one image, with the weights as they are and in evaluation mode.

    Args:
        network: Maps (N, channels, height, width) to scores, on any device.
        image: (1, channels, height, width), prepared as for training.
        place: The layer's place in the layer table.
        row: The feature's row in the layer's map, from 0; without meaning for a flat output.
        column: Its column, likewise.

    Returns:
        (height, width): the size of the gradient, its mean over the layer's channels (at most
        ``MOST_CHANNELS`` of them, evenly chosen) and the image's.
    """
    image = image.detach().to(_device(network))

    def channels(result: Tensor, field: Field | None) -> Tensor:
        return _features(result, field, 1, row, column)

    with torch.inference_mode(False), torch.no_grad():
        count = _at(network, image, place, channels).shape[1]
        chosen = torch.linspace(0, count - 1, min(count, MOST_CHANNELS)).round().long()
        images = image.repeat(len(chosen), 1, 1, 1)

        def diagonal(result: Tensor, field: Field | None) -> Tensor:
            found = _features(result, field, len(chosen), row, column)
            return found.gather(1, chosen.to(found.device)[:, None]).sum()

        gradient = _gradient(network, images, place, diagonal)
    return gradient.abs().mean(dim=(0, 1)).cpu()


def _features(result: Tensor, field: Field | None, images: int, row: int, column: int) -> Tensor:
    """Return a layer's features at a place of its map: (images, features)."""
    dims = {-2: row, -1: column} if result.dim() == 4 else {}
    if field:
        flat = field.down.dim == field.across.dim
        places = zip(field.axes, (0, 0) if flat else (row, column), strict=True)
        dims = {axis.dim: place for axis, place in places if axis.features > 1}
    index = [dims.get(dim, slice(None)) for dim in range(-result.dim(), 0)]
    return result[tuple(index)].reshape(images, -1)


class _Enough(BaseException):
    """The layer was reached. No network's own ``except Exception`` is to hold it up."""


def _gradient(
    network: nn.Module,
    images: Tensor,
    place: int,
    feature: Look,
    execute: Execute = as_it_is,
) -> Tensor:
    """Return the gradient of a feature of the layer at a place, by the images; 0 where none is.

    No parameter's gradient is touched.
    """
    images.requires_grad_()
    with torch.enable_grad():
        # A copy, for a network may write into what it is given.
        value = _at(network, images.clone(), place, feature, execute)
        if not value.requires_grad:
            return torch.zeros_like(images)
        (gradient,) = torch.autograd.grad(value, images, allow_unused=True)
    return torch.zeros_like(images) if gradient is None else gradient


def _at(
    network: nn.Module,
    images: Tensor,
    place: int,
    look: Look,
    execute: Execute = as_it_is,
) -> Tensor:
    """Return what ``look`` finds in the output of the layer at a place; run the network so far.

    Raises:
        IndexError: If the network has no such layer.
    """
    found = [look(images, Field.of_image(*images.shape[-2:]))] if place == 0 else []

    def reached(at: int, step: Step, result: Tensor) -> None:
        if at == place:
            found.append(look(result, step.field))
            raise _Enough

    if not found:
        with suppress(_Enough):
            trace(network, images, execute, reached)
    if not found:
        raise IndexError(f"the network has no layer {place}")
    return found[0]


def _device(network: nn.Module) -> torch.device:
    first = next(network.parameters(), None)
    return torch.device("cpu") if first is None else first.device


# --- the same functions, with every weight positive


def _positive(
    name: str, run: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]
) -> Any:
    """Run a function such that all that it reads has a share in its result."""
    operation, named = operation_of(name), bind(name, args, kwargs)
    if name != "glu" and (operation.norm or operation.kind in _LEFT_OUT):
        return named["input"]
    if name == "conv2d":
        rest = {key: named[key] for key in _SLIDING if key in named}
        return F.conv2d(named["input"], _even(named["weight"]), **rest)
    if name == "linear":
        return F.linear(named["input"], _even(named["weight"]))
    result = run(*_all_wide(args), **_all_wide(kwargs))
    if average := _AVERAGES.get(name):
        values = average(named, result)
        # Some maxima come with the places where they were found.
        return type(result)((values, *result[1:])) if isinstance(result, tuple) else values
    return result


_SLIDING = ("stride", "padding", "dilation", "groups")


def _average_pool(named: Mapping[str, Any], maxima: Any) -> Tensor:
    """Return the averages of what a pool takes the maxima of."""
    features, window = named["input"], pool(named, (), None)
    (top, behind), (left, right) = (
        (before, dilation * kernel + stride) for kernel, stride, before, dilation in window.steps
    )
    channels = features.shape[-3]
    weight = _even(features.new_empty(channels, 1, *window.kernel))
    wide = F.pad(features, (left, right, top, behind))
    pooled = F.conv2d(wide, weight, None, window.stride, 0, window.dilation, channels)
    height, width = (maxima[0] if isinstance(maxima, tuple) else maxima).shape[-2:]
    return pooled[..., :height, :width].contiguous()  # as a pool leaves it, for views


def _average_places(named: Mapping[str, Any], maxima: Any) -> Tensor:
    return F.adaptive_avg_pool2d(named["input"], named["output_size"])


def _average(named: Mapping[str, Any], maxima: Any) -> Tensor:
    features, dim = named["input"], named.get("dim")
    if isinstance(dim, Tensor):  # torch.max(one, other)
        return torch.add(features, dim)
    keep = bool(named.get("keepdim"))
    mean: Tensor = features.mean() if dim is None else features.mean(dim, keep)
    return mean


_AVERAGES: Mapping[str, Callable[[Mapping[str, Any], Any], Tensor]] = {
    "max_pool2d": _average_pool,
    "adaptive_max_pool2d": _average_places,
    **dict.fromkeys(("max", "amax", "min", "amin"), _average),
    **dict.fromkeys(("maximum", "minimum"), lambda named, _: named["input"] + named["other"]),
}


def _even(weight: Tensor) -> Tensor:
    """Return weights of this shape that take an average, so that nothing over- or underflows."""
    share = weight.shape[0] / weight.numel()
    return _wide(torch.full(weight.shape, share, device=weight.device))


def _wide(numbers: Tensor) -> Tensor:
    """Return numbers as float64, so that a thin share is not lost; mps has none."""
    return numbers.to(torch.float32 if numbers.device.type == "mps" else torch.float64)


def _all_wide(value: Any) -> Any:
    """Return arguments with all the numbers in their tensors wide."""
    if isinstance(value, Tensor):
        return _wide(value) if value.is_floating_point() else value
    if isinstance(value, Mapping):
        return {name: _all_wide(part) for name, part in value.items()}
    if type(value) in (tuple, list):
        return type(value)(_all_wide(part) for part in value)
    return value
