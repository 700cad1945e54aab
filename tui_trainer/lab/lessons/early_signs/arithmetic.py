"""How early a faulty training can be told from a healthy one, in plain arithmetic."""

from __future__ import annotations

import math
from collections.abc import Sequence

WINDOW = 8
"""Batches over which the difference of two trainings is averaged."""

ERRORS = 3.0
"""Standard errors by which that mean must exceed 0 …"""

LEAST = 0.5
"""… and nats: another start alone makes up to 0.4 at first.

Of 56 pairs of the same healthy network, eight starts each against the others for 90 steps of 32
images, the rule called none worse with 0.5, one with 0.4 and 23 with 0.1; five faults were told
after 17 to 24 steps against each of the eight.
"""

PERSISTS = 5
"""Steps in a row for which that must hold."""


def told_apart(healthy: Sequence[float], other: Sequence[float]) -> int | None:
    """Return the first step, from 1, at which a training is clearly worse; None if it never is.

    Both are losses batch by batch, of the same images in the same order, so that what makes a batch
    hard cancels. A loss that is no finite number tells at once.

    Returns:
        The last of the steps that were needed to tell.
    """
    holds = 0
    for step in range(1, min(len(healthy), len(other)) + 1):
        if not math.isfinite(other[step - 1]):
            return step
        pairs = zip(healthy[:step][-WINDOW:], other[:step][-WINDOW:], strict=True)
        holds = holds + 1 if step >= WINDOW and _worse([b - a for a, b in pairs]) else 0
        if holds == PERSISTS:
            return step
    return None


def _worse(differences: Sequence[float]) -> bool:
    """Say whether differences lie above 0 by more than their noise."""
    count = len(differences)
    mean = math.fsum(differences) / count
    variance = math.fsum((d - mean) ** 2 for d in differences) / (count - 1)
    return mean > LEAST and mean > ERRORS * math.sqrt(variance / count)
