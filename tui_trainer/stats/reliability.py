"""Whether a network is as sure as it is right: the reliability diagram, and what is read from it.

A network is calibrated if, of the images of which it is 80 % sure, it has 80 % right.

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
"""A probability below it counts as this: the loss of one image stays a number."""


@dataclass(frozen=True, slots=True)
class CalibrationBin:
    """The images of which a network is about equally sure.

    Attributes:
        low: The confidence above which its images lie …
        high: … and up to which; the lowest bin has its lower end too.
        images: How many.
        correct: How many of them were classified rightly.
        confidence: Their mean confidence; 0 of none.
    """

    low: float
    high: float
    images: int
    correct: int
    confidence: float

    @property
    def accuracy(self) -> float | None:
        """The share that was classified rightly; None of none."""
        return self.correct / self.images if self.images else None

    @property
    def interval(self) -> tuple[float, float] | None:
        """Wilson's 95 % interval of the accuracy."""
        return wilson(self.correct, self.images) if self.images else None

    @property
    def gap(self) -> float:
        """Confidence less accuracy, above 0 where it is too sure; 0 of no images."""
        return self.confidence - self.correct / self.images if self.images else 0.0


@dataclass(frozen=True, slots=True)
class Calibration:
    """The bins of a reliability diagram.

    Attributes:
        bins: The bins, the lowest first; there may be empty ones.
        gap: The mean confidence less the accuracy of all images.
        gap_interval: The 95 % interval of that, from the spread over the images.
    """

    bins: tuple[CalibrationBin, ...]
    gap: float
    gap_interval: tuple[float, float]

    @classmethod
    def of(
        cls, confidence: Sequence[float], is_right: Sequence[bool], edges: Sequence[float]
    ) -> Calibration:
        """Put images into bins.

        Args:
            confidence: The probability of the class that each image was given (N), at least one.
            is_right: Whether it is the true class (N).
            edges: The ends of the bins, rising: one more than bins.
        """
        inside: list[list[float]] = [[] for _ in edges[1:]]
        correct = [0] * len(inside)
        for sure, hit, place in zip(confidence, is_right, places(confidence, edges), strict=True):
            inside[place].append(sure)
            correct[place] += hit
        bins = tuple(
            CalibrationBin(low, high, len(some), hits, math.fsum(some) / max(1, len(some)))
            for low, high, some, hits in zip(edges[:-1], edges[1:], inside, correct, strict=True)
        )
        gaps = [sure - hit for sure, hit in zip(confidence, is_right, strict=True)]
        mean = math.fsum(gaps) / len(gaps)
        spread = math.fsum((gap - mean) ** 2 for gap in gaps) / max(1, len(gaps) - 1)
        half = Z95 * math.sqrt(spread / len(gaps))
        return cls(bins, mean, (mean - half, mean + half))

    @property
    def images(self) -> int:
        """How many images."""
        return sum(each.images for each in self.bins)

    @property
    def ece(self) -> float:
        """The expected calibration error: the mean of the bins' gaps, without sign, by images."""
        return math.fsum(each.images * abs(each.gap) for each in self.bins) / self.images

    @property
    def mce(self) -> float:
        """The maximum calibration error: the largest gap of a bin, without sign."""
        return max(abs(each.gap) for each in self.bins)


def edges_of(
    confidence: Sequence[float], bins: int, binning: str = EQUAL_WIDTH
) -> tuple[float, ...]:
    """Return the ends of bins of equal width, or of about as many images each.

    Bins of equal mass end at quantiles of the confidence, from 0 to the largest one; where many
    images have the same confidence there are fewer of them.

    Args:
        confidence: The confidences (N), at least one.
        bins: How many, at least 1.
        binning: :data:`EQUAL_WIDTH` or :data:`EQUAL_MASS`.
    """
    if binning == EQUAL_WIDTH:
        return tuple(place / bins for place in range(bins + 1))
    inner: list[float] = []
    if bins > 1 and len(confidence) > 1:
        inner = statistics.quantiles(confidence, n=bins, method="inclusive")
    return tuple(sorted({0.0, *inner, max(confidence) or 1.0}))


def places(confidence: Sequence[float], edges: Sequence[float]) -> list[int]:
    """Return the bin of each confidence (N): what lies on an edge belongs to the lower bin."""
    inner = edges[1:-1]
    return [bisect_left(inner, sure) for sure in confidence]


def negative_log_likelihood(right_probabilities: Sequence[float]) -> float:
    """Return the mean of -log of the true classes' probabilities (N), in nats."""
    total = math.fsum(-math.log(max(each, SMALLEST)) for each in right_probabilities)
    return total / len(right_probabilities)


def brier(probabilities: Sequence[Sequence[float]], labels: Sequence[int]) -> float:
    """Return the mean squared distance of the probabilities (N, classes) from the truth, 0 to 2.

    Source: G. W. Brier, "Verification of forecasts expressed in terms of probability", Monthly
    Weather Review 78 (1950), 1-3.
    """
    total = math.fsum(
        math.fsum(each * each for each in row) - 2 * row[label] + 1
        for row, label in zip(probabilities, labels, strict=True)
    )
    return total / len(labels)
