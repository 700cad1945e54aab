from __future__ import annotations

import math
import random

import pytest

from tui_trainer.history.series import CAPACITY, MovingAverage, Series


def buckets(points: int, capacity: int) -> int:
    """Return how many points a bucket of a series that long stands for."""
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


def test_without_a_trend_the_value_stands_for_it() -> None:
    series = Series()
    series.append(1.0, 5.0)
    assert list(series.trend) == [5]


@pytest.mark.parametrize("points", [7, 8, 9, 16, 17, 31, 32, 33, 100, 1_001])
def test_a_bucket_tells_its_points(points: int) -> None:
    chance = random.Random(points)
    values = [chance.gauss(0, 1) for _ in range(points)]
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
def test_a_million_points_take_no_more_room_than_a_thousand() -> None:
    chance = random.Random(0)
    series, largest = Series(), 0
    for number in range(1_000_000):
        series.append(number, chance.random())
        largest = max(largest, len(series.x))
    assert largest <= CAPACITY
    assert CAPACITY / 2 <= len(series) <= CAPACITY
    assert {len(series.low), len(series.high), len(series.trend)} == {len(series)}
    assert list(series.x) == sorted(series.x)
    assert series.x[-1] == 999_999


@pytest.mark.parametrize("place", [0, 1, 12_345, 65_535, 65_536, 99_999])
def test_a_single_spike_is_never_lost(place: int) -> None:
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
def test_a_capacity_that_has_no_pairs(capacity: int) -> None:
    with pytest.raises(ValueError, match="even capacity"):
        Series(capacity)


def test_a_trend_begins_at_its_first_value() -> None:
    trend = MovingAverage(1_500)
    assert trend.value is None
    assert trend.add(2.3, 128) == pytest.approx(2.3)
    assert trend.value == pytest.approx(2.3)


def test_a_constant_is_its_own_trend_from_the_start() -> None:
    trend = MovingAverage(1_500)
    for _ in range(50):
        assert trend.add(0.7, 64) == pytest.approx(0.7)


def test_two_values_are_weighed_by_their_images_and_age() -> None:
    # Half-life 100: 100 images weigh 1/2 when they come and 1/4 another 100 images later.
    trend = MovingAverage(100)
    trend.add(1.0, 100)
    assert trend.add(4.0, 100) == pytest.approx((1.0 * 0.25 + 4.0 * 0.5) / 0.75)


def test_half_of_the_distance_is_gone_after_the_half_life() -> None:
    trend = MovingAverage(1_000)
    for _ in range(1_000):
        trend.add(1.0, 100)  # long enough for the start not to matter
    for _ in range(10):
        trend.add(0.0, 100)
    assert trend.value == pytest.approx(0.5)


def test_the_batch_size_makes_no_difference() -> None:
    """The same images in batches of 25, 100 and 400 have the same trend where they meet."""
    losses = [2.3 * math.exp(-number / 5) for number in range(12)]  # of 400 images each
    ends = []
    for size in (25, 100, 400):
        trend = MovingAverage(1_500)
        ends.append([[trend.add(loss, size) for _ in range(400 // size)][-1] for loss in losses])
    assert ends[0] == pytest.approx(ends[1])
    assert ends[0] == pytest.approx(ends[2])
