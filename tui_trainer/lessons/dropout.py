"""Dropout on a list of numbers, in plain arithmetic."""

from __future__ import annotations

import math
from collections.abc import Sequence


def dropped(values: Sequence[float], kept: Sequence[bool], share: float) -> list[float]:
    """Return the values with those that are not kept at 0, and the others divided by 1 − p.

    Source: N. Srivastava and others, "Dropout", JMLR 15 (2014); scaled in training and not in
    evaluation, as PyTorch does it.

    Args:
        values: The features.
        kept: Which of them the mask lets through.
        share: p, the probability with which each is hidden; below 1.
    """
    return [
        value / (1 - share) if keeps else 0.0 for value, keeps in zip(values, kept, strict=True)
    ]


def spread_of_sum(values: Sequence[float], share: float) -> float:
    """Return how much the sum of the features scatters from mask to mask: √(p / (1 − p) Σ x²).

    Each feature is x / (1 − p) with probability 1 − p and else 0: its mean is x, its variance
    x² p / (1 − p), and the masks of different features are independent.
    """
    return math.sqrt(share / (1 - share) * math.fsum(value * value for value in values))
