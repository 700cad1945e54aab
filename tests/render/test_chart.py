from __future__ import annotations

import math
import random
import subprocess
import sys

import pytest

from tests.render.reading import read
from tui_trainer.render.plots import MIN_HEIGHT, MIN_WIDTH, Line, Mark, Points, Row, Scale, chart
from tui_trainer.render.plots.frame import frame
from tui_trainer.text.fmt import columns

NAN, INF = math.nan, math.inf
SCALES = ("log", "nines", "linear")
ODD = (NAN, INF, -INF, 0.0, -0.0, 1.0, -1.0, 1e-9, 5e-324, 1e-300, 1e12, 1.7e308, -1.7e308)
X_MAX = (1.0, 5.0, 0.3, 20.0, 137.0, 1e-300, 5e-324, 1e6, 1.7e308, 0.0, -1.0, NAN, INF)


def check_size(rows: list[Row], width: int, height: int) -> None:
    assert len(rows) == max(height, 0)
    for row in rows:
        assert all(run.text or width <= 0 for run in row)
        text = "".join(run.text for run in row)
        assert columns(text) == max(width, 0)
        assert text.isprintable()


def numbers(draw: random.Random, count: int) -> list[float]:
    """Random values of several kinds, special values included."""
    kind = draw.randrange(6)
    if kind == 0:
        return [draw.choice(ODD) for _ in range(count)]
    if kind == 1:
        return [draw.choice((*ODD, 0.5))] * count
    if kind == 2:
        return [draw.uniform(-5, 5) for _ in range(count)]
    if kind == 3:
        return [draw.choice((0.98, 0.99, 1.0, NAN)) for _ in range(count)]
    if kind == 4:
        return [1e6 + 1e-6 * draw.random() for _ in range(count)]
    return [10 ** draw.uniform(-4, 4) for _ in range(count)]


def a_line(draw: random.Random, x_max: float) -> Line:
    count = draw.choice((0, 1, 2, 10, 200, 1_024))
    x = [draw.uniform(-0.1, 1.2) * x_max for _ in range(count)]
    if draw.random() < 0.9:
        x.sort()
    if draw.random() < 0.2:
        x = [draw.choice((value, *ODD)) for value in x]
    low, high = numbers(draw, count), numbers(draw, count)
    if draw.random() < 0.5:
        return Line(x, numbers(draw, count), "train", low, high, "train-band")
    return Line(x, numbers(draw, count), "train")


def a_chart(draw: random.Random, width: int, height: int) -> list[Row]:
    x_max = draw.choice(X_MAX)
    places = [0.0, x_max, x_max / 2, x_max * draw.random(), -x_max, 2 * x_max, NAN, INF]
    count = draw.choice((0, 1, 5))
    marks = [
        Mark(draw.choice(places), "intervention", label=draw.choice(("", "lr 0.1 → 0.05")))
        for _ in range(draw.choice((0, 1, 2, 30)))
    ]
    return chart(
        width,
        height,
        x_max=x_max,
        scale=Scale(draw.choice(SCALES)),
        lines=[a_line(draw, x_max) for _ in range(draw.randrange(3))],
        points=[Points([draw.choice(places)] * count, numbers(draw, count), "validation")],
        marks=marks,
    )


@pytest.mark.parametrize("seed", range(40))
@pytest.mark.sampled(4)
def test_any_data_fills_any_size_exactly(seed: int) -> None:
    draw = random.Random(seed)
    for _ in range(12):
        width, height = draw.choice((16, 17, 20, 40, 58, 90)), draw.choice((4, 5, 6, 9, 15, 24))
        check_size(a_chart(draw, width, height), width, height)


@pytest.mark.parametrize("width", [-3, 0, 1, 15, 16, 17, 58, 250])
@pytest.mark.parametrize("height", [-3, 0, 1, 3, 4, 5, 15, 80])
def test_every_size_from_0_to_very_large(width: int, height: int) -> None:
    draw = random.Random(width + 1_000 * height)
    check_size(a_chart(draw, width, height), width, height)
    line = Line([0.0, 1.0], [2.0, 0.1], "train")
    rows = chart(width, height, x_max=1.0, scale=Scale("log"), lines=[line])
    check_size(rows, width, height)
    drawn = any("train" in {run.role for run in row} for row in rows)
    assert drawn == (width >= MIN_WIDTH and height >= MIN_HEIGHT)


def test_labels_that_leave_no_room_leave_the_picture_empty() -> None:
    line = Line([0.0, 1.0], [1e200, 1e200 + 1e192], "train")
    rows = chart(16, 8, x_max=1.0, scale=Scale("linear"), lines=[line])
    check_size(rows, 16, 8)
    assert {run.role for row in rows for run in row} == {"axis"}


def test_an_empty_chart_is_a_frame() -> None:
    rows = chart(40, 10, x_max=5.0, scale=Scale("log"))
    assert {run.role for row in rows for run in row} == {"axis"}
    assert [text.rstrip() for text in read(rows).texts] == [
        "    │",
        "   1┤",
        "    │",
        " 0.5┤",
        "    │",
        "    │",
        "    │",
        " 0.1┤",
        "    └┬──────┬──────┬─────┬──────┬──────┬",
        "     0      1      2     3      4      5",
    ]


def test_nan_is_skipped() -> None:
    whole = Line([0.0, 1.0, 2.0], [0.5, 0.4, 0.3], "train", [0.4, 0.3, 0.2], [0.6, 0.5, 0.4])
    gaps = Line(
        [0.0, 0.5, 0.7, 1.0, NAN, 1.5, 2.0],
        [0.5, NAN, 0.1, 0.4, 0.1, 0.1, 0.3],
        "train",
        [0.4, 0.1, NAN, 0.3, 0.1, 0.1, 0.2],
        [0.6, 0.8, 0.8, 0.5, 0.8, NAN, 0.4],
    )

    def draw(line: Line, y: list[float]) -> list[Row]:
        points = [Points([1.0, NAN, 0.5][: len(y)], y, "validation")]
        return chart(50, 12, x_max=2.0, scale=Scale("linear"), lines=[line], points=points)

    assert draw(gaps, [0.45, 0.9, NAN]) == draw(whole, [0.45])


def test_infinite_values_lie_at_the_edges() -> None:
    values = Points([0.0, 1.0, 2.0, 3.0], [INF, 1.0, 2.0, -INF], "validation")
    for name in SCALES:
        cells = read(chart(50, 12, x_max=3.0, scale=Scale(name), points=[values])).cells
        rows = [row for row, _ in sorted(cells("validation"), key=lambda cell: cell[1])]
        assert (rows[0], rows[-1]) == (0, 9)


def test_values_outside_the_axis_are_skipped() -> None:
    x = [-1.0, 0.5, 1.0, 1.01, 2.0]
    line = Line(x, [0.1, 0.5, 0.5, 0.9, 0.9], "train")
    points = Points(x, [0.5] * 5, "validation")
    marks = [Mark(place, "intervention") for place in x]
    seen = read(
        chart(80, 12, x_max=1.0, scale=Scale("linear"), lines=[line], points=[points], marks=marks)
    )
    assert len(seen.cells("validation")) == 2
    assert len({column for _, column in seen.cells("intervention")}) == 2
    assert len({row for row, _ in seen.dots("train")}) == 1


def test_the_frame_is_cached_while_only_data_change() -> None:
    for end in (0.31, 0.32, 0.33):
        line = Line([0.0, end], [0.4, 0.4 - end / 2], "train")
        before = frame.cache_info()
        chart(61, 13, x_max=1.0, scale=Scale("linear"), lines=[line])
    assert frame.cache_info().misses == before.misses
    assert frame.cache_info().hits == before.hits + 1


def test_plots_need_no_window_and_no_torch() -> None:
    modules = "{'torch', 'textual'} & {*sys.modules}"
    check = f"import sys, tui_trainer.render.plots; sys.exit(bool({modules}))"
    assert subprocess.run([sys.executable, "-c", check], check=False).returncode == 0
