"""The confusion matrix and the metrics derived from it."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from tui_trainer.stats.intervals import Z95, wilson

Interval = tuple[float, float]


@dataclass(frozen=True, slots=True)
class ClassMetrics:
    """The metrics of one class.

    Attributes:
        label: The class.
        images: The number of its images (the support).
        predicted: How often it was predicted.
        correct: How often it was predicted correctly (the true positives).
    """

    label: int
    images: int
    predicted: int
    correct: int

    @property
    def precision(self) -> float | None:
        """The share of its predictions that are correct; None if it was never predicted."""
        return self.correct / self.predicted if self.predicted else None

    @property
    def recall(self) -> float | None:
        """The share of its images that are classified correctly; None without images."""
        return self.correct / self.images if self.images else None

    @property
    def f1(self) -> float | None:
        """The harmonic mean of both: 2·correct / (images + predicted); None if that is 0/0."""
        total = self.images + self.predicted
        return 2 * self.correct / total if total else None

    @property
    def precision_interval(self) -> Interval | None:
        """The 95 % Wilson interval of precision, over the predictions of the class."""
        return wilson(self.correct, self.predicted) if self.predicted else None

    @property
    def recall_interval(self) -> Interval | None:
        """The 95 % Wilson interval of recall, over the images of the class."""
        return wilson(self.correct, self.images) if self.images else None

    @property
    def f1_interval(self) -> Interval | None:
        """The 95 % interval of F1, over the images that are of the class or predicted as it.

        F1 is 2·J / (1 + J) with the Jaccard index J = correct / (images + predicted - correct).
        Given the number of such images, ``correct`` is binomial with J, and F1 increases with J:
        the ends of the Wilson interval of J, transformed, are those of F1, within [0, 1].

        Source of the formula: C. J. van Rijsbergen, "Information Retrieval", 2nd edition (1979),
        chapters 3 and 7 (F1 is Dice's coefficient of the two sets).
        """
        union = self.images + self.predicted - self.correct
        if not union:
            return None
        low, high = wilson(self.correct, union)
        return 2 * low / (1 + low), 2 * high / (1 + high)


@dataclass(frozen=True, slots=True)
class Average:
    """An average over all classes, with its 95 % interval."""

    value: float
    interval: Interval


@dataclass(frozen=True, slots=True)
class Confusion:
    """A confusion matrix.

    Attributes:
        counts: Numbers of images by true class (rows) and predicted class (columns).
    """

    counts: tuple[tuple[int, ...], ...]

    @classmethod
    def of(cls, labels: Iterable[int], predictions: Iterable[int], classes: int) -> Confusion:
        """Count images by their true and predicted classes, each from 0 to ``classes`` - 1."""
        counts = [[0] * classes for _ in range(classes)]
        for label, predicted in zip(labels, predictions, strict=True):
            counts[label][predicted] += 1
        return cls(tuple(map(tuple, counts)))

    @property
    def classes(self) -> int:
        """The number of classes."""
        return len(self.counts)

    @property
    def total(self) -> int:
        """The number of images."""
        return sum(map(sum, self.counts))

    @property
    def correct(self) -> int:
        """The number of correctly classified images."""
        return sum(self.counts[each][each] for each in range(self.classes))

    @property
    def images(self) -> tuple[int, ...]:
        """The number of images of each class."""
        return tuple(map(sum, self.counts))

    @property
    def predicted(self) -> tuple[int, ...]:
        """How often each class was predicted."""
        return tuple(map(sum, zip(*self.counts, strict=True)))

    def share(self, label: int, predicted: int) -> float:
        """Return the share of a class's images that are predicted as a class; 0 without images."""
        return self.counts[label][predicted] / max(1, self.images[label])

    def worst_pairs(self) -> list[tuple[int, int, int]]:
        """Return true class, predicted class and count of confused pairs, the most frequent first.

        Of two equally frequent pairs, the one with the larger share of its true class comes first.
        """
        pairs = [
            (label, predicted, count)
            for label, row in enumerate(self.counts)
            for predicted, count in enumerate(row)
            if label != predicted and count
        ]
        return sorted(pairs, key=lambda pair: (-pair[2], -self.share(*pair[:2]), pair))

    @property
    def per_class(self) -> tuple[ClassMetrics, ...]:
        """The metrics of each class, in order."""
        return tuple(
            ClassMetrics(label, images, predicted, self.counts[label][label])
            for label, (images, predicted) in enumerate(
                zip(self.images, self.predicted, strict=True)
            )
        )

    @property
    def macro_precision(self) -> Average:
        """The macro average of precision; see :func:`mean_of`."""
        per_class = self._there
        return mean_of([(score.precision, score.precision_interval) for score in per_class])

    @property
    def macro_recall(self) -> Average:
        """The macro average of recall; see :func:`mean_of`."""
        return mean_of([(score.recall, score.recall_interval) for score in self._there])

    @property
    def macro_f1(self) -> Average:
        """The macro average of F1; see :func:`mean_of`.

        One error lowers the F1 of two classes, so they are not independent. The delta method
        accounts for this: its interval is used where it is wider.
        """
        mean = mean_of([(score.f1, score.f1_interval) for score in self._there])
        half, (low, high) = Z95 * self._macro_f1_error(), mean.interval
        low, high = min(low, mean.value - half), max(high, mean.value + half)
        return Average(mean.value, (max(0.0, low), min(1.0, high)))

    @property
    def _there(self) -> list[ClassMetrics]:
        """The classes that have images or were predicted."""
        return [score for score in self.per_class if score.images or score.predicted]

    def _macro_f1_error(self) -> float:
        """Return the standard error of the macro F1, by the delta method.

        The cells are one multinomial draw. With s = images + predicted of a class, one more image
        in a cell subtracts F1 / s for the class of its row and for that of its column, and on the
        diagonal adds 2 / s. The variance is that of this slope over all images, divided by their
        number.

        Source: K. Takahashi, K. Yamamoto, A. Kuchiba and T. Koyama, "Confidence interval for
        micro-averaged F1 and macro-averaged F1 scores", Applied Intelligence 52 (2022), 4961-4972.
        """
        per_class, there = self.per_class, len(self._there)
        totals = [max(1, score.images + score.predicted) for score in per_class]
        losses = [(s.f1 or 0.0) / total for s, total in zip(per_class, totals, strict=True)]
        first = second = 0.0
        for row, counts in enumerate(self.counts):
            for column, count in enumerate(counts):
                gain = 2 / totals[row] if row == column else 0.0
                slope = self.total * (gain - losses[row] - losses[column]) / there
                first += count / self.total * slope
                second += count / self.total * slope * slope
        return math.sqrt(max(0.0, second - first * first) / self.total)


def mean_of(figures: Sequence[tuple[float | None, Interval | None]]) -> Average:
    """Return the macro average of a metric, over at least one class, and its 95 % interval.

    An undefined value (no image of the class, or never predicted) counts as 0, as with
    ``zero_division=0`` in scikit-learn. The interval combines the intervals of the classes, which
    are based on different images: the squared distances to their lower ends add up to that of the
    mean, likewise for the upper ends.

    Source: G. Zou and A. Donner, "Construction of confidence limits about effect measures: a
    general approach", Statistics in Medicine 27 (2008), 1693-1702.
    """
    known = [(value or 0.0, interval or (0.0, 0.0)) for value, interval in figures]
    mean = math.fsum(value for value, _ in known) / len(known)
    below = math.hypot(*(value - interval[0] for value, interval in known)) / len(known)
    above = math.hypot(*(interval[1] - value for value, interval in known)) / len(known)
    return Average(mean, (max(0.0, mean - below), min(1.0, mean + above)))
