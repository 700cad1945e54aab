from __future__ import annotations

import random

import pytest

from tui_trainer.ui.chart_view import CLOSEST, ChartView

END = 10.0


def test_without_a_window_the_whole_run_is_shown() -> None:
    assert ChartView().range(END) == (0.0, END)
    assert ChartView(window=(2.0, 4.0)).range(END) == (2.0, 4.0)
    # Kept from a longer run.
    assert ChartView(window=(8.0, 12.0)).range(END) == (8.0, END)
    assert ChartView(window=(12.0, 14.0)).range(END) == (0.0, END)


def test_a_zoom_keeps_the_place_where_it_is() -> None:
    view = ChartView().zoomed(0.5, 2.0, END)
    assert view.window == (1.0, 6.0)
    assert view.zoomed(2.0, 2.0, END).window is None


def test_a_window_never_leaves_the_run_nor_gets_too_small() -> None:
    rng = random.Random(0)
    view = ChartView()
    for _ in range(2_000):
        match rng.randrange(3):
            case 0:
                view = view.zoomed(rng.choice((0.5, 0.5, 2.0)), rng.uniform(-5, 15), END)
            case 1:
                view = view.panned(rng.uniform(-8, 8), END)
            case 2:
                view = view.with_cursor(rng.uniform(-5, 15), END)
        start, end = view.range(END)
        assert 0 <= start < end <= END + 1e-9
        assert end - start >= END / CLOSEST * 0.999
        if view.cursor is not None:
            assert 0 <= view.cursor <= END


def test_the_cursor_is_visible_after_it_moved() -> None:
    view = ChartView(window=(2.0, 4.0)).with_cursor(5.0, END)
    assert view.window == pytest.approx((3.0, 5.0))
    assert view.with_cursor(0.0, END).window == pytest.approx((0.0, 2.0))
    assert ChartView().with_cursor(5.0, END).window is None


def test_a_whole_run_is_not_panned() -> None:
    assert ChartView().panned(3.0, END) == ChartView()


def test_another_unit_keeps_window_and_cursor_at_their_columns() -> None:
    view = ChartView(window=(2.0, 4.0), cursor=3.0, smoothing="strong").with_x("step", 100.0)
    assert view == ChartView("step", None, "strong", (200.0, 400.0), 300.0)
