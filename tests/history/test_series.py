from __future__ import annotations

import math
import random

import pytest

from tui_trainer.history.series import CAPACITY, MovingAverage, Series


def buckets(points: int, capacity: int) -> int:
    """Return the number of points per bucket of a series of that length."""
    size = 1
    while points > size * capacity:
        size *= 2
    return size


def test_few_points_are_all_kept() -> None:
    series = Series(8)
    for x, y in enumerate((3.0, 1.0, 2.0)):
        series.append(x, y, trend=y / 2)
    assert list(series.x) == [0, 1, 2]
    assert list(series.low) == list(series.high) == [3, 1, 2]
    assert list(series.trend) == [1.5, 0.5, 1]
    assert len(series) == 3


def test_without_a_moving_average_the_value_is_used() -> None:
    series = Series()
    series.append(1.0, 5.0)
    assert list(series.trend) == [5]


@pytest.mark.parametrize("points", [7, 8, 9, 16, 17, 31, 32, 33, 100, 1_001])
def test_a_bucket_keeps_the_range_of_its_points(points: int) -> None:
    rng = random.Random(points)
    values = [rng.gauss(0, 1) for _ in range(points)]
    series = Series(8)
    for x, y in enumerate(values):
        series.append(x, y, trend=-y)
    size = buckets(points, 8)
    groups = [values[start : start + size] for start in range(0, points, size)]
    assert list(series.low) == [min(group) for group in groups]
    assert list(series.high) == [max(group) for group in groups]
    assert list(series.trend) == [-group[-1] for group in groups]
    ends = [min(start + size, points) - 1 for start in range(0, points, size)]
    assert list(series.x) == ends


@pytest.mark.slow
def test_memory_does_not_grow_with_points() -> None:
    rng = random.Random(0)
    series, largest = Series(), 0
    for number in range(1_000_000):
        series.append(number, rng.random())
        largest = max(largest, len(series.x))
    assert largest <= CAPACITY
    assert CAPACITY / 2 <= len(series) <= CAPACITY
    assert {len(series.low), len(series.high), len(series.trend)} == {len(series)}
    assert list(series.x) == sorted(series.x)
    assert series.x[-1] == 999_999


@pytest.mark.parametrize("place", [0, 1, 12_345, 65_535, 65_536, 99_999])
def test_a_single_spike_is_kept(place: int) -> None:
    series = Series()
    for number in range(100_000):
        series.append(number, 50.0 if number == place else 0.5)
    spike = max(series.high)
    assert spike == 50
    index = list(series.high).index(spike)
    before = series.x[index - 1] if index else -1
    assert before < place <= series.x[index]
    assert min(series.low) == 0.5


def test_the_smallest_capacity() -> None:
    series = Series(2)
    for number in range(9):
        series.append(number, number)
    assert len(series) <= 2
    assert (min(series.low), max(series.high), series.x[-1]) == (0, 8, 8)


@pytest.mark.parametrize("capacity", [-2, 0, 1, 7])
def test_an_odd_capacity_is_refused(capacity: int) -> None:
    with pytest.raises(ValueError, match="even capacity"):
        Series(capacity)


def test_a_moving_average_starts_at_its_first_value() -> None:
    trend = MovingAverage(1_500)
    assert trend.value is None
    assert trend.add(2.3, 128) == pytest.approx(2.3)
    assert trend.value == pytest.approx(2.3)


def test_the_average_of_a_constant_is_that_constant() -> None:
    trend = MovingAverage(1_500)
    for _ in range(50):
        assert trend.add(0.7, 64) == pytest.approx(0.7)


def test_values_are_weighted_by_images_and_age() -> None:
    # Half-life 100: 100 images have weight 1/2 at first and 1/4 after another 100 images.
    trend = MovingAverage(100)
    trend.add(1.0, 100)
    assert trend.add(4.0, 100) == pytest.approx((1.0 * 0.25 + 4.0 * 0.5) / 0.75)


def test_the_half_life_halves_the_distance() -> None:
    trend = MovingAverage(1_000)
    for _ in range(1_000):
        trend.add(1.0, 100)  # long enough for the start not to matter
    for _ in range(10):
        trend.add(0.0, 100)
    assert trend.value == pytest.approx(0.5)


def test_the_batch_size_does_not_change_the_average() -> None:
    """The same images in batches of 25, 100 and 400 have the same average at common positions."""
    losses = [2.3 * math.exp(-number / 5) for number in range(12)]  # of 400 images each
    ends = []
    for size in (25, 100, 400):
        trend = MovingAverage(1_500)
        ends.append([[trend.add(loss, size) for _ in range(400 // size)][-1] for loss in losses])
    assert ends[0] == pytest.approx(ends[1])
    assert ends[0] == pytest.approx(ends[2])
