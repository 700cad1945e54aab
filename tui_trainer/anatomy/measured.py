"""What a feature sees, measured: the input pixels that it depends on."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress

import torch
from torch import Tensor, nn

from tui_trainer.anatomy.field import Field
from tui_trainer.anatomy.surrogates import passes_through, surrogate
from tui_trainer.anatomy.trace import Step, trace
from tui_trainer.models.rng import noise

MOST_CHANNELS = 64
"""How many of a layer's channels the effective field is the mean of, at most."""

Feature = tuple[int, int] | None
"""A feature of a map by its row and column; None for the one in the middle."""

Select = Callable[[Tensor, Field | None], Tensor]
"""Takes what is wanted out of a layer's output, given what its features see."""


def measured_field(
    model: nn.Module, input_shape: tuple[int, int, int], position: int, row: int, column: int
) -> Tensor:
    """Return which pixels of the image one feature depends on.

    Each function is replaced by one that reads the same and whose gradient does not vanish (see
    :mod:`tui_trainer.anatomy.surrogates`). The network itself is not changed.

    Args:
        model: Maps (1, channels, height, width) to scores, on any device.
        input_shape: Height, width and channels of the image.
        position: The layer's place in the layer table.
        row: The feature's row in the layer's map, from 0; without meaning for a flat output. Of a
            flattened map, the first feature is looked at, of any other all features together.
        column: Its column, likewise.

    Returns:
        (height, width), of bool.

    Raises:
        IndexError: If the network has no such layer, or the layer no such feature.
        RuntimeError: If no gradient can be taken.
    """
    found = dict(measured_fields(model, input_shape, {position: (row, column)}))
    if position not in found:
        raise IndexError(f"the network has no layer {position}")
    if (field := found[position]) is None:
        raise RuntimeError(f"the field of layer {position} cannot be measured: it has no gradient")
    return field


def measured_fields(
    model: nn.Module, input_shape: tuple[int, int, int], features: Mapping[int, Feature]
) -> Iterator[tuple[int, Tensor | None]]:
    """Yield which pixels one feature of each of some layers depends on, from one run for all.

    Args:
        model: As for :func:`measured_field`.
        input_shape: Likewise.
        features: For each layer's place in the table, the row and the column of its feature; None
            for the one in the middle of its map, also if that is flattened.

    Yields:
        A layer's place, and (height, width), of bool; None where no gradient can be taken. If the
        network cannot be run to its end, what it reached before is told.
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
    """Run a network's stand-ins; return the sum of each layer's features that are wanted.

    Also return, for layers that pass the features of another on as they are, that one's place.
    """
    sums: dict[int, Tensor] = {}
    same: dict[int, int] = {}

    def note(position: int, result: Tensor, field: Field | None) -> None:
        value = _features(result, field, 1, features[position]).sum()
        sums[position] = value.real + value.imag if value.is_complex() else value

    def reached(position: int, step: Step, result: Tensor) -> None:
        if position in features:
            # In a loop, a layer may have read what is measured only later.
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
    """Return which pixels (height, width) have a gradient that is a number and not 0."""
    found: Tensor | None = None
    if value.requires_grad:
        try:
            with torch.inference_mode(False):
                (found,) = torch.autograd.grad(value, image, retain_graph=True, allow_unused=True)
        except Exception:  # a network that writes into what it still needs, or has its own backward
            return None
    if found is None:
        return torch.zeros(image.shape[-2:], dtype=torch.bool)
    return ((found != 0) & torch.isfinite(found)).any(dim=1)[0].cpu()


def _positive_image(shape: tuple[int, int, int], device: torch.device) -> Tensor:
    """Return an image whose pixels are positive and differ, so that none is a maximum by chance."""
    height, width, channels = shape
    return (noise(1, channels, height, width) + 0.5).to(device)


@contextmanager
def _frozen(model: nn.Module) -> Iterator[None]:
    """Let no parameter require a gradient, so that what does depends on the image."""
    learning = [parameter for parameter in model.parameters() if parameter.requires_grad]
    for parameter in learning:
        parameter.requires_grad_(False)
    try:
        yield
    finally:
        for parameter in learning:
            parameter.requires_grad_(True)


def effective_field(
    model: nn.Module, image: Tensor, position: int, row: int, column: int
) -> Tensor:
    """Return how strongly each pixel of an image moves one feature of a layer.

    It is what W. Luo, Y. Li, R. Urtasun and R. Zemel call the effective receptive field
    ("Understanding the Effective Receptive Field in Deep Convolutional Neural Networks", NIPS
    2016), for one image, with the weights as they are and in evaluation mode.

    Args:
        model: Maps (N, channels, height, width) to scores, on any device.
        image: (1, channels, height, width), prepared as for training.
        position: The layer's place in the layer table.
        row: The feature's row in the layer's map, from 0; without meaning for a flat output.
        column: Its column, likewise.

    Returns:
        (height, width): the size of the gradient, its mean over the layer's channels (at most
        ``MOST_CHANNELS`` of them, evenly chosen) and the image's.
    """
    image = image.detach().to(_device(model))

    def channels(result: Tensor, field: Field | None) -> Tensor:
        return _features(result, field, 2, (row, column))

    with torch.inference_mode(False), torch.no_grad():
        # Two images: some networks cannot take one alone.
        count = _at(model, image.repeat(2, 1, 1, 1), position, channels).shape[1]
        chosen = torch.linspace(0, count - 1, min(count, MOST_CHANNELS)).round().long()
        number = max(2, len(chosen))
        images = image.repeat(number, 1, 1, 1)

        def diagonal(result: Tensor, field: Field | None) -> Tensor:
            found = _features(result, field, number, (row, column))[: len(chosen)]
            return found.gather(1, chosen.to(found.device)[:, None]).sum()

        gradient = _gradient(model, images, position, diagonal)
    return gradient[: len(chosen)].abs().mean(dim=(0, 1)).cpu()


def _features(result: Tensor, field: Field | None, images: int, feature: Feature) -> Tensor:
    """Return a layer's features at a place of its map: (images, features)."""
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
    """The layer was reached. No network's own ``except Exception`` is to hold it up."""


def _gradient(model: nn.Module, images: Tensor, position: int, feature: Select) -> Tensor:
    """Return the gradient of a feature of the layer at a place, by the images; 0 where none is.

    No parameter's gradient is touched.
    """
    images.requires_grad_()

    def gradient(result: Tensor, field: Field | None) -> Tensor:
        # At once: when the network is put back, its weights may be written into.
        value, found = feature(result, field), None
        if value.requires_grad:
            (found,) = torch.autograd.grad(value, images, allow_unused=True)
        return torch.zeros_like(images) if found is None else found

    with torch.enable_grad():
        return _at(model, images, position, gradient)


def _at(model: nn.Module, images: Tensor, position: int, select: Select) -> Tensor:
    """Return what ``select`` finds in the output of the layer at a place; run the network so far.

    Raises:
        IndexError: If the network has no such layer.
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
        raise IndexError(f"the network has no layer {position}")
    return found[0]


def _device(model: nn.Module) -> torch.device:
    first = next(model.parameters(), None)
    return torch.device("cpu") if first is None else first.device
