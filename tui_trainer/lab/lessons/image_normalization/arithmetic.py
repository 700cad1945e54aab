"""Mean and standard deviation of pixels, before and after shifting and scaling."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

WHITE = 255
"""The brightest gray level of a stored pixel."""


class Scale(NamedTuple):
    """The scaling of a gray level from 0 to 1 for a model: (gray − shift) / divisor."""

    shift: float
    divisor: float

    def of(self, gray: float) -> float:
        """Return a gray level from 0 to 1 on this scale."""
        return (gray - self.shift) / self.divisor


RAW = Scale(0.0, 1 / WHITE)
"""Stored pixels, 0 to 255."""

UNIT = Scale(0.0, 1.0)
"""Pixels from 0 to 1."""


def statistics(counts: Sequence[int]) -> tuple[float, float]:
    """Return mean and standard deviation of pixels on a scale of 0 to 1.

    μ = Σ n·x / N and σ = √(Σ n·(x − μ)² / N), over the 256 levels x = 0, 1/255 … 1.

    Args:
        counts: The number of pixels of each gray level, black to white; at least one pixel.
    """
    total = sum(counts)
    levels = [level / WHITE for level in range(len(counts))]
    mean = sum(n * x for n, x in zip(counts, levels, strict=True)) / total
    variance = sum(n * (x - mean) ** 2 for n, x in zip(counts, levels, strict=True)) / total
    return mean, math.sqrt(variance)


def over_channels(means: Sequence[float], stds: Sequence[float]) -> tuple[float, float]:
    """Return mean and standard deviation of all pixels from those of channels of one size.

    μ is the mean of the means; σ² = mean(σ² + μ²) − μ², which for one channel is that of it.
    """
    if len(means) == 1:
        return means[0], stds[0]
    mean = sum(means) / len(means)
    squares = sum(m**2 + s**2 for m, s in zip(means, stds, strict=True)) / len(means)
    return mean, math.sqrt(squares - mean**2)


def scaled_statistics(mean: float, std: float, scale: Scale) -> tuple[float, float]:
    """Return mean and standard deviation after scaling: (μ − shift) / divisor, σ / divisor."""
    return scale.of(mean), std / abs(scale.divisor)


def binned(counts: Sequence[int], edges: Sequence[int]) -> list[int]:
    """Return the number of pixels between neighboring edges, the lower edge included."""
    return [sum(counts[low:high]) for low, high in pairwise(edges)]
