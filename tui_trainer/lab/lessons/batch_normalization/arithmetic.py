"""Batch normalization of one number, in plain arithmetic."""

from __future__ import annotations

import math


def normalized(
    value: float, mean: float, std: float, scale: float = 1.0, shift: float = 0.0
) -> float:
    """Return γ (x − μ) / σ + β.

    Source: S. Ioffe and C. Szegedy, "Batch Normalization", ICML 2015.

    Args:
        value: x, an output of the layer before.
        mean: μ of its channel.
        std: σ of its channel, the small ε under its root included; above 0.
        scale: γ, learned.
        shift: β, learned.
    """
    return scale * (value - mean) / std + shift


def moved(running: float, batch: float, momentum: float) -> float:
    """Return a running statistic after one more batch: (1 − m) running + m batch."""
    return (1 - momentum) * running + momentum * batch


def mean_of_batch(before: float, after: float, momentum: float) -> float:
    """Return the batch's statistic that moved a running one from ``before`` to ``after``."""
    return (after - (1 - momentum) * before) / momentum


def scatter(std: float, count: int) -> float:
    """Return how much the mean of ``count`` images scatters from batch to batch: σ / √n.

    Args:
        std: How much the means of single images scatter.
        count: Images of a batch, drawn independently of each other.
    """
    return std / math.sqrt(count)
