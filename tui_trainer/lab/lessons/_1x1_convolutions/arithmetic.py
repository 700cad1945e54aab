"""A 1×1 convolution in plain Python: a weighted sum of channels, pixel by pixel."""

from __future__ import annotations

import math
from collections.abc import Sequence

Rows = Sequence[Sequence[float]]


def mixed(maps: Sequence[Rows], weights: Sequence[float]) -> list[list[float]]:
    """Return the weighted sum of maps of one size: Σ w·x at every pixel."""
    height, width = len(maps[0]), len(maps[0][0])
    return [
        [
            sum(weight * rows[y][x] for weight, rows in zip(weights, maps, strict=True))
            for x in range(width)
        ]
        for y in range(height)
    ]


def relu(rows: Rows) -> list[list[float]]:
    """Return a map with its negative values set to 0; NaN stays NaN."""
    return [[0.0 if value < 0 else value for value in row] for row in rows]


def correlation(one: Sequence[float], other: Sequence[float]) -> float | None:
    """Return Pearson's correlation of two sequences; None if one of them is constant."""
    mean, mean_other = sum(one) / len(one), sum(other) / len(other)
    a, b = [value - mean for value in one], [value - mean_other for value in other]
    size = math.sqrt(sum(value**2 for value in a) * sum(value**2 for value in b))
    if not size > 0:
        return None
    return sum(x * y for x, y in zip(a, b, strict=True)) / size
