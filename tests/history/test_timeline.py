from __future__ import annotations

from itertools import pairwise

import pytest

from tui_trainer.history.timeline import Timeline


def filled(steps: int, capacity: int = 16, *, per_step: float = 0.5) -> Timeline:
    timeline = Timeline(capacity)
    for step in range(1, steps + 1):
        timeline.append(step / 10, step, step * per_step)
    return timeline


@pytest.mark.parametrize("steps", [1, 2, 15, 16, 17, 100, 1_001, 5_000])
def test_a_steady_run_is_mapped_exactly_in_bounded_memory(steps: int) -> None:
    timeline = filled(steps)
    assert len(timeline.epochs) == len(timeline.steps) == len(timeline.seconds) <= 16
    assert (timeline.epochs[0], timeline.steps[0], timeline.seconds[0]) == (0, 0, 0)
    assert timeline.steps[-1] == steps
    places = [step / 10 for step in range(steps + 1)]
    assert list(timeline.at(places, "steps")) == pytest.approx(list(range(steps + 1)))
    assert list(timeline.at(places, "seconds")) == pytest.approx([10 * x * 0.5 for x in places])
    assert timeline.epochs_at(steps // 2) == pytest.approx(steps // 2 / 10)


def test_places_beyond_the_ends_are_the_ends() -> None:
    timeline = filled(10)
    assert list(timeline.at([-1.0, 0.0, 1.0, 2.0, 3.0], "steps")) == [0, 0, 10, 10, 10]
    assert list(Timeline().at([0.0, 1.0], "seconds")) == [0, 0]
    assert list(timeline.at([], "steps")) == []


def test_a_new_speed_and_batch_size_bend_the_line_where_they_began() -> None:
    timeline = Timeline()
    for step in range(1, 11):
        timeline.append(0.1 * step, step, step)
    for step in range(11, 21):
        timeline.append(1 + 0.2 * (step - 10), step, 10 + 5 * (step - 10))
    assert list(timeline.at([0.5, 1.0, 1.2, 3.0], "seconds")) == pytest.approx([5, 10, 15, 60])
    assert list(timeline.at([1.1], "steps")) == pytest.approx([10.5])


@pytest.mark.parametrize("capacity", [16, 1_024])
def test_a_rewind_takes_back_steps_but_no_time(capacity: int) -> None:
    timeline = filled(100, capacity)
    timeline.cut(4.0, 40)
    assert timeline.epochs[-1] == pytest.approx(4.0)
    assert timeline.steps[-1] == 40
    for step in range(41, 61):
        timeline.append(step / 10, step, 50 + (step - 40) * 0.5)
    x = [0.1 * step for step in range(61)]
    seconds = timeline.at(x, "seconds")
    assert all(a <= b for a, b in pairwise(seconds))
    assert seconds[39] == pytest.approx(19.5, abs=4)
    assert seconds[60] == pytest.approx(60)
    assert list(timeline.at(x, "steps")) == pytest.approx(list(range(61)), abs=1e-6)


def test_going_back_to_the_start_leaves_only_the_start() -> None:
    timeline = filled(50)
    timeline.cut(0.0, 0)
    assert list(timeline.epochs) == [0.0]
    timeline.append(0.1, 1, 60.0)
    assert list(timeline.at([0.1], "seconds")) == [60.0]


def test_seconds_never_decrease() -> None:
    timeline = filled(20, 64)
    timeline.cut(1.5, 15)
    timeline.append(1.6, 16, 3.0)
    timeline.append(1.7, 17, 8.5)
    assert list(timeline.at([1.5, 1.6, 1.7], "seconds")) == [7.5, 7.5, 8.5]


def test_an_odd_capacity_is_rejected() -> None:
    with pytest.raises(ValueError, match="even capacity"):
        Timeline(5)
