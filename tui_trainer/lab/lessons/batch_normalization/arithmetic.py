"""Batch normalization of one number, in plain Python."""

from __future__ import annotations

import math


def normalized(
    value: float, mean: float, std: float, scale: float = 1.0, shift: float = 0.0
) -> float:
    """Return γ (x − μ) / σ + β.

    Source: S. Ioffe and C. Szegedy, "Batch Normalization", ICML 2015.

    Args:
        value: x, an output of the previous layer.
        mean: μ of its channel.
        std: σ of its channel, with ε under the root; positive.
        scale: The learned γ.
        shift: The learned β.
    """
    return scale * (value - mean) / std + shift


def updated_running(running: float, batch: float, momentum: float) -> float:
    """Return a running statistic after one more batch: (1 − m) running + m batch."""
    return (1 - momentum) * running + momentum * batch


def mean_of_batch(before: float, after: float, momentum: float) -> float:
    """Return the batch statistic that changed a running one from ``before`` to ``after``."""
    return (after - (1 - momentum) * before) / momentum


def standard_error(std: float, count: int) -> float:
    """Return the standard error of the mean of ``count`` independent images: σ / √n."""
    return std / math.sqrt(count)
