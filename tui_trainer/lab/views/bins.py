"""Bins that stay where they are while what is counted in them changes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import ceil, floor, log10

import torch
from torch import Tensor

MOST_BINS = 14
"""Bins between the two ends, at most."""

TAIL = 0.002
"""The share of the numbers at each end that need not have bins of their own."""

LOOKED_AT = 20_000
"""Numbers, evenly spread, from which the ends are found."""

STEPS = (1.0, 2.0, 5.0, 10.0)
"""Bins are one of these times a power of ten wide, so that they seldom change."""


@dataclass(frozen=True, slots=True)
class Bins:
    """Equal bins; what lies beyond them is counted in one more at each end.

    Attributes:
        first: The lower edge of the first bin, in widths of a bin.
        width: Of a bin.
        count: How many there are between the two ends.
    """

    first: int
    width: float
    count: int

    @property
    def edges(self) -> list[float]:
        """The edges of the bins, one more than there are."""
        return [(self.first + place) * self.width for place in range(self.count + 1)]

    def shares(self, values: Tensor) -> list[float]:
        """Return the share of the values below the bins, in each of them, and above; NaN of none.

        A number on an edge belongs to the bin above it.
        """
        edges = torch.tensor(self.edges, dtype=torch.float64)
        places = torch.bucketize(values.double(), edges, right=True)
        counts = torch.bincount(places, minlength=self.count + 2).double()
        return (counts / max(1, len(values))).tolist()

    def labels(self) -> list[str]:
        """Return what the two ends and the bins between them are called."""
        digits = max(0, -floor(log10(self.width) + 1e-9))
        texts = [f"{edge:z.{digits}f}".replace("-", "−") for edge in self.edges]
        between = [f"{low} to {high}" for low, high in pairwise(texts)]
        return [f"below {texts[0]}", *between, f"{texts[-1]} and more"]


def bins_for(samples: Sequence[Tensor]) -> Bins:
    """Return bins that hold nearly all of several sets of finite numbers.

    They are whole, round numbers wide: a run's bins stay the same for many steps.
    """
    ends = [_ends(values) for values in samples if len(values)]
    low = min((end[0] for end in ends), default=0.0)
    high = max((end[1] for end in ends), default=1.0)
    span = max(high - low, 1e-6 * max(abs(low), abs(high)), 1e-12)
    power = 10.0 ** floor(log10(span / MOST_BINS))
    for step in (*STEPS, 10 * STEPS[1]):
        width = step * power
        first, last = floor(low / width), ceil(high / width)
        if last - first <= MOST_BINS:
            break
    return Bins(first, width, max(1, last - first))


def _ends(values: Tensor) -> tuple[float, float]:
    """Return the numbers between which nearly all lie."""
    ordered = values[:: max(1, len(values) // LOOKED_AT)].sort().values
    aside = int(TAIL * len(ordered))
    return float(ordered[aside]), float(ordered[len(ordered) - 1 - aside])
