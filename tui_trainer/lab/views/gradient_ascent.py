"""Activation maximization: the activation of a unit, and an image that maximizes it."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass, field
from math import isfinite

import torch
from torch import Tensor, nn
from torch.nn import functional

from tui_trainer.lab.layer_maps import output_at
from tui_trainer.models.tensors import are_probabilities
from tui_trainer.protocol.layers import LayerRow

STEPS = 60
"""Steps of gradient ascent."""

LR, BETAS = 0.05, (0.9, 0.999)
"""Learning rate of Adam, in grays from 0 to 1, and its betas."""

ROUGHNESS, BRIGHTNESS = 2.0, 0.5
"""Weights of the penalties on total variation (roughness) and on the mean gray (brightness)."""

JITTER_FROM = 9
"""From this receptive field on, the image is jittered by one pixel before each step."""

EPSILON = 1e-6


@dataclass(frozen=True, slots=True)
class Unit:
    """A channel of a layer, or a logit.

    Attributes:
        place: The index of the layer in the layer table; None for the logits.
        number: The channel, or the class.
    """

    place: int | None
    number: int


@dataclass(frozen=True, slots=True)
class ActivatingImage:
    """An image, and the activation of a unit on it.

    Attributes:
        pixels: The grays (H, W) or colors (3, H, W), 0 to 255.
        label: The class; None for a generated image.
        value: The activation.
        box: Top, left, height and width of the receptive field in pixels; it may extend beyond the
            image. None where it is not defined.
        name: The name of the class: ``cat``, or ``7``.
    """

    pixels: Tensor
    label: int | None
    value: float
    box: tuple[int, int, int, int] | None
    name: str = ""

    @property
    def caption(self) -> str:
        """The class and the activation."""
        class_ = f"a {self.label}" if self.name == str(self.label) else self.name
        return f"{'generated' if self.label is None else class_}: {self.value:.2g}"

    @property
    def is_whole(self) -> bool:
        """Whether the receptive field covers the image, or is not defined."""
        if self.box is None:
            return True
        top, left, height, width = self.box
        tall, wide = self.pixels.shape[-2:]
        return top <= 0 and left <= 0 and top + height >= tall and left + width >= wide

    @property
    def cut(self) -> Tensor:
        """The receptive field, black beyond the image."""
        if self.box is None or self.is_whole:
            return self.pixels
        top, left, height, width = self.box
        padded = functional.pad(self.pixels, (width, width, height, height))
        return padded[..., top + height : top + 2 * height, left + width : left + 2 * width]


@dataclass(slots=True)
class Search:
    """The results for a unit so far.

    Attributes:
        best: The maximally activating images, the highest activation first.
        generated: The images that were made.
        values: The largest activation on each searched image.
        labels: The classes of these images.
    """

    best: list[ActivatingImage] = field(default_factory=list)
    generated: list[ActivatingImage] = field(default_factory=list)
    values: list[float] = field(default_factory=list)
    labels: list[int] = field(default_factory=list)

    @property
    def by_class(self) -> list[tuple[int, float]]:
        """The mean of the largest activations by class, the highest first."""
        sums: dict[int, list[float]] = {}
        for label, value in zip(self.labels, self.values, strict=True):
            sums.setdefault(label, []).append(value)
        means = [(label, sum(values) / len(values)) for label, values in sums.items()]
        return sorted(means, key=lambda pair: -pair[1])

    @property
    def scale(self) -> float:
        """The standard deviation of the activation over the images."""
        spread = float(torch.tensor(self.values).std(correction=0)) if self.values else 0.0
        return spread if isfinite(spread) and spread > 0 else 1.0


def activations(
    model: nn.Module, rows: Sequence[LayerRow], unit: Unit, inputs: Tensor
) -> Tensor | None:
    """Return the activations of a unit at each position of its map (N, h, w), differentiable.

    For a class it is the logit, or the logarithm of the probability if the model ends in a softmax.

    Args:
        model: A copy of the model, in evaluation mode.
        rows: Its layer table.
        unit: The unit.
        inputs: Model inputs (N, channels, H, W).

    Returns:
        The activations; None if the layer is not reached, or its output is neither 2D nor 4D.
    """
    if unit.place is None:
        logits = model(inputs)
        if are_probabilities(logits.detach()):
            logits = logits.clamp(min=EPSILON).log()
        found: Tensor | None = logits
    else:
        found = output_at(model, rows, unit.place, inputs)
    if found is None or found.ndim not in (2, 4) or unit.number >= found.shape[1]:
        return None
    chosen = found[:, unit.number]
    return chosen[:, None, None] if chosen.ndim == 1 else chosen


def generated(
    model: nn.Module,
    rows: Sequence[LayerRow],
    unit: Unit,
    start: Tensor,
    *,
    black: Tensor | float,
    white: Tensor | float,
    scale: float,
    is_moved: bool,
    part: int,
) -> Generator[Tensor, None, None]:
    """Maximize the activation of a unit by gradient ascent from noise; yield grays (N, 1, H, H).

    It maximizes the activation at the center of the map in units of ``scale``, minus penalties
    on total variation (roughness) and brightness; grays are clamped to [0, 1]. Such an image shows
    what drives the unit, not what it sees in the data.

    Source: D. Erhan, Y. Bengio, A. Courville, P. Vincent, "Visualizing higher-layer features of a
    deep network" (2009); total variation: A. Mahendran, A. Vedaldi, "Understanding deep image
    representations by inverting them", CVPR 2015.

    Args:
        model: A copy of the model, in evaluation mode.
        rows: Its layer table.
        unit: The unit.
        start: Initial grays from 0 to 1 (N, channels, H, H).
        black: The values (channels, 1, 1) of a black pixel after normalization.
        white: Those of a white pixel.
        scale: The standard deviation of the activation over images.
        is_moved: Whether to jitter the image by one pixel, so that no detail depends on one pixel.
        part: Steps per slice.
    """
    grays = start.clone().requires_grad_(True)
    # Adam by hand: the first step of a torch.optim optimizer spends seconds on imports.
    first, second = torch.zeros_like(start), torch.zeros_like(start)
    for step in range(1, STEPS + 1):
        with torch.enable_grad():
            moves = torch.randint(-1, 2, (2,)).tolist() if is_moved else [0, 0]
            moved = grays.roll(moves, dims=(2, 3))
            values = activations(model, rows, unit, black + (white - black) * moved)
            if values is None or not values.requires_grad:
                return
            middle = values[:, values.shape[1] // 2, values.shape[2] // 2]
            value = (middle / scale - _penalty(grays)).sum()
            (gradient,) = torch.autograd.grad(-value, grays, allow_unused=True)
        if gradient is None:
            return
        first.lerp_(gradient, 1 - BETAS[0])
        second.lerp_(gradient**2, 1 - BETAS[1])
        mean, square = first / (1 - BETAS[0] ** step), second / (1 - BETAS[1] ** step)
        with torch.no_grad():
            grays.sub_(LR * mean / (square.sqrt() + EPSILON)).clamp_(0, 1)
        if step % part == 0 or step == STEPS:
            yield grays.detach().clone()


def _penalty(grays: Tensor) -> Tensor:
    """Return the penalty on roughness and brightness of each image (N)."""
    down = (grays[:, :, 1:] - grays[:, :, :-1]).abs().mean(dim=(1, 2, 3))
    across = (grays[:, :, :, 1:] - grays[:, :, :, :-1]).abs().mean(dim=(1, 2, 3))
    return ROUGHNESS * (down + across) + BRIGHTNESS * grays.mean(dim=(1, 2, 3))
