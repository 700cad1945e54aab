"""How much the best of several noisy values is too good."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache
from statistics import NormalDist, fmean

_REACH, _STEPS = 9.0, 3600
"""The integral runs over this many standard deviations to both sides, in so many steps."""


@lru_cache(maxsize=64)
def expected_maximum(count: int) -> float:
    """Return the mean of the largest of ``count`` independent standard normal values.

    ∫ x · count · φ(x) · Φ(x)^(count - 1) dx, by the trapezoidal rule; 0 for one value, 2.16 for 40.

    For any true values, the best of ``count`` measured ones is on average too good by at
    most this many standard deviations of the measurement: its error is at most the largest error.
    Errors that the values share make it less (D. Slepian, "The one-sided barrier problem for
    Gaussian noise", Bell System Technical Journal 41 (1962), 463-501).

    Raises:
        ValueError: If there is no value.

    Source: H. A. David and H. N. Nagaraja, "Order Statistics", 3rd edition (2003), section 3.1.
    """
    if count < 1:
        raise ValueError(f"the largest of {count} values")
    normal, step = NormalDist(), 2 * _REACH / _STEPS
    places = (-_REACH + step * index for index in range(_STEPS + 1))
    return math.fsum(
        step * x * count * normal.pdf(x) * normal.cdf(x) ** (count - 1) for x in places
    )


def pooled_deviation(groups: Sequence[Sequence[float]]) -> float | None:
    """Return the standard deviation within groups, pooled over those of two values or more.

    None if there is no such group. The groups may have different means, but one variance.
    """
    squares, freedom = 0.0, 0
    for group in groups:
        if len(group) > 1:
            mean = fmean(group)
            squares += math.fsum((value - mean) ** 2 for value in group)
            freedom += len(group) - 1
    return math.sqrt(squares / freedom) if freedom else None
