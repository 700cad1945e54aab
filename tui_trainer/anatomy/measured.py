"""Measured receptive fields: the input pixels that a feature depends on."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress

import torch
from torch import Tensor, nn

from tui_trainer.anatomy.field import Field
from tui_trainer.anatomy.surrogates import passes_through, surrogate
from tui_trainer.anatomy.trace import Step, trace
from tui_trainer.models.rng import noise

MAX_CHANNELS = 64
"""The maximum number of a layer's channels that the effective field averages."""

Feature = tuple[int, int] | None
"""A feature of a map as row and column; None for the center."""

Select = Callable[[Tensor, Field | None], Tensor]
"""Selects features from a layer's output, given its receptive fields."""


def measured_field(
    model: nn.Module, input_shape: tuple[int, int, int], position: int, row: int, column: int
) -> Tensor:
    """Return the mask of image pixels that one feature depends on.

    Each function is replaced by a surrogate with the same inputs whose gradient does not vanish
    (see :mod:`tui_trainer.anatomy.surrogates`). The model itself is not changed.

    Args:
        model: Maps (1, channels, height, width) to logits, on any device.
        input_shape: Height, width and channels of the image.
        position: The index of the layer in the layer table.
        row: The feature's row in the layer's map, from 0. A flattened map uses its first feature,
            any other flat output all its features together.
        column: Its column, likewise.

    Returns:
        (height, width), of bool.

    Raises:
        IndexError: If the model has no such layer, or the layer no such feature.
        RuntimeError: If the gradient cannot be computed.
    """
    found = dict(measured_fields(model, input_shape, {position: (row, column)}))
    if position not in found:
        raise IndexError(f"the model has no layer {position}")
    if (field := found[position]) is None:
        raise RuntimeError(f"the field of layer {position} cannot be measured: it has no gradient")
    return field


def measured_fields(
    model: nn.Module, input_shape: tuple[int, int, int], features: Mapping[int, Feature]
) -> Iterator[tuple[int, Tensor | None]]:
    """Yield, for one feature of each given layer, the pixels that it depends on, from one forward.

    Args:
        model: As for :func:`measured_field`.
        input_shape: Likewise.
        features: For each layer's index in the table, the row and column of its feature; None for
            the center of its map, flattened or not.

    Yields:
        A layer's index and a (height, width) mask of bool; None where the gradient cannot be
        computed. If the forward raises, the layers before that are still yielded.
    """
    with torch.inference_mode(False), torch.enable_grad(), _frozen(model):
        image = _positive_image(input_shape, _device(model)).requires_grad_()
        sums, same = _sums(model, image, features)
    fields: dict[int, Tensor | None] = {}
    for position in sorted((*sums, *same)):
        fields[position] = (
            fields[same[position]] if position in same else _pixels(sums[position], image)
        )
        yield position, fields[position]


def _sums(
    model: nn.Module, image: Tensor, features: Mapping[int, Feature]
) -> tuple[dict[int, Tensor], dict[int, int]]:
    """Run a model with surrogates; return the sum of the requested features of each layer.

    Also return, for layers that pass on the features of another layer unchanged, that layer's
    index.
    """
    sums: dict[int, Tensor] = {}
    same: dict[int, int] = {}

    def note(position: int, result: Tensor, field: Field | None) -> None:
        value = _features(result, field, 1, features[position]).sum()
        sums[position] = value.real + value.imag if value.is_complex() else value

    def reached(position: int, step: Step, result: Tensor) -> None:
        if position in features:
            # In a loop, a layer may read a feature that is only measured later.
            source = step.sources[0] if len(step.sources) == 1 else -1
            is_known = source in sums or source in same
            if (
                is_known
                and features[position] == features[source]
                and passes_through(step.call.name)
            ):
                same[position] = source
            else:
                note(position, result, step.field)
        if position == last:
            raise _Stop

    last = max(features, default=0)
    if 0 in features:
        note(0, image, Field.of_image(*image.shape[-2:]))
    if last > 0:
        try:
            trace(model, image, surrogate, reached)
        except _Stop:
            pass
        except Exception:
            if not sums:
                raise
    return sums, same


def _pixels(value: Tensor, image: Tensor) -> Tensor | None:
    """Return the mask (height, width) of pixels with a finite gradient other than 0."""
    found: Tensor | None = None
    if value.requires_grad:
        try:
            with torch.inference_mode(False):
                (found,) = torch.autograd.grad(value, image, retain_graph=True, allow_unused=True)
        except Exception:  # in-place changes of saved tensors, or a custom backward
            return None
    if found is None:
        return torch.zeros(image.shape[-2:], dtype=torch.bool)
    return ((found != 0) & torch.isfinite(found)).any(dim=1)[0].cpu()


def _positive_image(shape: tuple[int, int, int], device: torch.device) -> Tensor:
    """Return an image of different positive pixels, so that no maximum is tied."""
    height, width, channels = shape
    return (noise(1, channels, height, width) + 0.5).to(device)


@contextmanager
def _frozen(model: nn.Module) -> Iterator[None]:
    """Freeze all parameters, so that only what depends on the image requires a gradient."""
    trainable = [parameter for parameter in model.parameters() if parameter.requires_grad]
    for parameter in trainable:
        parameter.requires_grad_(False)
    try:
        yield
    finally:
        for parameter in trainable:
            parameter.requires_grad_(True)


def effective_field(
    model: nn.Module, image: Tensor, position: int, row: int, column: int
) -> Tensor:
    """Return how strongly each pixel of an image changes one feature of a layer.

    It is the effective receptive field of W. Luo, Y. Li, R. Urtasun and R. Zemel, "Understanding
    the Effective Receptive Field in Deep Convolutional Neural Networks", NIPS 2016, for one image
    and the current weights in evaluation mode.

    Args:
        model: Maps (N, channels, height, width) to logits, on any device.
        image: (1, channels, height, width), normalized as for training.
        position: The index of the layer in the layer table.
        row: The feature's row in the layer's map, from 0; ignored for a flat output.
        column: Its column, likewise.

    Returns:
        (height, width): the absolute gradient, averaged over the layer's channels (at most
        ``MAX_CHANNELS`` of them, evenly chosen) and the image's channels.
    """
    image = image.detach().to(_device(model))

    def channels(result: Tensor, field: Field | None) -> Tensor:
        return _features(result, field, 2, (row, column))

    with torch.inference_mode(False), torch.no_grad():
        # Two images: some models cannot take a batch of one.
        count = _at(model, image.repeat(2, 1, 1, 1), position, channels).shape[1]
        chosen = torch.linspace(0, count - 1, min(count, MAX_CHANNELS)).round().long()
        number = max(2, len(chosen))
        images = image.repeat(number, 1, 1, 1)

        def diagonal(result: Tensor, field: Field | None) -> Tensor:
            found = _features(result, field, number, (row, column))[: len(chosen)]
            return found.gather(1, chosen.to(found.device)[:, None]).sum()

        gradient = _gradient(model, images, position, diagonal)
    return gradient[: len(chosen)].abs().mean(dim=(0, 1)).cpu()


def _features(result: Tensor, field: Field | None, images: int, feature: Feature) -> Tensor:
    """Return a layer's features at one position of its map: (images, features)."""
    if field:
        middle = (field.down.features // 2, field.across.features // 2)
        flat = field.down.dim == field.across.dim
        at = middle if feature is None else (0, 0) if flat else feature
        dims: dict[int, int] = {}
        for axis, position in zip(field.axes, at, strict=True):
            if axis.features > 1:
                dims[axis.dim] = dims.get(axis.dim, 0) + position * axis.inner
    else:
        height, width = result.shape[-2:] if result.dim() == 4 else (1, 1)
        at = feature or (height // 2, width // 2)
        dims = {-2: at[0], -1: at[1]} if result.dim() == 4 else {}
    index = [dims.get(dim, slice(None)) for dim in range(-result.dim(), 0)]
    return result[tuple(index)].reshape(images, -1)


class _Stop(BaseException):
    """The layer was reached. A ``BaseException``, so that no ``except Exception`` catches it."""


def _gradient(model: nn.Module, images: Tensor, position: int, feature: Select) -> Tensor:
    """Return the gradient of a layer's feature with respect to the images; 0 where there is none.

    The gradients of the parameters stay as they are.
    """
    images.requires_grad_()

    def gradient(result: Tensor, field: Field | None) -> Tensor:
        # Right here: restoring the model's state may write into the saved weights.
        value, found = feature(result, field), None
        if value.requires_grad:
            (found,) = torch.autograd.grad(value, images, allow_unused=True)
        return torch.zeros_like(images) if found is None else found

    with torch.enable_grad():
        return _at(model, images, position, gradient)


def _at(model: nn.Module, images: Tensor, position: int, select: Select) -> Tensor:
    """Run a model up to one layer, and return what ``select`` returns for its output.

    Raises:
        IndexError: If the model has no such layer.
    """
    found = [select(images, Field.of_image(*images.shape[-2:]))] if position == 0 else []

    def reached(at: int, step: Step, result: Tensor) -> None:
        if at == position:
            found.append(select(result, step.field))
            raise _Stop

    if not found:
        with suppress(_Stop):
            trace(model, images, reached=reached)
    if not found:
        raise IndexError(f"the model has no layer {position}")
    return found[0]


def _device(model: nn.Module) -> torch.device:
    first = next(model.parameters(), None)
    return torch.device("cpu") if first is None else first.device
