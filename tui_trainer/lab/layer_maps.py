"""The feature maps of an image, layer by layer, in the run's model or a fallback of the zoo."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from math import ceil, floor

import torch
from torch import Tensor, nn

from tui_trainer.anatomy.review.design import CONVOLUTIONS
from tui_trainer.anatomy.trace import Step, trace
from tui_trainer.lab.context import Context
from tui_trainer.lab.model_variants import layers_of, zoo_model
from tui_trainer.models.tensors import magnitudes, tensors_in
from tui_trainer.protocol.exhibit import Words
from tui_trainer.protocol.layers import LayerRow
from tui_trainer.protocol.reference import model_name


@dataclass(frozen=True, slots=True)
class Subject:
    """A copy of a model to examine: the run's, or a fallback of the zoo.

    Attributes:
        name: The name of the model.
        model: The copy, in evaluation mode.
        layers: Its layer table.
        stands_in: Why it is not the run's own model; empty if it is.
    """

    name: str
    model: nn.Module
    layers: tuple[LayerRow, ...]
    stands_in: str = ""

    @property
    def note(self) -> tuple[Words, ...]:
        """A block with that reason; none if it is the run's own model."""
        return (Words(text=self.stands_in, tone="warning"),) if self.stands_in else ()

    def weight(self, place: int) -> Tensor | None:
        """Return the weights of a layer by its index in the table; None if it has none."""
        weight = getattr(self._module(place), "weight", None)
        return weight.detach().float().cpu() if isinstance(weight, Tensor) else None

    def bias(self, place: int) -> Tensor | None:
        """Return the biases (channels) of a layer; None if it has none."""
        bias = getattr(self._module(place), "bias", None)
        return bias.detach().float().cpu() if isinstance(bias, Tensor) else None

    def _module(self, place: int) -> nn.Module | None:
        return dict(self.model.named_modules()).get(self.layers[place].name)


def subject(
    context: Context,
    fits: Callable[[Subject], bool] = lambda subject: True,
    *,
    fallback: str = "small",
    lacks: str = "convolution",
) -> Subject:
    """Return the run's model if it fits, else an untrained model of the zoo.

    Args:
        context: The context.
        fits: Whether a model has the required layers.
        fallback: A model of the zoo that fits.
        lacks: What a model that does not fit lacks, as in "no convolution".

    Raises:
        InputError: If the fallback cannot be built.
    """
    run_model = Subject(model_name(context.config.model), context.copy(), context.layers)
    if fits(run_model):
        return run_model
    model = context.fresh(fallback)
    model.eval()
    data = context.data
    return Subject(
        fallback,
        model,
        layers_of(*(zoo_model, data.shape, fallback, data.image_size, data.classes, data.channels)),
        f"{run_model.name} has no {lacks}: an untrained {fallback} is shown instead.",
    )


@dataclass(frozen=True, slots=True)
class LayerMaps:
    """The feature maps of a layer for one image.

    Attributes:
        place: The index of the layer in the layer table.
        row: Its row there.
        values: Its maps (channels, height, width), on the CPU.
    """

    place: int
    row: LayerRow
    values: Tensor

    @property
    def is_nonfinite(self) -> bool:
        """Whether some values are not finite, as after a divergence."""
        return not bool(torch.isfinite(self.values).all())


def maps_of(
    seen: Subject,
    digit_input: Tensor,
    kinds: Collection[str] | None = CONVOLUTIONS,
    *,
    flat: bool = False,
) -> list[LayerMaps]:
    """Return the feature maps of an image in layer order.

    Args:
        seen: The model, from :func:`subject`.
        digit_input: One model input (1, channels, height, width).
        kinds: The kinds of layers to return; None for all, including the input. Layers without
            maps, such as fully connected ones, are left out.
        flat: Whether to include flat layers, with maps of 1×1.
    """
    found: list[LayerMaps] = []

    def keep(place: int, result: Tensor) -> None:
        if place >= len(seen.layers):
            return
        row = seen.layers[place]
        height, width, channels = row.output_shape
        if kinds is not None and row.kind not in kinds:
            return
        is_flat = flat and (height, width) == (1, 1) and result.ndim == 2
        if is_flat or result.shape[1:] == (channels, height, width):
            # A copy: an in-place ReLU after it may overwrite it.
            values = magnitudes(result[0]).clone().cpu()
            found.append(LayerMaps(place, row, values[:, None, None] if is_flat else values))

    def reached(place: int, step: Step, result: Tensor) -> None:
        keep(place, result)

    with torch.no_grad():
        keep(0, digit_input)
        trace(seen.model, digit_input, reached=reached)
    return found


def is_convolution(row: LayerRow, *, side: int | None = None) -> bool:
    """Return whether a row is a convolution on a map, optionally with kernel size ``side``."""
    if row.kind not in CONVOLUTIONS or row.kernel_size is None or row.output_shape[:2] == (1, 1):
        return False
    return side is None or row.kernel_size == (side, side)


def place_after(layers: Sequence[LayerRow], place: int, kinds: Collection[str]) -> int:
    """Return the last row of the given kinds directly after a row; the row itself if none."""
    while place + 1 < len(layers) and layers[place + 1].kind in kinds:
        place += 1
    return place


def batch_of_maps(seen: Subject, inputs: Tensor, place: int) -> Tensor:
    """Return a layer's maps (N, channels, height, width) of several images, on the CPU.

    Raises:
        IndexError: If the model has no such layer.
    """
    with torch.no_grad():
        found = inputs if place == 0 else output_at(seen.model, seen.layers, place, inputs)
    if found is None:
        raise IndexError(f"the model has no layer {place}")
    return magnitudes(found).cpu()


class _LayerReached(BaseException):
    """Stops a forward pass at a layer. A model's own ``except Exception`` must not catch it."""

    def __init__(self, result: Tensor) -> None:
        super().__init__()
        self.result = result


def output_at(
    model: nn.Module, rows: Sequence[LayerRow], place: int, inputs: Tensor
) -> Tensor | None:
    """Return the output of a layer by its index in the table; None if it is not reached.

    The layers after it are not run.
    """
    # A row is named after its module if it is the first call and the only operation of it.
    module = dict(model.named_modules()).get(rows[place].name)
    if module is not None:
        return _output_of(model, module, inputs)

    def reached(at: int, step: Step, result: Tensor) -> None:
        if at == place:
            raise _LayerReached(result)

    try:
        trace(model, inputs, reached=reached)
    except _LayerReached as found:
        return found.result
    return None


def input_and_output(
    model: nn.Module, layer: nn.Module, inputs: Tensor
) -> tuple[Tensor, Tensor] | None:
    """Return input and output of a layer; None if it is not reached.

    The layers after it are not run. Of several tensors, as of an LSTM, the first one counts.
    """
    read: list[Tensor] = []

    def reads(module: nn.Module, args: object, kwargs: object) -> None:
        read[:] = [tensor.clone() for tensor in tensors_in((args, kwargs))][:1]

    handle = layer.register_forward_pre_hook(reads, with_kwargs=True)
    with torch.no_grad():
        result = _output_of(model, layer, inputs)
    handle.remove()
    return None if result is None or not read else (read[0], result)


def _output_of(model: nn.Module, layer: nn.Module, inputs: Tensor) -> Tensor | None:
    def gives(module: nn.Module, given: object, result: object) -> None:
        if (first := next(tensors_in(result), None)) is not None:
            raise _LayerReached(first)

    handle = layer.register_forward_hook(gives)
    try:
        model(inputs)
    except _LayerReached as found:
        return found.result
    finally:
        handle.remove()
    return None


def middle_frame(row: LayerRow, size: Sequence[int]) -> tuple[int, int, int, int] | None:
    """Return the receptive field of the middle feature of a layer, clipped to the image.

    Args:
        row: The layer's row.
        size: Height and width of the image.

    Returns:
        Top, left, height and width in pixels; None if the receptive field is not defined.
    """
    down, across, _ = row.output_shape
    box = row.box(down // 2, across // 2)
    if box is None:
        return None
    inside = box.within(size[0], size[1])
    top, left = floor(inside.top), floor(inside.left)
    return top, left, ceil(inside.bottom) - top, ceil(inside.right) - left
