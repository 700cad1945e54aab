"""What excites a unit: how much an image does, and an image that is made to do it most."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass, field
from math import isfinite

import torch
from torch import Tensor, nn

from tui_trainer.engine.evaluation import are_probabilities
from tui_trainer.lab.layer_maps import output_at
from tui_trainer.protocol.layers import LayerRow

STEPS = 60
"""Steps of gradient ascent."""

LR, BETAS = 0.05, (0.9, 0.999)
"""Its learning rate, in greys from 0 to 1, and what it remembers of former slopes (Adam)."""

ROUGHNESS, BRIGHTNESS = 2.0, 0.5
"""What the mean difference of neighbours, and the mean grey, take from what is climbed."""

JITTER_FROM = 9
"""A unit that sees so many pixels a side has its image moved by one pixel before each step."""

EPSILON = 1e-6


@dataclass(frozen=True, slots=True)
class Unit:
    """A channel of a layer, or a score.

    Attributes:
        place: Of the layer in the layer table; None for the network's scores.
        number: The channel, or the class.
    """

    place: int | None
    number: int


@dataclass(frozen=True, slots=True)
class ActivatingImage:
    """An image, and how much it excites a unit.

    Attributes:
        pixels: Its greys (H, H), 0 to 255.
        label: Its class; None for one that was made.
        value: What the unit gives.
        box: Top, left, height and width of what the unit sees of it, in pixels; it may lie partly
            off the image. None where that is not defined.
    """

    pixels: Tensor
    label: int | None
    value: float
    box: tuple[int, int, int, int] | None

    @property
    def caption(self) -> str:
        """What it is, and how much it excites."""
        return f"{'made' if self.label is None else f'a {self.label}'}: {self.value:.2g}"

    @property
    def is_whole(self) -> bool:
        """Whether the unit sees all of it, or it is not known what."""
        if self.box is None:
            return True
        top, left, height, width = self.box
        tall, wide = self.pixels.shape
        return top <= 0 and left <= 0 and top + height >= tall and left + width >= wide

    @property
    def cut(self) -> Tensor:
        """What the unit sees of it, black where that is off the image."""
        if self.box is None or self.is_whole:
            return self.pixels
        top, left, height, width = self.box
        tall, wide = self.pixels.shape
        padded = self.pixels.new_zeros(tall + 2 * height, wide + 2 * width)
        padded[height : height + tall, width : width + wide] = self.pixels
        return padded[top + height : top + 2 * height, left + width : left + 2 * width]


@dataclass(slots=True)
class Search:
    """What is known of a unit so far.

    Attributes:
        best: The images that excite it most, the best first.
        made: The images that were made.
        values: Its largest value on each image that was looked at.
        labels: Their classes.
    """

    best: list[ActivatingImage] = field(default_factory=list)
    generated: list[ActivatingImage] = field(default_factory=list)
    values: list[float] = field(default_factory=list)
    labels: list[int] = field(default_factory=list)

    @property
    def by_class(self) -> list[tuple[int, float]]:
        """The mean of its largest values by class, the class that excites it most first."""
        sums: dict[int, list[float]] = {}
        for label, value in zip(self.labels, self.values, strict=True):
            sums.setdefault(label, []).append(value)
        means = [(label, sum(values) / len(values)) for label, values in sums.items()]
        return sorted(means, key=lambda pair: -pair[1])

    @property
    def scale(self) -> float:
        """How much its values differ from image to image."""
        spread = float(torch.tensor(self.values).std(correction=0)) if self.values else 0.0
        return spread if isfinite(spread) and spread > 0 else 1.0


def activations(
    model: nn.Module, rows: Sequence[LayerRow], unit: Unit, inputs: Tensor
) -> Tensor | None:
    """Return what a unit gives at each place of its map (N, h, w), with its gradient.

    Of a score it is what the network gives before a softmax, or the logarithm of a probability.

    Args:
        model: A copy of the network, in evaluation mode.
        rows: Its layer table.
        unit: The unit.
        inputs: Images as the network gets them (N, channels, H, W).

    Returns:
        What it gives; None where the layer is not reached, or gives neither maps nor a row.
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
    black: float,
    white: float,
    scale: float,
    is_moved: bool,
    part: int,
) -> Generator[Tensor, None, None]:
    """Climb from noise to an image that excites a unit most; yield it (N, 1, H, H) on the way.

    The unit is the one in the middle of its map. What is climbed is its value in units of
    ``scale``, less a little for roughness (total variation) and for brightness; greys stay between
    0 and 1. A picture made so shows what moves the unit, not what it meets in digits.

    Source: D. Erhan, Y. Bengio, A. Courville, P. Vincent, "Visualizing higher-layer features of a
    deep network" (2009); total variation: A. Mahendran, A. Vedaldi, "Understanding deep image
    representations by inverting them", CVPR 2015.

    Args:
        model: A copy of the network, in evaluation mode.
        rows: Its layer table.
        unit: The unit.
        start: Greys from 0 to 1 to begin from (N, channels, H, H).
        black: What a black pixel is to the network.
        white: What a white one is.
        scale: How much the unit differs from image to image.
        is_moved: Whether the image is moved about by a pixel, so that nothing hangs on one.
        part: Steps before it yields.
    """
    greys = start.clone().requires_grad_(True)
    # By hand: the first step of one of torch's optimizers imports for seconds.
    first, second = torch.zeros_like(start), torch.zeros_like(start)
    for step in range(1, STEPS + 1):
        with torch.enable_grad():
            moves = torch.randint(-1, 2, (2,)).tolist() if is_moved else [0, 0]
            moved = greys.roll(moves, dims=(2, 3))
            values = activations(model, rows, unit, black + (white - black) * moved)
            if values is None or not values.requires_grad:
                return
            middle = values[:, values.shape[1] // 2, values.shape[2] // 2]
            height = (middle / scale - _penalty(greys)).sum()
            (slope,) = torch.autograd.grad(-height, greys, allow_unused=True)
        if slope is None:
            return
        first.lerp_(slope, 1 - BETAS[0])
        second.lerp_(slope**2, 1 - BETAS[1])
        mean, square = first / (1 - BETAS[0] ** step), second / (1 - BETAS[1] ** step)
        with torch.no_grad():
            greys.sub_(LR * mean / (square.sqrt() + EPSILON)).clamp_(0, 1)
        if step % part == 0 or step == STEPS:
            yield greys.detach().clone()


def _penalty(greys: Tensor) -> Tensor:
    """Return what the roughness and the brightness of each image cost (N)."""
    down = (greys[:, :, 1:] - greys[:, :, :-1]).abs().mean(dim=(1, 2, 3))
    across = (greys[:, :, :, 1:] - greys[:, :, :, :-1]).abs().mean(dim=(1, 2, 3))
    return ROUGHNESS * (down + across) + BRIGHTNESS * greys.mean(dim=(1, 2, 3))
