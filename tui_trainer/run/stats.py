"""The few formulas by which a measured figure is judged."""

from __future__ import annotations

import math

Z95 = 1.959963984540054
"""The 97.5th percentile of the standard normal distribution: a two-sided 95 % interval."""


def wilson(correct: int, total: int, z: float = Z95) -> tuple[float, float]:
    """Return the Wilson score interval of a proportion, as two fractions of 1.

    It stays inside [0, 1] and keeps its coverage close to 0 and 1, where accuracies live and the
    plain normal interval fails.

    Args:
        correct: How many of ``total`` were right.
        total: How many were tried; at least 1.
        z: The quantile of the standard normal distribution; 1.96 gives 95 %.

    Raises:
        ValueError: If ``total`` is below 1 or ``correct`` is not within 0 and ``total``.

    Source: E. B. Wilson, "Probable inference, the law of succession, and statistical inference",
    JASA 22 (1927), 209-212.
    """
    if total < 1 or not 0 <= correct <= total:
        raise ValueError(f"not a proportion: {correct} of {total}")
    p = correct / total
    spread = 1 + z * z / total
    centre = (p + z * z / (2 * total)) / spread
    half = z / spread * math.sqrt(p * (1 - p) / total + z * z / (4 * total * total))
    # At the ends it is 0 or 1, which rounding would miss by a hair.
    low = 0.0 if correct == 0 else centre - half
    high = 1.0 if correct == total else centre + half
    return low, high
