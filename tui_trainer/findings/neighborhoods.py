"""What the labels of nearest neighbors say: wrong labels or classes that overlap.

Each estimate has its reference in the data themselves, so that it holds for any dataset: classes
that overlap are pure at their core and overlap with few others; wrong labels are everywhere.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from tui_trainer.protocol.probed import NeighborLabels
from tui_trainer.stats.intervals import wilson

MIN_UNANIMOUS = 50
"""The minimum number of unanimous neighborhoods: in images that are hard to compare, such as
photos, there are almost none."""

FAR = 3
"""One in so many of the other classes is far: the least similar ones."""

PURE = 0.88
"""The purity of the median class's core at which a mixed core is no matter of few images."""

MIXED, MIXED_BUT_VAL, SPARSE = 0.15, 0.1, 20.0
"""How much larger than that of any other classes the share of a core's neighbors with one other
label must be, to be mixed; the same where validation images are not mixed; and what is added where
there are few reference images of a class, divided by their number: neighborhoods are then large."""

MIN_CORE_VOTES = 60
"""The minimum number of neighbors of a core."""

RARER = 5.0
"""A class with so many times fewer images than another has impure neighborhoods for that reason."""

EVENLY = 0.43
"""Two classes cannot be separated at all if so much of both cores has the other label."""

DISTINCT = 0.7
"""The share of a class's neighbors with one other label from which it is that label."""

Z = 3.0
"""Standard errors of a difference that counts."""


@dataclass(frozen=True, slots=True)
class Mixed:
    """Two classes with mixed labels.

    Attributes:
        label: The class whose core is mixed.
        other: The other label there.
        share: The share of the core's neighbors that have it.
        back: The same the other way round.
        votes: The number of the core's neighbors.
    """

    label: int
    other: int
    share: float
    back: float
    votes: int

    @property
    def pair(self) -> tuple[int, int]:
        """Both classes."""
        return self.label, self.other

    @property
    def is_even(self) -> bool:
        """Whether the images do not say which of the two labels they have."""
        return (self.share + self.back) / 2 >= EVENLY


def wrong_labels(near: NeighborLabels) -> tuple[float, float] | None:
    """Return the share of labels that are wrong at random, and the lower end of its interval.

    It is the smaller of two estimates. Random errors contradict unanimous neighborhoods, which
    classes that overlap evenly do not; and they are as frequent between classes that are not
    similar, at the core of both, where classes that overlap in nature are pure. None if it cannot
    be estimated.
    """
    far, total, times = _far_votes(near)
    if near.unanimous < MIN_UNANIMOUS or not total:
        return None
    at_core = times * far / total, times * wilson(far, total)[0]
    contradicted = (
        near.contradicted / near.unanimous,
        wilson(near.contradicted, near.unanimous)[0],
    )
    return min(at_core[0], contradicted[0]), min(at_core[1], contradicted[1])


def _far_votes(near: NeighborLabels) -> tuple[int, int, float]:
    """Return the core's neighbors with a label far from its own, all, and what to multiply with.

    Which classes are far from each other is read from the other neighbors.
    """
    present = [label for label, row in enumerate(near.votes) if sum(row)]
    kept = (len(present) - 1) // FAR
    if not kept or not near.core_votes:
        return 0, 0, 0.0
    rest = [
        [all_of - core for all_of, core in zip(row, cores, strict=True)]
        for row, cores in zip(near.votes, near.core_votes, strict=True)
    ]
    far = total = 0
    for label in present:
        row = near.core_votes[label]
        others = [other for other in present if other != label]
        others.sort(key=lambda other: rest[label][other] + rest[other][label])
        if sum(row):
            far += sum(row[other] for other in others[:kept])
            total += sum(row)
    return far, total, (len(present) - 1) / kept


def mixed_classes(
    near: NeighborLabels, counts: Sequence[int], val: NeighborLabels | None = None
) -> Mixed | None:
    """Return the two classes whose labels are mixed most; None if there are none.

    They must stand out: classes that overlap by nature do so in several pairs, by degrees. Less is
    enough where validation images of the same classes are not mixed.

    Args:
        near: Training images and their neighbors.
        counts: The images of each class in the training split.
        val: Validation images and their neighbors in the validation split.
    """
    cores = {label: row for label, row in enumerate(near.core_votes) if sum(row) >= MIN_CORE_VOTES}
    pairs = [
        Mixed(label, other, count / sum(row), _share(near, other, label), sum(row))
        for label, row in cores.items()
        for other, count in enumerate(row)
        if other != label and counts[other] <= RARER * counts[label]
    ]
    worst = max(pairs, key=lambda pair: pair.share, default=None)
    if worst is None:
        return None
    usual = max((pair.share for pair in pairs if pair.label not in worst.pair), default=0.0)
    images = counts[worst.label] * near.references / max(1, sum(counts))
    stands_out = MIXED_BUT_VAL if is_pure(val, worst) else MIXED
    if worst.share < usual + stands_out + SPARSE / max(1.0, images):
        return None
    rest = [row[label] / sum(row) for label, row in cores.items() if label not in worst.pair]
    purity = statistics.median(rest) if rest else 1 - worst.back
    return worst if purity >= PURE else None


def _share(near: NeighborLabels, label: int, other: int) -> float:
    row = near.core_votes[label]
    return row[other] / sum(row) if sum(row) else 0.0


def is_pure(near: NeighborLabels | None, pair: Mixed) -> bool:
    """Return whether the same two classes are not mixed in other neighborhoods."""
    if near is None or sum(near.core_votes[pair.label]) < MIN_CORE_VOTES / 2:
        return False
    row = near.core_votes[pair.label]
    return wilson(row[pair.other] // 2, sum(row) // 2)[1] < pair.share / 2


def exchanged(near: NeighborLabels) -> list[tuple[int, int]]:
    """Return the classes whose neighbors mostly have one other label, with that label."""
    found = []
    for label, row in enumerate(near.votes):
        other = max(range(len(row)), key=row.__getitem__, default=label)
        low = wilson(row[other] // 5, sum(row) // 5)[0] if sum(row) >= 5 else 0.0
        if other != label and low >= DISTINCT:
            found.append((label, other))
    return found


def is_guessing(near: NeighborLabels, guess: float) -> bool:
    """Return whether neither neighbors nor a linear classifier know more than the commonest class.

    ``guess`` is that class's share. Where it is so large that the difference is hardly significant,
    half of what it leaves is enough.
    """
    linear = near.agreeing if near.linear_agreeing is None else near.linear_agreeing
    counts = (near.agreeing, linear)
    return all(
        wilson(count, near.images, z=Z)[0] <= guess and count / near.images <= (1 + guess) / 2
        for count in counts
    )


def difference(first: tuple[int, int], second: tuple[int, int]) -> float:
    """Return how far the first share is above the second, in standard errors of the difference.

    Each is a count and its total.
    """
    (a, n), (b, m) = first, second
    if not n or not m:
        return 0.0
    pooled = (a + b) / (n + m)
    error = math.sqrt(pooled * (1 - pooled) * (1 / n + 1 / m))
    return (a / n - b / m) / error if error else 0.0
