"""When a training can be told from a healthy one."""

from __future__ import annotations

import math
import random

from tui_trainer.lab.lessons.early_signs.arithmetic import LEAST, PERSISTS, WINDOW, told_apart

FIRST = WINDOW + PERSISTS - 1


def falling(steps: int, *, seed: int, noise: float = 0.15, to: float = 0.5) -> list[float]:
    rng = random.Random(seed)
    return [to + (2.3 - to) * math.exp(-n / 20) + rng.gauss(0, noise) for n in range(steps)]


def flat(steps: int, *, seed: int) -> list[float]:
    rng = random.Random(seed)
    return [2.3 + rng.gauss(0, 0.03) for _ in range(steps)]


def test_one_that_stands_still_is_told_once_the_other_has_left_it() -> None:
    steps = {told_apart(falling(120, seed=s), flat(120, seed=s + 100)) for s in range(30)}
    assert None not in steps
    assert all(step is not None and FIRST <= step < 40 for step in steps)


def test_equal_trainings_and_better_ones_are_not_told_apart() -> None:
    for seed in range(30):
        healthy = falling(150, seed=seed)
        assert told_apart(healthy, falling(150, seed=seed + 50)) is None
        assert told_apart(healthy, falling(150, seed=seed + 50, to=0.1)) is None
        assert told_apart(flat(150, seed=seed), healthy) is None


def test_the_step_is_that_of_the_last_batch_that_was_needed() -> None:
    healthy, worse = [1.0] * 60, [1.0] * 20 + [3.0] * 40
    mean_rises = next(n for n in range(1, WINDOW + 1) if 2.0 * n / WINDOW > LEAST)
    step = told_apart(healthy, worse)
    assert step is not None
    assert step >= 20 + mean_rises + PERSISTS - 1
    assert told_apart(healthy[:step], worse[:step]) == step
    assert told_apart(healthy[: step - 1], worse[: step - 1]) is None


def test_a_constant_difference_is_told_at_the_first_chance_and_a_small_one_never() -> None:
    healthy = [1.0] * 50
    assert told_apart(healthy, [1.0 + LEAST + 0.1] * 50) == FIRST
    assert told_apart(healthy, [1.0 + LEAST - 0.1] * 50) is None


def test_a_loss_that_is_no_number_tells_at_once() -> None:
    assert told_apart([1.0] * 9, [1.0, 1.0, math.nan, 1.0]) == 3
    assert told_apart([1.0] * 9, [math.inf]) == 1


def test_without_losses_there_is_nothing_to_tell() -> None:
    assert told_apart([], []) is None
    assert told_apart([1.0] * 3, [9.0] * 3) is None
