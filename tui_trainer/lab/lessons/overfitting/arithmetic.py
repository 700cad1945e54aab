"""The gap between training and validation accuracy, and its interval, in plain Python."""

from __future__ import annotations

import math

from tui_trainer.stats.intervals import wilson


def gap(correct: int, total: int, other_correct: int, other_total: int) -> float:
    """Return the difference of two accuracies: correct / total − other_correct / other_total."""
    return correct / total - other_correct / other_total


def gap_interval(
    correct: int, total: int, other_correct: int, other_total: int
) -> tuple[float, float]:
    """Return the 95 % interval of the difference of two accuracies on different images.

    It combines the Wilson intervals of both, so that it also holds near 100 %.

    Source: R. G. Newcombe, "Interval estimation for the difference between independent
    proportions", Statistics in Medicine 17 (1998), 873-890, method 10.

    Raises:
        ValueError: If there is nothing to compare.
    """
    low, high = wilson(correct, total)
    other_low, other_high = wilson(other_correct, other_total)
    one, other = correct / total, other_correct / other_total
    down = math.hypot(one - low, other_high - other)
    up = math.hypot(high - one, other - other_low)
    return one - other - down, one - other + up


def per_image(parameters: int, images: int) -> float:
    """Return the number of parameters per training image."""
    return parameters / images
