"""When a training differs from a healthy one."""

from __future__ import annotations

import math
import random

from tui_trainer.lab.lessons.early_signs.arithmetic import (
    MIN_DIFFERENCE,
    PERSISTENCE,
    WINDOW,
    detection_step,
)

FIRST = WINDOW + PERSISTENCE - 1


def falling(steps: int, *, seed: int, noise: float = 0.15, to: float = 0.5) -> list[float]:
    rng = random.Random(seed)
    return [to + (2.3 - to) * math.exp(-n / 20) + rng.gauss(0, noise) for n in range(steps)]


def flat(steps: int, *, seed: int) -> list[float]:
    rng = random.Random(seed)
    return [2.3 + rng.gauss(0, 0.03) for _ in range(steps)]


def test_a_stuck_training_is_detected_once_the_healthy_one_improves() -> None:
    steps = {detection_step(falling(120, seed=s), flat(120, seed=s + 100)) for s in range(30)}
    assert None not in steps
    assert all(step is not None and FIRST <= step < 40 for step in steps)


def test_equal_and_better_trainings_are_not_detected() -> None:
    for seed in range(30):
        healthy = falling(150, seed=seed)
        assert detection_step(healthy, falling(150, seed=seed + 50)) is None
        assert detection_step(healthy, falling(150, seed=seed + 50, to=0.1)) is None
        assert detection_step(flat(150, seed=seed), healthy) is None


def test_the_step_is_the_last_one_that_was_needed() -> None:
    healthy, worse = [1.0] * 60, [1.0] * 20 + [3.0] * 40
    mean_rises = next(n for n in range(1, WINDOW + 1) if 2.0 * n / WINDOW > MIN_DIFFERENCE)
    step = detection_step(healthy, worse)
    assert step is not None
    assert step >= 20 + mean_rises + PERSISTENCE - 1
    assert detection_step(healthy[:step], worse[:step]) == step
    assert detection_step(healthy[: step - 1], worse[: step - 1]) is None


def test_a_constant_difference_is_detected_at_once_and_a_small_one_never() -> None:
    healthy = [1.0] * 50
    assert detection_step(healthy, [1.0 + MIN_DIFFERENCE + 0.1] * 50) == FIRST
    assert detection_step(healthy, [1.0 + MIN_DIFFERENCE - 0.1] * 50) is None


def test_a_nonfinite_loss_is_detected_at_once() -> None:
    assert detection_step([1.0] * 9, [1.0, 1.0, math.nan, 1.0]) == 3
    assert detection_step([1.0] * 9, [math.inf]) == 1


def test_without_losses_nothing_is_detected() -> None:
    assert detection_step([], []) is None
    assert detection_step([1.0] * 3, [9.0] * 3) is None
