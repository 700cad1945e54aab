"""The confusion matrix, and what is counted from it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Confusion:
    """How often each class was taken for each.

    Attributes:
        counts: Images by their true class (rows) and the class they were given (columns).
    """

    counts: tuple[tuple[int, ...], ...]

    @classmethod
    def of(cls, labels: Iterable[int], given: Iterable[int], classes: int) -> Confusion:
        """Count images by their true and their given classes, each from 0 to ``classes`` - 1."""
        counts = [[0] * classes for _ in range(classes)]
        for label, said in zip(labels, given, strict=True):
            counts[label][said] += 1
        return cls(tuple(map(tuple, counts)))

    @property
    def classes(self) -> int:
        """How many classes there are."""
        return len(self.counts)

    @property
    def total(self) -> int:
        """How many images."""
        return sum(map(sum, self.counts))

    @property
    def correct(self) -> int:
        """How many of them were classified rightly."""
        return sum(self.counts[each][each] for each in range(self.classes))

    @property
    def images(self) -> tuple[int, ...]:
        """How many images each class has."""
        return tuple(map(sum, self.counts))

    @property
    def said(self) -> tuple[int, ...]:
        """How often each class was given."""
        return tuple(map(sum, zip(*self.counts, strict=True)))

    def share(self, label: int, said: int) -> float:
        """Return the share of a class's images that were given a class; 0 of no images."""
        return self.counts[label][said] / max(1, self.images[label])

    def worst_pairs(self) -> list[tuple[int, int, int]]:
        """Return true class, given class and count of every kind of error, the most frequent first.

        Of two that are as frequent the one with the larger share of its class comes first.
        """
        pairs = [
            (label, said, count)
            for label, row in enumerate(self.counts)
            for said, count in enumerate(row)
            if label != said and count
        ]
        return sorted(pairs, key=lambda pair: (-pair[2], -self.share(*pair[:2]), pair))
