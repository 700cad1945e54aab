"""Ticks are where their values are drawn."""

from __future__ import annotations

import random
from itertools import pairwise

import pytest

from tests.render.reading import Reading, read
from tui_trainer.render.plots import Line, Points, Scale, chart

SIZES = ((16, 4), (17, 5), (30, 7), (58, 15), (59, 16), (95, 24), (140, 41))


def ranges(name: str, draw: random.Random) -> tuple[float, float]:
    if name == "nines":
        low, high = sorted(1 - 10 ** draw.uniform(-4.5, 0) for _ in range(2))
    elif name == "log":
        low, high = sorted(10 ** draw.uniform(-7, 4) for _ in range(2))
    else:
        low, high = sorted(draw.uniform(-1, 1) * 10 ** draw.uniform(-3, 5) for _ in range(2))
    return low, high


def value_of(name: str, label: str) -> float:
    return float(label) / 100 if name == "nines" else float(label)


def with_a_level(
    width: int, height: int, scale: Scale, ends: tuple[float, float], level: float
) -> Reading:
    """Draw a band without height at one value: unlike a curve, it does not change the axis."""
    curve, flat = [ends[0]] * 2, [level] * 2
    line = Line([0.0, 1.0], curve, "train", flat, flat, "train-band")
    off_the_axis = Points([-1.0, -1.0], ends, "")
    return read(chart(width, height, x_max=1.0, scale=scale, lines=[line], points=[off_the_axis]))


@pytest.mark.parametrize("name", ["log", "nines", "linear"])
@pytest.mark.parametrize(("width", "height"), SIZES)
@pytest.mark.sampled(2)
def test_a_value_is_drawn_in_the_row_of_its_tick(name: str, width: int, height: int) -> None:
    draw = random.Random(f"{name} {width} {height}")
    scale = Scale(name)
    for _ in range(4):
        ends = ranges(name, draw)
        ticks = with_a_level(width, height, scale, ends, ends[0]).y_ticks
        assert ticks
        for label, row in ticks.items():
            seen = with_a_level(width, height, scale, ends, value_of(name, label))
            assert seen.y_ticks == ticks
            # In the row of the curve, the curve hides the band.
            drawn = seen.cells("train-band") or seen.cells("train")
            assert {its_row for its_row, _ in drawn} == {row}, f"{label} of {ends}"


@pytest.mark.parametrize("name", ["log", "nines", "linear"])
def test_y_ticks_do_not_touch_and_ascend(name: str) -> None:
    draw = random.Random(name)
    for _ in range(60):
        width, height = draw.randint(16, 90), draw.randint(4, 40)
        ends = ranges(name, draw)
        ticks = with_a_level(width, height, Scale(name), ends, ends[0]).y_ticks
        rows = sorted(ticks.values())
        assert all(below - above >= 2 for above, below in pairwise(rows))
        values = [float(label) for label in sorted(ticks, key=ticks.__getitem__)]
        assert values == sorted(set(values), reverse=True)
        assert len(ticks) >= (2 if height >= 9 else 1), ends


@pytest.mark.parametrize("x_max", [0.07, 1.0, 2.0, 3.0, 5.0, 12.0, 25.0, 80.0, 1_240.0, 3e6])
@pytest.mark.parametrize(("width", "height"), SIZES)
@pytest.mark.sampled(3)
def test_data_is_drawn_in_the_column_of_its_tick(x_max: float, width: int, height: int) -> None:
    ticks = read(chart(width, height, x_max=x_max, scale=Scale("linear"))).x_ticks
    assert next(iter(ticks)) == "0"
    for label, column in ticks.items():
        x = [float(label)]
        seen = read(
            chart(
                width,
                height,
                x_max=x_max,
                scale=Scale("linear"),
                lines=[Line(x, [0.0], "train")],
                points=[Points(x, [1.0], "validation")],
            )
        )
        assert {place for _, place in seen.cells("train")} == {column}
        assert {place for _, place in seen.cells("validation")} == {column}


@pytest.mark.parametrize("x_max", [0.07, 1.0, 1.5, 5.0, 12.0, 25.0, 1_240.0, 3e6, 1e300])
def test_x_labels_do_not_touch_and_are_under_their_ticks(x_max: float) -> None:
    for width in range(16, 130, 3):
        seen = read(chart(width, 6, x_max=x_max, scale=Scale("log")))
        labels = seen.texts[-1]
        values = [float(label) for label in seen.x_ticks]
        assert values == sorted(set(values))
        assert values[0] == 0
        place = 0
        for label, column in seen.x_ticks.items():
            place = labels.index(label, place)
            assert place - 1 <= column <= place + len(label)
            place += len(label) + 1


def test_epochs_are_whole_and_parts_of_one_are_not() -> None:
    def labels(x_max: float) -> list[str]:
        return list(read(chart(58, 15, x_max=x_max, scale=Scale("log"))).x_ticks)

    assert labels(1.0) == ["0", "1"]
    assert labels(5.0) == ["0", "1", "2", "3", "4", "5"]
    assert labels(20.0) == ["0", "5", "10", "15", "20"]
    assert labels(0.5) == ["0", "0.1", "0.2", "0.3", "0.4", "0.5"]
