"""Parts of an x axis, the cursor, raw curves and glyphs."""

from __future__ import annotations

import pytest

from tests.render.reading import Reading, read
from tui_trainer.render.plots import Line, Mark, Points, Scale, XUnit, draw

LINEAR = Scale("linear")
X = [i / 100 for i in range(1, 1_001)]
RAMP = Line(X, X, "train")


def drawn(
    *lines: Line,
    x_range: tuple[float, float],
    unit: XUnit = "number",
    marks: tuple[Mark, ...] = (),
    points: tuple[Points, ...] = (),
    cursor: float | None = None,
    scale: Scale = LINEAR,
    width: int = 60,
) -> Reading:
    drawing = draw(
        width,
        14,
        x_range=x_range,
        scale=scale,
        x_unit=unit,
        lines=lines,
        points=points,
        marks=marks,
        cursor=cursor,
    )
    assert all(sum(len(run.text) for run in row) == width for row in drawing.rows)
    return read(drawing.rows)


def test_the_y_axis_holds_the_values_in_the_window() -> None:
    seen = drawn(RAMP, x_range=(4.0, 6.0))
    assert {"4", "6"} <= seen.y_ticks.keys()
    assert "10" not in seen.y_ticks
    columns = {column for _, column in seen.dots("train")}
    assert min(columns) == 0
    assert max(columns) == 2 * (60 - seen.left) - 1
    assert next(iter(seen.x_ticks)) == "4"


def test_values_outside_the_window_are_not_drawn() -> None:
    points = Points([1.0, 5.0, 9.0], [1.0, 5.0, 9.0], "validation")
    assert len(drawn(x_range=(4.0, 6.0), points=(points,)).cells("validation")) == 1
    marks = (Mark(1.0, "intervention"), Mark(5.0, "intervention"))
    columns = {c for _, c in drawn(x_range=(4.0, 6.0), marks=marks).cells("intervention")}
    assert len(columns) == 1


@pytest.mark.parametrize(
    ("x_range", "unit", "labels"),
    [
        ((0.0, 60_000.0), "count", {"0", "10k", "60k"}),
        ((0.0, 3_000_000.0), "count", {"0", "1M", "3M"}),
        ((0.0, 900.0), "count", {"0", "200", "800"}),
        ((0.0, 90.0), "seconds", {"0:00", "0:15", "1:30"}),
        ((0.0, 7_200.0), "seconds", {"0:00", "30:00", "1:00:00"}),
        ((61.0, 62.0), "seconds", {"1:01", "1:01.2", "1:02"}),
        ((3.25, 3.75), "number", {"3.3", "3.5", "3.7"}),
    ],
)
def test_ticks_are_round_in_their_unit(
    x_range: tuple[float, float], unit: XUnit, labels: set[str]
) -> None:
    assert labels <= drawn(RAMP, x_range=x_range, unit=unit).x_ticks.keys()


@pytest.mark.parametrize("width", [16, 20, 33, 58, 120])
@pytest.mark.parametrize("unit", ["number", "count", "seconds"])
def test_any_window_has_a_tick(width: int, unit: XUnit) -> None:
    for start, end in ((0.1, 0.9), (3.1, 3.9), (99.0, 101.5), (1e6, 1.1e6), (7.0, 19.0)):
        assert drawn(RAMP, x_range=(start, end), unit=unit, width=width).texts


def test_the_cursor_is_a_line_under_the_curves() -> None:
    seen = drawn(RAMP, x_range=(0.0, 10.0), cursor=5.0)
    assert len({column for _, column in seen.cells("title")}) == 1
    assert len(seen.cells("title")) == 12 - 2  # the curve covers two
    assert seen.dots("train") == drawn(RAMP, x_range=(0.0, 10.0)).dots("train")
    assert drawn(RAMP, x_range=(0.0, 10.0), cursor=11.0).cells("title") == set()


def test_marks_at_the_cursor_are_named() -> None:
    marks = (
        Mark(5.0, "intervention", name="lr 0.1 → 0.05 (by me)"),
        Mark(5.1, "warning", "▲", name="overfitting", has_line=False),
        Mark(8.0, "intervention", name="elsewhere"),
    )
    text = "\n".join(drawn(RAMP, x_range=(0.0, 10.0), marks=marks, cursor=5.0).texts)
    assert "▼ lr 0.1 → 0.05 (by me)" in text
    assert "▲ overfitting" in text
    assert "elsewhere" not in text
    near_the_end = (Mark(9.9, "warning", name="a name that is longer than what is left there"),)
    text = "\n".join(drawn(RAMP, x_range=(0.0, 10.0), marks=near_the_end, cursor=9.9).texts)
    assert "longer than what is left" in text
    without = "\n".join(drawn(RAMP, x_range=(0.0, 10.0), marks=marks).texts)
    assert "overfitting" not in without


def test_a_mark_without_a_line_is_only_its_glyph() -> None:
    marks = (Mark(5.0, "warning", "▲", has_line=False),)
    assert len(drawn(x_range=(0.0, 10.0), marks=marks).cells("warning")) == 1


def test_a_raw_curve_is_an_unbroken_band_of_all_values() -> None:
    low, high = [x - 1 for x in X], [x + 1 for x in X]
    raw = Line(X, X, "train", low, high, "train-band", is_raw=True)
    seen = drawn(raw, x_range=(0.0, 10.0))
    assert not seen.cells("train-band")
    assert min(map(float, seen.y_ticks)) < 0
    assert max(map(float, seen.y_ticks)) > 10
    columns = {column for _, column in seen.dots("train")}
    assert columns == set(range(max(columns) + 1))
    few = Line([1.0, 5.0, 9.0], [1.0, 8.0, 2.0], "train", [1, 8, 2], [1, 8, 2], is_raw=True)
    columns = {column for _, column in drawn(few, x_range=(0.0, 10.0)).dots("train")}
    assert columns == set(range(min(columns), max(columns) + 1))


def test_glyphs_identify_equal_curves() -> None:
    lines = [Line(X, X, "train", glyph=glyph) for glyph in "●■▲"]
    text = "".join(drawn(*lines, x_range=(0.0, 10.0)).texts)
    assert all(glyph in text for glyph in "●■▲")
    few = Line([1.0, 2.0, 3.0], [1.0, 2.0, 3.0], "train", glyph="●")
    assert "".join(drawn(few, x_range=(0.0, 4.0)).texts).count("●") == 3


def test_a_scale_in_percent_labels_fractions() -> None:
    accuracy = Line([1.0, 2.0], [0.9, 0.96], "train")
    assert {"90", "96"} <= drawn(
        accuracy, x_range=(0.0, 2.0), scale=Scale("linear", is_percent=True)
    ).y_ticks.keys()
    top = Line([1.0, 2.0], [0.985, 1.0], "train")
    for name in ("linear", "log"):
        ticks = drawn(top, x_range=(0.0, 2.0), scale=Scale(name, is_percent=True)).y_ticks
        assert max(map(float, ticks)) == 100
