"""The interval of the gap against the published example and random samples."""

from __future__ import annotations

import random

import pytest

from tui_trainer.lab.lessons.overfitting.arithmetic import gap, gap_interval, per_image


def test_the_interval_is_that_of_newcombes_example() -> None:
    # Table II of the paper: 56 of 70 against 48 of 80, method 10.
    low, high = gap_interval(56, 70, 48, 80)
    assert (low, high) == pytest.approx((0.0524, 0.3339), abs=5e-5)
    assert gap(56, 70, 48, 80) == pytest.approx(0.2)


def test_it_holds_at_the_end_of_the_scale() -> None:
    low, high = gap_interval(500, 500, 500, 500)
    assert low < 0 < high
    with pytest.raises(ValueError, match="proportion"):
        gap_interval(1, 1, 0, 0)


def test_nineteen_of_twenty_intervals_hold_the_truth() -> None:
    rng = random.Random(3)
    covered = 0
    for _ in range(400):
        train = sum(rng.random() < 0.98 for _ in range(100))
        val = sum(rng.random() < 0.9 for _ in range(200))
        low, high = gap_interval(train, 100, val, 200)
        covered += low <= 0.08 <= high
    assert 0.91 <= covered / 400 <= 0.99


def test_parameters_per_image() -> None:
    assert per_image(50_890, 500) == pytest.approx(101.78)
