"""Mean and deviation of pixels, and what moving and scaling makes of them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

WHITE = 255
"""The brightest grey of a stored pixel."""


class Scale(NamedTuple):
    """How a grey, 0 to 1, is handed to a network: (grey − shift) / divisor."""

    shift: float
    divisor: float

    def of(self, grey: float) -> float:
        """Return what a grey, 0 to 1, becomes."""
        return (grey - self.shift) / self.divisor


RAW = Scale(0.0, 1 / WHITE)
"""The pixels as they are stored, 0 to 255."""

UNIT = Scale(0.0, 1.0)
"""From 0 to 1."""


def statistics(counts: Sequence[int]) -> tuple[float, float]:
    """Return mean and standard deviation of pixels on a scale of 0 to 1.

    μ = Σ n·x / N and σ = √(Σ n·(x − μ)² / N), over the 256 greys x = 0, 1/255 … 1.

    Args:
        counts: How many pixels have each grey, from black to white; at least one pixel.
    """
    total = sum(counts)
    greys = [grey / WHITE for grey in range(len(counts))]
    mean = sum(n * x for n, x in zip(counts, greys, strict=True)) / total
    variance = sum(n * (x - mean) ** 2 for n, x in zip(counts, greys, strict=True)) / total
    return mean, math.sqrt(variance)


def scaled_statistics(mean: float, std: float, scale: Scale) -> tuple[float, float]:
    """Return the mean and deviation of pixels after scaling: (μ − shift) / divisor, σ / divisor."""
    return scale.of(mean), std / abs(scale.divisor)


def binned(counts: Sequence[int], edges: Sequence[int]) -> list[int]:
    """Return how many pixels lie between neighbouring edges, the lower edge included."""
    return [sum(counts[low:high]) for low, high in pairwise(edges)]
