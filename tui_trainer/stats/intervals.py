"""Confidence intervals and tests for accuracies."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

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


@dataclass(frozen=True, slots=True)
class PairedAccuracy:
    """How many images of one set two models classify correctly.

    Attributes:
        both: The images that both models classify correctly.
        only_first: Those that only the first one does.
        only_second: Those that only the second one does.
        neither: Those that neither does.
    """

    both: int
    only_first: int
    only_second: int
    neither: int

    @property
    def images(self) -> int:
        """The number of images."""
        return self.both + self.only_first + self.only_second + self.neither

    @property
    def first_accuracy(self) -> float:
        """The accuracy of the first model."""
        return (self.both + self.only_first) / self.images

    @property
    def second_accuracy(self) -> float:
        """The accuracy of the second model."""
        return (self.both + self.only_second) / self.images

    @property
    def difference(self) -> float:
        """The accuracy of the first model minus that of the second, as a fraction."""
        return (self.only_first - self.only_second) / self.images

    @property
    def p(self) -> float:
        """The p value of "their accuracies are equal": McNemar's exact test."""
        return mcnemar(self.only_first, self.only_second)

    @property
    def interval(self) -> tuple[float, float]:
        """The 95 % interval of the difference, within [-1, 1].

        Half an image is added to each of the four counts, so that it has a width where the models
        agree on all images.

        Source: A. Agresti and Y. Min, "Simple improved confidence intervals for comparing matched
        proportions", Statistics in Medicine 24 (2005), 729-740.
        """
        total = self.images + 2
        middle = (self.only_first - self.only_second) / total
        disagreement = (self.only_first + self.only_second + 1) / total
        half = Z95 * math.sqrt((disagreement - middle * middle) / total)
        return max(-1.0, middle - half), min(1.0, middle + half)


def holm(p_values: Sequence[float]) -> list[float]:
    """Return the p values of several tests, adjusted for their number; NaN stays, and counts not.

    A family of tests whose adjusted p values are compared with 0.05 reports any difference where
    there is none in at most 5 % of the cases.

    Source: S. Holm, "A simple sequentially rejective multiple test procedure", Scandinavian Journal
    of Statistics 6 (1979), 65-70.
    """
    adjusted = list(p_values)
    known = sorted((p, index) for index, p in enumerate(p_values) if not math.isnan(p))
    largest = 0.0
    for place, (p, index) in enumerate(known):
        largest = max(largest, min(1.0, (len(known) - place) * p))
        adjusted[index] = largest
    return adjusted
