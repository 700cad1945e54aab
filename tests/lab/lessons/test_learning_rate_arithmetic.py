"""A step on a parabola, where everything is known."""

from __future__ import annotations

import math

import pytest

from tui_trainer.lab.lessons.learning_rate.arithmetic import (
    first_increase,
    lowest,
    predicted_losses,
    step_sizes,
    with_momentum,
)


def test_the_learning_rate_itself_is_one_of_the_steps() -> None:
    assert step_sizes(0.1, 10.0) == pytest.approx([0.1 * i for i in range(11)])
    sizes = step_sizes(0.1, 3.0)
    assert 0.1 in sizes
    assert len(sizes) == 12
    assert sizes == sorted(sizes)


def test_a_parabola_is_lowest_in_its_middle_and_higher_beyond_twice_that() -> None:
    # L(w) = w² at w = 1 has slope 2: a step η lands at 1 − 2η.
    sizes = [i / 8 for i in range(13)]
    losses = [(1 - 2 * size) ** 2 for size in sizes]
    assert sizes[lowest(sizes, losses)] == 0.5
    assert first_increase(sizes, losses) == pytest.approx(1.125)
    assert predicted_losses(1.0, 4.0, [0.0, 0.1, 0.5]) == pytest.approx([1.0, 0.6, 0.0])
    assert predicted_losses(1.0, 4.0, [1e-5]) == pytest.approx([(1 - 2 * 1e-5) ** 2], abs=1e-9)


def test_a_nan_counts_as_higher_and_never_as_lowest() -> None:
    losses = [1.0, 0.5, math.nan, math.inf]
    assert lowest([0, 1, 2, 3], losses) == 1
    assert first_increase([0, 1, 2, 3], losses) == 2
    assert first_increase([0, 1], [1.0, 0.5]) is None
    assert lowest([0, 1], [math.nan, math.nan]) == 0


def test_momentum_adds_up_to_the_sum_of_its_series() -> None:
    velocity = 0.0
    for _ in range(1_000):
        velocity = 0.9 * velocity + 1.0
    assert with_momentum(0.05, 0.9) == pytest.approx(0.05 * velocity)
