"""A few numbers as a row of bars, for the evidence of a finding."""

from __future__ import annotations

import itertools
import math
import statistics
from collections.abc import Sequence

BARS = "▁▂▃▄▅▆▇█"

WIDEST = 3
"""Columns of a bar at most: few numbers need not fill a wide window."""

BY_POWERS = 1_000
"""From this ratio of the largest to the least on, bars grow by powers of ten."""


def sparkline(values: Sequence[float], width: int) -> str:
    """Return numbers as bars in ``width`` columns at most, from the least to the largest.

    Where there are more numbers than columns, a bar is the mean of its share. A number that is not
    finite leaves a gap.
    """
    if width < 1 or not _finite(values):
        return ""
    means = _means(values, width)
    wide = max(1, min(WIDEST, width // len(means)))
    scale = _logarithm if _is_by_powers(values) else float
    heights = [scale(mean) for mean in means]
    low, high = min(_finite(heights)), max(_finite(heights))
    return "".join(_bar(height, low, high) * wide for height in heights)


def caption(values: Sequence[float], label: str) -> str:
    """Return what the bars are, and what the lowest and the highest stands for."""
    finite = _finite(values)
    if not finite:
        return label
    low, high = (f"{end:.3g}" for end in (min(finite), max(finite)))
    ends = low if low == high else f"{low} to {high}"
    return f"{label} ({ends}{', by powers of ten' if _is_by_powers(values) else ''})"


def _finite(values: Sequence[float]) -> list[float]:
    return [value for value in values if math.isfinite(value)]


def _is_by_powers(values: Sequence[float]) -> bool:
    """Whether the numbers are so far apart that only their powers of ten can be compared."""
    finite = _finite(values)
    return min(finite) > 0 and max(finite) / min(finite) >= BY_POWERS


def _means(values: Sequence[float], width: int) -> list[float]:
    """Return at most ``width`` numbers, each the mean of the finite ones of its share."""
    count = min(width, len(values))
    edges = [place * len(values) // count for place in range(count + 1)]
    shares = [_finite(values[a:b]) for a, b in itertools.pairwise(edges)]
    return [statistics.fmean(share) if share else math.nan for share in shares]


def _logarithm(value: float) -> float:
    return math.log10(value) if value > 0 else math.nan


def _bar(height: float, low: float, high: float) -> str:
    if not math.isfinite(height):
        return " "
    share = (height - low) / (high - low) if high > low else 0.5
    return BARS[min(len(BARS) - 1, int(share * len(BARS)))]
