"""Confidence intervals and tests for accuracies."""

from __future__ import annotations

import math

Z95 = 1.959963984540054
"""The 97.5th percentile of the standard normal distribution: a two-sided 95 % interval."""


def wilson(correct: int, total: int, z: float = Z95) -> tuple[float, float]:
    """Return the Wilson score interval of a proportion, as two fractions of 1.

    It stays within [0, 1] and keeps its coverage near 0 and 1, where accuracies are and the normal
    approximation (Wald interval) fails.

    Args:
        correct: The number of successes.
        total: The number of trials, at least 1.
        z: The quantile of the standard normal distribution; 1.96 gives 95 %.

    Raises:
        ValueError: If ``total`` is below 1 or ``correct`` is not between 0 and ``total``.

    Source: E. B. Wilson, "Probable inference, the law of succession, and statistical inference",
    JASA 22 (1927), 209-212.
    """
    if total < 1 or not 0 <= correct <= total:
        raise ValueError(f"not a proportion: {correct} of {total}")
    p = correct / total
    spread = 1 + z * z / total
    center = (p + z * z / (2 * total)) / spread
    half = z / spread * math.sqrt(p * (1 - p) / total + z * z / (4 * total * total))
    # Exactly 0 or 1 at the ends, in spite of rounding.
    low = 0.0 if correct == 0 else center - half
    high = 1.0 if correct == total else center + half
    return low, high


def mcnemar(only_one: int, only_other: int) -> float:
    """Return the p value of the exact McNemar test of two models on the same images.

    Images that both classify correctly, or both misclassify, carry no information. Under the null
    hypothesis each of the others favors either model with probability ½: the two-sided p value is
    2·P(X ≤ the smaller count), with X binomial with n = ``only_one + only_other`` and ½.

    Args:
        only_one: Images that only the first model classifies correctly.
        only_other: Images that only the second model classifies correctly.

    Source: Q. McNemar, "Note on the sampling error of the difference between correlated proportions
    or percentages", Psychometrika 12 (1947), 153-157, with the binomial instead of the normal
    distribution.
    """
    total, fewer = only_one + only_other, min(only_one, only_other)
    ways = tail = 1
    for count in range(fewer):
        ways = ways * (total - count) // (count + 1)  # each from the previous one: exact and fast
        tail += ways
    return float(min(1.0, 2 * tail / 2**total))
