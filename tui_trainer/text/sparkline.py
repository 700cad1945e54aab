"""Sparklines, for the evidence of findings."""

from __future__ import annotations

import itertools
import math
import statistics
from collections.abc import Sequence

BARS = "▁▂▃▄▅▆▇█"

WIDEST = 3
"""The maximum width of a bar, in columns."""

BY_POWERS = 1_000
"""The ratio of the largest to the smallest value from which the scale is logarithmic."""


def sparkline(values: Sequence[float], width: int) -> str:
    """Return a sparkline of at most ``width`` columns, from the smallest to the largest value.

    With more values than columns, a bar is the mean of several. A non-finite value leaves a gap.
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
    """Return the caption: the label, and the values of the lowest and the highest bar."""
    finite = _finite(values)
    if not finite:
        return label
    low, high = (f"{end:.3g}" for end in (min(finite), max(finite)))
    ends = low if low == high else f"{low} to {high}"
    return f"{label} ({ends}{', by powers of ten' if _is_by_powers(values) else ''})"


def _finite(values: Sequence[float]) -> list[float]:
    return [value for value in values if math.isfinite(value)]


def _is_by_powers(values: Sequence[float]) -> bool:
    """Whether the range is so wide that the scale must be logarithmic."""
    finite = _finite(values)
    return min(finite) > 0 and max(finite) / min(finite) >= BY_POWERS


def _means(values: Sequence[float], width: int) -> list[float]:
    """Return at most ``width`` means over equal parts, of the finite values."""
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
