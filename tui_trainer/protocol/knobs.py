"""The steps by which a key adjusts a knob: round numbers.

The initial value of a knob may lie beyond the last step; a key then moves it only back towards the
steps.
"""

from __future__ import annotations

import math

from tui_trainer.protocol.config import MAX_EPOCHS

LR_MANTISSAS = (1.0, 2.0, 5.0)
MIN_LR, MAX_LR = 1e-6, 10.0
MAX_BATCH = 8_192
MAX_DROPOUT = 0.5


def next_lr(lr: float, direction: int) -> float:
    """Return the next learning rate of the series 1, 2, 5 × 10ⁿ above or below ``lr``.

    Args:
        lr: The current base learning rate.
        direction: 1 for up, -1 for down.
    """
    power = math.floor(math.log10(lr))
    steps = [float(f"{m:g}e{p}") for p in range(power - 1, power + 2) for m in LR_MANTISSAS]
    if direction > 0:
        following = min(step for step in steps if step > lr * (1 + 1e-9))
    else:
        following = max(step for step in steps if step < lr * (1 - 1e-9))
    return _clamped(following, MIN_LR, MAX_LR, lr)


def next_batch_size(size: int, direction: int) -> int:
    """Return the next power of two above or below ``size``, from 1 to 8,192."""
    exponent = size.bit_length() if direction > 0 else (size - 1).bit_length() - 1
    return int(_clamped(1 << max(0, exponent), 1, MAX_BATCH, size))


def next_dropout(p: float, direction: int) -> float:
    """Return the next multiple of 0.05 above or below a dropout probability, from 0 to 0.5."""
    steps = math.floor(p / 0.05 + 1e-6) + 1 if direction > 0 else math.ceil(p / 0.05 - 1e-6) - 1
    return _clamped(round(steps * 0.05, 2), 0.0, MAX_DROPOUT, p)


def next_epochs(epochs: int, direction: int, least: int) -> int:
    """Return one epoch more or less than ``epochs``, from ``least`` to :data:`MAX_EPOCHS`."""
    return int(_clamped(epochs + direction, least, MAX_EPOCHS, epochs))


def _clamped(step: float, least: float, greatest: float, current: float) -> float:
    """Return a step within the limits; a current value beyond a limit extends that limit."""
    return min(max(greatest, current), max(min(least, current), step))
