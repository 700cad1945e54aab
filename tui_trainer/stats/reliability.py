"""Calibration: the reliability diagram and its errors.

A model is calibrated if 80 % of the images that it classifies with 80 % confidence are correct.

Sources: C. Guo, G. Pleiss, Y. Sun and K. Weinberger, "On calibration of modern neural networks",
ICML 2017; M. P. Naeini, G. Cooper and M. Hauskrecht, "Obtaining well calibrated probabilities using
Bayesian binning", AAAI 2015 (both errors); J. Nixon and others, "Measuring calibration in deep
learning", CVPR workshops 2019 (bins of equal mass).
"""

from __future__ import annotations

import math
import statistics
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass

from tui_trainer.stats.intervals import Z95, wilson

EQUAL_WIDTH, EQUAL_MASS = "equal width", "equal mass"

SMALLEST = 1e-38
"""Smaller probabilities are clamped to this, so that the loss of an image stays finite."""


@dataclass(frozen=True, slots=True)
class CalibrationBin:
    """A bin of images with similar confidence.

    Attributes:
        low: The lower edge, exclusive (inclusive for the lowest bin).
        high: The upper edge, inclusive.
        images: The number of images.
        correct: The number of them that are classified correctly.
        confidence: Their mean confidence; 0 without images.
    """

    low: float
    high: float
    images: int
    correct: int
    confidence: float

    @property
    def accuracy(self) -> float | None:
        """The accuracy of the bin; None without images."""
        return self.correct / self.images if self.images else None

    @property
    def interval(self) -> tuple[float, float] | None:
        """The 95 % Wilson interval of the accuracy."""
        return wilson(self.correct, self.images) if self.images else None

    @property
    def gap(self) -> float:
        """Confidence minus accuracy, above 0 if overconfident; 0 without images."""
        return self.confidence - self.correct / self.images if self.images else 0.0


@dataclass(frozen=True, slots=True)
class Calibration:
    """The bins of a reliability diagram.

    Attributes:
        bins: The bins, the lowest first; some may be empty.
        gap: The mean confidence minus the accuracy, over all images.
        gap_interval: The 95 % interval of that, from its variance over the images.
    """

    bins: tuple[CalibrationBin, ...]
    gap: float
    gap_interval: tuple[float, float]

    @classmethod
    def of(
        cls, confidence: Sequence[float], is_correct: Sequence[bool], edges: Sequence[float]
    ) -> Calibration:
        """Sort images into bins.

        Args:
            confidence: The probability of each image's predicted class (N), at least one.
            is_correct: Whether the prediction is correct (N).
            edges: The edges of the bins, increasing: one more than bins.
        """
        inside: list[list[float]] = [[] for _ in edges[1:]]
        correct = [0] * len(inside)
        for value, is_true, place in zip(
            confidence, is_correct, places(confidence, edges), strict=True
        ):
            inside[place].append(value)
            correct[place] += is_true
        bins = tuple(
            CalibrationBin(low, high, len(some), count, math.fsum(some) / max(1, len(some)))
            for low, high, some, count in zip(edges[:-1], edges[1:], inside, correct, strict=True)
        )
        gaps = [value - is_true for value, is_true in zip(confidence, is_correct, strict=True)]
        mean = math.fsum(gaps) / len(gaps)
        spread = math.fsum((gap - mean) ** 2 for gap in gaps) / max(1, len(gaps) - 1)
        half = Z95 * math.sqrt(spread / len(gaps))
        return cls(bins, mean, (mean - half, mean + half))

    @property
    def images(self) -> int:
        """The number of images."""
        return sum(each.images for each in self.bins)

    @property
    def ece(self) -> float:
        """The expected calibration error: the mean absolute gap of the bins, weighted by images."""
        return math.fsum(each.images * abs(each.gap) for each in self.bins) / self.images

    @property
    def mce(self) -> float:
        """The maximum calibration error: the largest absolute gap of a bin."""
        return max(abs(each.gap) for each in self.bins)


def edges_of(
    confidence: Sequence[float], bins: int, binning: str = EQUAL_WIDTH
) -> tuple[float, ...]:
    """Return the edges of bins of equal width, or of about equal numbers of images.

    The edges of equal-mass bins are quantiles of the confidence; if many images have the same
    confidence, there are fewer bins.

    Args:
        confidence: The confidences (N), at least one.
        bins: The number of bins, at least 1.
        binning: :data:`EQUAL_WIDTH` or :data:`EQUAL_MASS`.
    """
    if binning == EQUAL_WIDTH:
        return tuple(place / bins for place in range(bins + 1))
    inner: list[float] = []
    if bins > 1 and len(confidence) > 1:
        inner = statistics.quantiles(confidence, n=bins, method="inclusive")
    return tuple(sorted({0.0, *inner, max(confidence) or 1.0}))


def places(confidence: Sequence[float], edges: Sequence[float]) -> list[int]:
    """Return the bin of each confidence (N); a value on an edge belongs to the lower bin."""
    inner = edges[1:-1]
    return [bisect_left(inner, value) for value in confidence]


def negative_log_likelihood(true_probabilities: Sequence[float]) -> float:
    """Return the negative log likelihood of the true classes' probabilities (N), in nats."""
    total = math.fsum(-math.log(max(each, SMALLEST)) for each in true_probabilities)
    return total / len(true_probabilities)


def brier(probabilities: Sequence[Sequence[float]], labels: Sequence[int]) -> float:
    """Return the Brier score of probabilities (N, classes), from 0 to 2.

    Source: G. W. Brier, "Verification of forecasts expressed in terms of probability", Monthly
    Weather Review 78 (1950), 1-3.
    """
    total = math.fsum(
        math.fsum(each * each for each in row) - 2 * row[label] + 1
        for row, label in zip(probabilities, labels, strict=True)
    )
    return total / len(labels)
