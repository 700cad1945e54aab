from __future__ import annotations

import math
import random

import pytest

from tui_trainer.stats.selection import expected_maximum, pooled_deviation


@pytest.mark.parametrize(
    ("count", "expected"),
    # H. L. Harter, "Expected values of normal order statistics", Biometrika 48 (1961), table 1.
    [(1, 0.0), (2, 0.56419), (3, 0.84628), (10, 1.53875), (40, 2.16078), (100, 2.50759)],
)
def test_expected_maximum(count: int, expected: float) -> None:
    assert expected_maximum(count) == pytest.approx(expected, abs=2e-5)


def test_the_winner_is_on_average_too_good_by_at_most_the_expected_maximum() -> None:
    rng, gains = random.Random(3), []
    for _ in range(4_000):
        true = [rng.gauss(0, 0.5) for _ in range(20)]
        measured = [value + rng.gauss(0, 1) for value in true]
        winner = max(range(20), key=measured.__getitem__)
        gains.append(measured[winner] - true[winner])
    assert 0 < sum(gains) / len(gains) < expected_maximum(20)


def test_nothing_has_no_maximum() -> None:
    with pytest.raises(ValueError, match="largest of 0"):
        expected_maximum(0)


def test_pooled_deviation() -> None:
    assert pooled_deviation([(1.0, 3.0), (10.0, 10.0), (5.0,)]) == pytest.approx(math.sqrt(2 / 2))
    assert pooled_deviation([(1.0,), ()]) is None
