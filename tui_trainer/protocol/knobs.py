"""The rungs that a key climbs: round numbers a person would choose.

A configuration may begin beyond the last rung; a key then leads back towards the rungs, never past
where the value stands.
"""

from __future__ import annotations

import math

LR_MANTISSAS = (1.0, 2.0, 5.0)
MIN_LR, MAX_LR = 1e-6, 10.0
MAX_BATCH = 8_192
MAX_DROPOUT = 0.5


def next_lr(rate: float, direction: int) -> float:
    """Return the next learning rate of the series 1, 2, 5 × 10ⁿ above or below ``rate``.

    Args:
        rate: The present base learning rate.
        direction: 1 for up, -1 for down.
    """
    power = math.floor(math.log10(rate))
    rungs = [float(f"{m:g}e{p}") for p in range(power - 1, power + 2) for m in LR_MANTISSAS]
    if direction > 0:
        following = min(rung for rung in rungs if rung > rate * (1 + 1e-9))
    else:
        following = max(rung for rung in rungs if rung < rate * (1 - 1e-9))
    return _within(following, MIN_LR, MAX_LR, rate)


def next_batch_size(size: int, direction: int) -> int:
    """Return the next power of two above or below ``size``, from 1 to 8,192."""
    exponent = size.bit_length() if direction > 0 else (size - 1).bit_length() - 1
    return int(_within(1 << max(0, exponent), 1, MAX_BATCH, size))


def next_dropout(share: float, direction: int) -> float:
    """Return the dropout share 0.05 above or below, from 0 to 0.5, on a grid of 0.05."""
    steps = (
        math.floor(share / 0.05 + 1e-6) + 1 if direction > 0 else math.ceil(share / 0.05 - 1e-6) - 1
    )
    return _within(round(steps * 0.05, 2), 0.0, MAX_DROPOUT, share)


def _within(rung: float, least: float, greatest: float, present: float) -> float:
    """Return a rung no farther than the end; a value beyond the end never climbs back to it."""
    return min(max(greatest, present), max(min(least, present), rung))
