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


def mcnemar(only_one: int, only_other: int) -> float:
    """Return how likely two judges of the same images would differ so much by chance alone.

    The images that both get right, or both wrong, say nothing of which is better. Of the others
    each is as likely to speak for the one as for the other if there is no difference: the two-sided
    p value is 2·P(X ≤ the fewer), with X binomial of n = ``only_one + only_other`` and ½.

    Args:
        only_one: Images that only the first one gets right.
        only_other: Images that only the second one does.

    Source: Q. McNemar, "Note on the sampling error of the difference between correlated proportions
    or percentages", Psychometrika 12 (1947), 153-157, with the binomial in place of the normal
    distribution.
    """
    total, fewer = only_one + only_other, min(only_one, only_other)
    ways = tail = 1
    for count in range(fewer):
        ways = ways * (total - count) // (count + 1)  # each from the one before: exact, and quick
        tail += ways
    return float(min(1.0, 2 * tail / 2**total))
