"""The images that excite a unit, and how much."""

from __future__ import annotations

from dataclasses import dataclass, field
from math import isfinite

import torch
from torch import Tensor


@dataclass(frozen=True, slots=True)
class Favourite:
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

    best: list[Favourite] = field(default_factory=list)
    made: list[Favourite] = field(default_factory=list)
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
