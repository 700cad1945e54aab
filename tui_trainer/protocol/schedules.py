"""Learning rate schedules: the factor of the base learning rate over a run.

The factor depends on the training images seen so far, counted in epochs, not on the step: a new
batch size changes the number of steps per epoch, but not the schedule.
"""

from __future__ import annotations

import math

from tui_trainer.protocol.config import RunConfig

WARM_UP = 0.3
"""The fraction of a one-cycle run in which the learning rate rises."""

ONE_CYCLE_START = 1 / 25
ONE_CYCLE_END = ONE_CYCLE_START / 10_000


def factor(config: RunConfig, epochs_seen: float) -> float:
    """Return the factor of the base learning rate, from 0 to 1.

    Args:
        config: The run, with its schedule and number of epochs.
        epochs_seen: Training images seen so far, divided by the size of the training split.

    Sources: "step" and "cosine" as in PyTorch's StepLR and CosineAnnealingLR (I. Loshchilov and
    F. Hutter, "SGDR", ICLR 2017, without restarts); "one-cycle" is a cosine rise over the first
    30 % and cosine fall over the rest (L. N. Smith and N. Topin, "Super-Convergence", 2018; the
    proportions are those of PyTorch's OneCycleLR). The momentum is not cycled.
    """
    progress = min(1.0, epochs_seen / config.epochs)
    match config.schedule:
        case "step":
            return float(config.gamma ** int(epochs_seen / config.step_size + 1e-9))
        case "cosine":
            return _cosine(1.0, 0.0, progress)
        case "one-cycle" if progress < WARM_UP:
            return _cosine(ONE_CYCLE_START, 1.0, progress / WARM_UP)
        case "one-cycle":
            return _cosine(1.0, ONE_CYCLE_END, (progress - WARM_UP) / (1 - WARM_UP))
        case _:
            return 1.0


def highest_factor(config: RunConfig, epochs_seen: float) -> float:
    """Return the highest factor from here to the end of the run, from 0 to 1.

    Only a one-cycle rises, in its warm-up; its highest factor is that of its peak.
    """
    is_rising = config.schedule == "one-cycle" and epochs_seen < WARM_UP * config.epochs
    return 1.0 if is_rising else factor(config, epochs_seen)


def _cosine(start: float, end: float, progress: float) -> float:
    return end + (start - end) * (1 + math.cos(math.pi * progress)) / 2
