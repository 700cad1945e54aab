from __future__ import annotations

import math

import pytest

from tui_trainer.text.scales import Scale, nice_step

SCALES = ("log", "nines", "linear")


@pytest.mark.parametrize("name", SCALES)
def test_heights_are_monotonic_and_finite(name: str) -> None:
    scale = Scale(name)
    values = [-1e308, -1.0, 0.0, 1e-12, 0.1, 0.5, 0.9, 0.99, 0.9999, 1.0, 7.0, 1e308]
    heights = [scale.height(value) for value in values]
    assert heights == sorted(heights)
    assert all(map(math.isfinite, heights))
    assert scale.heights(values) == heights


def test_equal_factors_and_nines_are_equally_spaced() -> None:
    log, nines = Scale("log"), Scale("nines")
    assert log.height(2.0) - log.height(0.2) == pytest.approx(log.height(0.05) - log.height(0.005))
    assert nines.height(0.99) - nines.height(0.9) == pytest.approx(1)
    assert nines.height(0.999) - nines.height(0.99) == pytest.approx(1)
    assert nines.height(1.0) == nines.height(0.9999) == pytest.approx(-math.log10(2e-4))


@pytest.mark.parametrize(
    ("name", "low", "high", "bottom", "top", "labels"),
    [
        ("log", 0.04, 2.31, 0.03, 3, "1 0.1 2 0.2 0.5 0.05"),
        ("log", 0.041, 0.043, 0.03, 0.05, "0.05 0.03"),
        ("log", 1e-5, 1e-1, 1e-5, 1e-1, "0.1 0.01 0.001 0.0001 1e-05"),
        ("nines", 0.981, 0.9931, 0.98, 0.995, "99 98 99.5"),
        ("nines", 0.1, 0.5, 0.0, 0.6, "0 60 40 20"),
        ("nines", 0.9995, 1.0, 0.999, 1.0, "100 99.9"),
        ("nines", 1.0, 1.0, 0.999, 1.0, "100 99.9"),
        ("linear", 0.0, 1.0, 0.0, 1.0, "1 0.5 0"),
        ("linear", -3.0, 7.0, -5.0, 10.0, "10 5 0 -5"),
        ("linear", 5.0, 5.0, 4.0, 6.0, "6 4"),
        ("linear", 0.0, 0.0, 0.0, 0.5, "0.5 0"),
        ("linear", 1000000.1, 1000000.3, 1000000.1, 1000000.3, "1000000.3 1000000.2 1000000.1"),
    ],
)
def test_an_axis_ends_at_round_values_and_lists_the_roundest_first(
    name: str, low: float, high: float, bottom: float, top: float, labels: str
) -> None:
    axis = Scale(name).axis(low, high)
    assert [axis.bottom, axis.top] == pytest.approx([bottom, top])
    named = list(dict.fromkeys(label for _, label in axis.ticks))
    assert set(labels.split()) <= set(named)
    assert named[0] == labels.split()[0]


@pytest.mark.parametrize("name", SCALES)
@pytest.mark.parametrize("value", [5e-324, 1e-300, 1e-9, 0.5, 0.999999, 1.0, 3.0, 1e12, 1.7e308])
def test_an_axis_exists_for_any_single_value(name: str, value: float) -> None:
    scale = Scale(name)
    for low in (value, -value if name == "linear" else value):
        axis = scale.axis(low, value)
        assert axis.bottom < axis.top
        assert scale.height(axis.bottom) < scale.height(axis.top)
        assert axis.ticks
        assert all(axis.bottom <= tick <= axis.top for tick, _ in axis.ticks)
        if name != "nines" and 1e-300 <= value <= 1e300:
            assert axis.bottom <= low <= value <= axis.top


def test_a_log_scale_is_undefined_at_0_and_below() -> None:
    for value in (0.0, -1.0, math.nan, math.inf, -math.inf):
        assert not Scale("log").has_place_for(value)
    assert Scale("linear").has_place_for(-1.0)
    assert not Scale("linear").has_place_for(math.nan)


@pytest.mark.parametrize(
    ("least", "step"), [(1.0, 1), (1.1, 2), (2.1, 5), (5.1, 10), (0.3, 0.5), (0.02, 0.02)]
)
def test_nice_step(least: float, step: float) -> None:
    assert nice_step(least) == pytest.approx(step)


def test_close_accuracies_have_ticks_between_the_nines() -> None:
    axis = Scale("nines").axis(0.992, 0.9945)
    assert [label for _, label in axis.ticks] == ["99.5", "99.4", "99.3", "99.2"]
    assert (axis.bottom, axis.top) == pytest.approx((0.992, 0.995))
    assert [label for _, label in Scale("nines").axis(0.5, 0.9945).ticks][:3] == [
        "99",
        "90",
        "99.5",
    ]
    assert Scale("nines").axis(0.9999, 1.0).top == 1.0
    assert Scale("nines").axis(0.9935, 0.9935)[:2] == (0.99, 0.995)
