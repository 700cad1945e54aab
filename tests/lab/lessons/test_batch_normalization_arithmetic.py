"""Batch norm of single numbers against the statistics module and random numbers."""

from __future__ import annotations

import random
import statistics

import pytest

from tui_trainer.lab.lessons.batch_normalization.arithmetic import (
    mean_of_batch,
    normalized,
    standard_error,
    updated_running,
)


def test_normalized_numbers_have_the_learned_mean_and_std() -> None:
    values = [3.0, 5.0, 9.0, -2.0]
    mean, std = statistics.fmean(values), statistics.pstdev(values)
    found = [normalized(value, mean, std, scale=1.5, shift=-0.25) for value in values]
    assert statistics.fmean(found) == pytest.approx(-0.25)
    assert statistics.pstdev(found) == pytest.approx(1.5)


def test_a_running_mean_moves_a_tenth_towards_the_batch_mean() -> None:
    assert updated_running(2.0, 3.0, 0.1) == pytest.approx(2.1)
    assert mean_of_batch(2.0, updated_running(2.0, 3.0, 0.1), 0.1) == pytest.approx(3.0)


def test_the_standard_error_falls_with_the_batch_size() -> None:
    rng = random.Random(1)
    means = [statistics.fmean(rng.gauss(0, 2) for _ in range(25)) for _ in range(2_000)]
    assert statistics.stdev(means) == pytest.approx(standard_error(2.0, 25), rel=0.06)
