from __future__ import annotations

import math

import pytest

from tui_trainer.text.sparkline import WIDEST, caption, sparkline


def test_the_smallest_is_the_lowest_bar_and_the_largest_the_highest() -> None:
    assert sparkline([0, 1, 2, 3, 4, 5, 6, 7], 8) == "▁▂▃▄▅▆▇█"
    assert sparkline([3, 1, 2], 3) == "█▁▅"


def test_few_numbers_get_wide_bars_up_to_a_limit() -> None:
    assert sparkline([0, 1], 5) == "▁▁██"
    assert sparkline([0, 1], 80) == "▁" * WIDEST + "█" * WIDEST


def test_many_numbers_are_averaged() -> None:
    assert sparkline([0, 2, 9, 11, 4, 6], 3) == "▁█▄"
    assert len(sparkline(range(1_000), 37)) == 37


def test_a_non_finite_number_leaves_a_gap() -> None:
    assert sparkline([0, math.nan, 1, math.inf], 4) == "▁ █ "
    assert sparkline([math.nan], 4) == ""
    assert sparkline([], 4) == ""
    assert sparkline([1.0], 0) == ""


def test_equal_numbers_are_a_flat_line_of_middle_height() -> None:
    assert sparkline([2, 2, 2], 3) == "▅▅▅"


def test_a_wide_range_is_drawn_logarithmically() -> None:
    assert sparkline([1e-6, 1e-3, 1.0], 3) == "▁▅█"
    assert caption([1e-6, 1.0], "gradient") == "gradient (1e-06 to 1, by powers of ten)"


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ((0.0523, 0.0412), "loss (0.0412 to 0.0523)"),
        ((2.0, 2.0), "loss (2)"),
        ((0.0, 1e6), "loss (0 to 1e+06)"),
        ((), "loss"),
    ],
)
def test_the_caption_names_the_limits(values: tuple[float, ...], message: str) -> None:
    assert caption(values, "loss") == message
