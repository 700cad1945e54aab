from __future__ import annotations

import math

import pytest

from tests.protocol.facts import changed
from tui_trainer.protocol.commands import KNOBS
from tui_trainer.stats.intervals import wilson
from tui_trainer.text import fmt
from tui_trainer.text.fmt import Cell

NAN, INF = math.nan, math.inf


def test_every_knob_has_a_short_name() -> None:
    assert fmt.KNOB_NAMES.keys() == KNOBS.keys()
    assert changed("epochs", 2, 4).words == "epochs 2 → 4"
    assert changed("base_lr", 0.1, 0.05).words == "lr 0.1 → 0.05"


@pytest.mark.parametrize(
    ("fraction", "expected"),
    [
        (0.9931, "99.31 %"),
        (0.0, "0.00 %"),
        (0.5, "50.00 %"),
        (1.0, "100.00 %"),
        (54_999 / 55_000, "99.99 %"),  # 99.998: one image is misclassified
        (0.99994, "99.99 %"),
        (NAN, "nan %"),
    ],
)
def test_percent(fraction: float, expected: str) -> None:
    assert fmt.percent(fraction) == expected


def test_percent_with_other_digits() -> None:
    assert fmt.percent(0.993125, 3) == "99.312 %"
    assert fmt.percent(0.99999, 0) == "99 %"


def test_accuracy_with_the_interval_of_the_real_test_set() -> None:
    bounds = wilson(9_931, 10_000)
    assert fmt.interval(bounds) == "[99.13, 99.45]"
    assert fmt.accuracy_with_interval(0.9931, bounds) == "99.31 % [99.13, 99.45]"
    assert fmt.accuracy_with_interval(0.9931, None) == "99.31 %"
    assert fmt.accuracy_with_interval(0.58, (-0.06, 1.22)) == "58.00 % [0.00, 100.00]"


def test_counts() -> None:
    assert fmt.count(19_568) == "19,568"
    assert fmt.count(7) == "7"
    assert fmt.plural(1, "epoch") == "1 epoch"
    assert fmt.plural(0, "step") == "0 steps"
    assert fmt.plural(4_300, "step") == "4,300 steps"
    assert fmt.megabytes(9_912_422) == "9.9 MB"


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        (0, "0:00"),
        (21.4, "0:21"),
        (59.6, "1:00"),
        (312, "5:12"),
        (3_599.7, "1:00:00"),
        (3_723, "1:02:03"),
        (360_000, "100:00:00"),
        (NAN, "-:--"),
        (INF, "-:--"),
        (-1, "-:--"),
    ],
)
def test_duration(seconds: float, expected: str) -> None:
    assert fmt.duration(seconds) == expected


@pytest.mark.parametrize(
    ("speed", "expected"),
    [
        (2_640.3, "2,640 img/s"),
        (130_000, "130,000 img/s"),
        (9.96, "10 img/s"),
        (3.44, "3.4 img/s"),
        (NAN, "- img/s"),
    ],
)
def test_speed(speed: float, expected: str) -> None:
    assert fmt.speed(speed) == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (0.04123, "0.0412"),
        (9.99996, "10.000"),
        (12.3456, "12.346"),
        (99.99951, "100.00"),
        (999.996, "1000.0"),
        (9_999.96, " 10000"),
        (123_456.0, "123456"),
        (1.234e8, "1.2e+08"),
        (NAN, "   nan"),
        (INF, "   inf"),
    ],
)
def test_loss_keeps_six_columns(value: float, expected: str) -> None:
    assert fmt.loss(value) == expected


@pytest.mark.parametrize(
    ("lr", "short", "fixed"),
    [
        (0.05, "0.05", "  0.0500"),
        (0.1, "0.1", "   0.100"),
        (0.09996, "0.1", "   0.100"),
        (1 / 30, "0.0333", "  0.0333"),
        (0.000123, "0.000123", "0.000123"),
        (1.25e-5, "1.25e-05", "1.25e-05"),
        (1e-5, "1e-05", "1.00e-05"),
        (1.0, "1", "    1.00"),
        (100.0, "100", "     100"),
        (1_000.0, "1000", "    1000"),
        (0.0, "0", "       0"),
        (NAN, "nan", "     nan"),
    ],
)
def test_learning_rate(lr: float, short: str, fixed: str) -> None:
    assert fmt.learning_rate(lr) == short
    assert fmt.learning_rate(lr, fixed=True) == fixed


def test_a_fixed_learning_rate_has_a_constant_width() -> None:
    lrs = [10 ** (power / 7) for power in range(-60, 21)]
    assert {len(fmt.learning_rate(lr, fixed=True)) for lr in lrs} == {fmt.LEARNING_RATE_WIDTH}


def test_one_line_removes_line_breaks_and_escape_codes() -> None:
    assert fmt.one_line("a\n  b\r\n\tc \x1b[31md") == "a b c [31md"


def test_columns_and_clip_count_wide_and_combining_characters() -> None:
    assert fmt.columns("数据") == 4
    assert fmt.columns("e\N{COMBINING ACUTE ACCENT}") == 1
    assert fmt.clip("abcdef", 6) == "abcdef"
    assert fmt.clip("abcdef", 4) == "abc…"
    assert fmt.clip("数据集", 4) == "数…"
    assert fmt.clip("abc", 0) == ""


def test_fit_drops_the_highest_rank_first_but_never_rank_0() -> None:
    cells = [Cell("aaaa"), Cell("bb", rank=2), Cell("cc", rank=1), Cell("dd", rank=2)]

    def fitted(width: int) -> str:
        return "".join(cell.text for cell in fmt.fit(cells, width))

    assert fitted(10) == "aaaabbccdd"
    assert fitted(9) == "aaaacc"
    assert fitted(5) == "aaaa"
    assert fitted(1) == "aaaa"
    assert fmt.fit([], 0) == []


@pytest.mark.parametrize(
    ("fraction", "expected"),
    [
        (0.0, "▕    ▏"),
        (1 / 32, "▕▏   ▏"),
        (0.5, "▕██  ▏"),
        (0.65, "▕██▌ ▏"),
        (1.0, "▕████▏"),
        (-3.0, "▕    ▏"),
        (7.0, "▕████▏"),
        (NAN, "▕    ▏"),
    ],
)
def test_bar_is_filled_in_eighths(fraction: float, expected: str) -> None:
    assert fmt.bar(fraction, 6) == expected


def test_bar_in_ascii() -> None:
    assert fmt.bar(0.65, 6, ascii_only=True) == "[##..]"
    assert fmt.bar(1.0, 6, ascii_only=True) == "[####]"


def test_bar_is_monotonic() -> None:
    drawn = [fmt.bar(share / 1_000, 12) for share in range(1_001)]
    order = {glyph: place for place, glyph in enumerate(fmt.EIGHTHS + "█")}
    filled = [sum(order[glyph] for glyph in one[1:-1]) for one in drawn]
    assert filled == sorted(filled)
    assert (filled[0], filled[-1]) == (0, 80)
    assert {len(one) for one in drawn} == {12}


# --- the units of models


@pytest.mark.parametrize(
    ("number", "expected"),
    [(0, "0 B"), (640, "640 B"), (51_200, "51.2 kB"), (9_912_422, "9.9 MB"), (2 * 10**9, "2.0 GB")],
)
def test_size(number: int, expected: str) -> None:
    assert fmt.size(number) == expected


@pytest.mark.parametrize(
    ("number", "expected"),
    [
        (0, "0"),
        (999, "999"),
        (1_000, "1.00 k"),
        (3_856_032, "3.86 M"),
        (56_516_000, "56.5 M"),
        (181_407_000, "181 M"),
        (1_814_073_344, "1.81 G"),
    ],
)
def test_short_count(number: int, expected: str) -> None:
    assert fmt.short_count(number) == expected


def test_field() -> None:
    assert fmt.field((5, 3)) == "5×3"
    assert fmt.field(None) == "—"


def test_a_share_bar_stays_within_its_width() -> None:
    assert fmt.share_bar(0.0, 4) == "    "
    assert fmt.share_bar(0.0001, 4) == "▏   "
    assert fmt.share_bar(0.5, 4) == "██  "
    assert fmt.share_bar(7.0, 4) == "████"
