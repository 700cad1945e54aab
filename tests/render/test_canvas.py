"""The drawing order, and how curves, bands and marks are drawn."""

from __future__ import annotations

import math
import random
from itertools import pairwise

import pytest

from tests.render.reading import Reading, read
from tui_trainer.render.plots import Line, Mark, Points, Scale, chart
from tui_trainer.render.plots.chart_shapes import Segment

SIZE = (60, 14)
LINEAR = Scale("linear")
LABEL = "lr 0.1 → 0.05"


def noisy(count: int = 1_000) -> Line:
    draw = random.Random(3)
    x = [i / count for i in range(1, count + 1)]
    trend = [2 * math.exp(-3 * place) for place in x]
    low = [value - draw.uniform(0.1, 0.6) for value in trend]
    high = [value + draw.uniform(0.1, 0.6) for value in trend]
    return Line(x, trend, "train", low, high, "train-band")


def draw(*lines: Line, marks: tuple[Mark, ...] = (), points: tuple[Points, ...] = ()) -> Reading:
    return read(chart(*SIZE, x_max=1.0, scale=LINEAR, lines=lines, points=points, marks=marks))


def test_a_curve_is_one_unbroken_line() -> None:
    for count in (2, 3, 7, 50, 1_000):
        seen = draw(noisy(count))
        dots = seen.dots("train")
        columns = {column for _, column in dots}
        assert columns == set(range(min(columns), max(columns) + 1))
        for column in columns - {max(columns)}:
            here = {row for row, its_column in dots if its_column == column}
            beyond = {row for row, its_column in dots if its_column == column + 1}
            assert min(abs(a - b) for a in here for b in beyond) <= 1
            assert here == set(range(min(here), max(here) + 1))


def test_a_curve_ends_at_its_last_value() -> None:
    seen = draw(Line([0.0, 0.999, 1.0], [0.0, 0.0, 1.0], "train"))
    end = max(column for _, column in seen.dots("train"))
    assert min(row for row, column in seen.dots("train") if column == end) == 0


def test_a_band_holds_every_value_and_hides_no_curve() -> None:
    line = noisy()
    alone, seen = draw(Line(line.x, line.trend, "train")), draw(line)
    assert seen.dots("train") == alone.dots("train")
    band = {column // 2 for _, column in seen.dots("train-band")}
    assert band == set(range(max(band) + 1))
    assert not seen.cells("train") & seen.cells("train-band")


@pytest.mark.parametrize("peak", [1.9, 0.1])
def test_a_single_spike_shows_at_its_full_height(peak: float) -> None:
    line = noisy()
    flat = [1.0] * len(line.x)
    spiked = [1.0] * 500 + [peak] + [1.0] * 499
    ends = Points([0.0, 0.0], [0.0, 2.0], "test")
    low, high = (spiked, flat) if peak < 1 else (flat, spiked)
    seen = draw(Line(line.x, flat, "train", low, high, "train-band"), points=(ends,))
    rows = [row for row, _ in seen.dots("train-band")]
    drawn = min(rows) if peak > 1 else max(rows)
    last = 4 * (SIZE[1] - 2) - 1
    assert drawn == round((2 - peak) / 2 * last)


def test_bands_and_curves_have_different_textures() -> None:
    dots = draw(noisy()).dots("train-band")
    assert all((row + column) % 2 == 0 for row, column in dots)


def test_the_edge_of_a_band_is_smooth() -> None:
    dots = draw(noisy()).dots("train-band")
    tops = [min(row for row, column in dots if column // 2 == cell) for cell in range(10, 50)]
    turns = sum((b - a) * (c - b) < 0 for a, b, c in zip(tops, tops[1:], tops[2:], strict=False))
    assert turns <= 2


def test_sparse_points_leave_no_gaps_in_a_band() -> None:
    line = Line([0.1, 0.5, 1.0], [0.5] * 3, "train", [0.2, 0.3, 0.4], [0.6, 0.7, 0.8], "train-band")
    columns = {column for _, column in draw(line).cells("train-band")}
    assert columns == set(range(min(columns), max(columns) + 1))


def test_curves_lie_over_every_band() -> None:
    one = noisy()
    other = Line(one.x, list(one.trend), "validation", one.low, one.high, "other-band")
    seen = draw(Line(one.x, [v + 0.8 for v in one.trend], "train", one.low, one.high, "b"), other)
    assert len({column for _, column in seen.dots("train")}) > 90
    assert len({column for _, column in seen.dots("validation")}) > 90


def test_points_lie_over_curves_and_marks_under_them() -> None:
    line = Line([0.0, 1.0], [0.5, 0.5], "train")
    ends = Points([0.5, 0.5], [0.0, 0.5], "validation")
    seen = draw(line, points=(ends, Points([0.1], [1.0], "test")), marks=(Mark(0.5, "mark"),))
    column = next(iter(seen.cells("validation")))[1]
    assert len(seen.cells("validation")) == 2
    assert (0, column) in seen.cells("mark")
    assert seen.texts[0][column] == "▼"
    assert len(seen.cells("mark")) == SIZE[1] - 2 - 2


@pytest.mark.parametrize(("x", "before"), [(0.0, "▼ "), (0.5, "▼ "), (1.0, "")])
def test_a_label_is_next_to_its_mark(x: float, before: str) -> None:
    text = draw(marks=(Mark(x, "mark", label=LABEL),)).texts[0]
    assert (before + LABEL if before else LABEL + " ▼") in text


def test_a_label_moves_to_the_foot_where_curves_are_in_its_way() -> None:
    line = Line([0.0, 0.1, 1.0], [0.0, 1.0, 1.0], "train")
    seen = draw(line, marks=(Mark(0.5, "mark", label=LABEL),))
    assert LABEL not in seen.texts[0]
    assert LABEL in seen.texts[-3]


def test_a_label_without_room_is_left_out() -> None:
    long = "x" * 200
    assert "xx" not in "".join(draw(marks=(Mark(0.5, "mark", label=long),)).texts)
    both = (Line([0.0, 1.0], [0.0, 0.0], "train"), Line([0.0, 1.0], [1.0, 1.0], "validation"))
    assert LABEL not in "".join(draw(*both, marks=(Mark(0.5, "mark", label=LABEL),)).texts)


def test_no_label_hides_another_mark() -> None:
    marks = tuple(Mark(i / 40, "mark", label=LABEL) for i in range(41))
    assert draw(marks=marks).texts[0].count("▼") == 41


def test_neighbors_of_one_role_are_one_segment() -> None:
    rows = chart(*SIZE, x_max=1.0, scale=LINEAR, lines=[noisy()])
    for row in rows:
        assert all(isinstance(run, Segment) for run in row)
        roles = [run.role for run in row]
        assert all(a != b for a, b in pairwise(roles))


def test_a_line_needs_as_many_values_as_places() -> None:
    with pytest.raises(ValueError, match="as many y values as x values"):
        Line([1.0, 2.0], [1.0], "train")
