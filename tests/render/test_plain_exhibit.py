"""Blocks as characters, for a pipe or a pager."""

from __future__ import annotations

import math

import pytest

from tui_trainer.protocol.exhibit import (
    Bar,
    Bars,
    Block,
    Control,
    Curve,
    Curves,
    Exhibit,
    Matrix,
    Picture,
    Pictures,
    Table,
    Words,
)
from tui_trainer.render.characters import RAMP, SIGNED, picture_lines
from tui_trainer.render.plain_exhibit import control_lines, plain_lines

KIND = Control(name="kind", label="kind", value="max", steps=("max", "mean"))
SIZE = Control(name="size", label="size", value=2.0, steps=(2.0, 3.0))
HEAT = Control(name="heat", label="heat", value=1.0, steps=(0.5, 1.0), low=0.1, high=9.0)


def drawn(*blocks: Block, width: int = 74) -> list[str]:
    return plain_lines(Exhibit(blocks=blocks), width)


def picture(*values: float, width: int, is_signed: bool = False, **more: object) -> Picture:
    bound = max(map(abs, values))
    fields: dict[str, object] = {
        "caption": "a map",
        "height": len(values) // width,
        "width": width,
        "values": values,
        "low": -bound if is_signed else 0.0,
        "high": bound,
        "is_signed": is_signed,
        **more,
    }
    return Picture(**fields)  # type: ignore[arg-type]


def test_words_are_wrapped_and_formulas_keep_their_lines() -> None:
    lines = drawn(
        Words(text="one two " * 20), Words(text="  a\n  + b", is_preformatted=True), width=20
    )

    assert max(map(len, lines)) <= 20
    assert lines[-3:] == ["", "  a", "  + b"]
    assert " ".join(lines[:-3]).split() == ["one", "two"] * 20


def test_numbers_in_a_table_are_right_aligned_and_a_row_is_marked() -> None:
    table = Table(
        caption="layers",
        heads=("layer", "parameters"),
        rows=(("conv1", "144"), ("conv2 3×3", "4,608"), ("all", "−1")),
        marked=1,
    )
    assert drawn(table) == [
        "layers",
        "  layer      parameters",
        "  " + "─" * 21,
        "  conv1             144",
        "▸ conv2 3×3       4,608",
        "  all                −1",
    ]


def test_a_table_that_is_too_wide_wraps_its_widest_column() -> None:
    table = Table(caption="", heads=("what", "why", "n"), rows=(("a", "word " * 9, "1,234"),))
    assert drawn(table, width=30) == [
        "what  why                    n",
        "─" * 30,
        "a     word word word     1,234",
        "      word word word",
        "      word word word",
    ]


def test_bars_are_as_long_as_their_shares() -> None:
    bars = Bars(
        caption="",
        bars=(
            Bar(label="0", share=1.0, number="1.00"),
            Bar(label="10", share=0.5, number="0.50", is_marked=True),
            Bar(label="2", share=math.nan, number="nan"),
            Bar(label="3", share=7.0, number="7"),
        ),
    )
    assert [line.count("█") for line in drawn(bars)] == [40, 20, 0, 40]
    assert [line[:2] for line in drawn(bars)] == ["  ", "▸ ", "  ", "  "]
    assert (
        len(
            {
                line.index(number)
                for line, number in zip(drawn(bars), ("1.00", "0.50"), strict=False)
            }
        )
        == 1
    )


def test_bars_are_shorter_next_to_long_numbers() -> None:
    long = Bars(caption="", bars=(Bar(label="0", share=1.0, number="p " * 25 + "."),))
    (line,) = drawn(long, width=70)
    assert (len(line), line.count("█")) == (70, 14)


def test_a_small_picture_has_two_characters_a_pixel() -> None:
    assert picture_lines(picture(0, 5, 10, 10, 5, 0, width=3)) == [
        "  ==@@".replace("=", RAMP[5]),
        "@@==  ".replace("=", RAMP[5]),
    ]


def test_a_large_picture_has_a_character_for_two_rows() -> None:
    tall = picture(
        *(10.0 for _ in range(28)), *(0.0 for _ in range(28)), *(10.0 for _ in range(28)), width=28
    )
    assert picture_lines(tall) == [RAMP[5] * 28, "@" * 28]


def test_plus_and_minus_are_different_signs() -> None:
    (line,) = picture_lines(picture(-1.0, -0.5, 0.0, 0.5, 1.0, width=5, is_signed=True))
    signs = line[::2]
    assert signs == SIGNED[0] + SIGNED[1] + " " + SIGNED[5] + SIGNED[6]
    assert len(set(signs)) == 5


def test_of_two_signed_pixels_the_stronger_is_shown() -> None:
    rows = (*(0.1 for _ in range(20)), *(-1.0 for _ in range(20)))
    assert picture_lines(picture(*rows, width=20, is_signed=True)) == [SIGNED[0] * 20]


def test_nan_and_constant_pictures_can_be_drawn() -> None:
    assert picture_lines(
        picture(math.nan, math.inf, -math.inf, 1.0, width=4, low=0.0, high=1.0)
    ) == ["??@@  @@"]
    assert picture_lines(picture(0.0, 0.0, width=2)) == ["    "]
    assert picture_lines(picture(0.0, 0.0, width=2, is_signed=True)) == ["    "]


@pytest.mark.parametrize(("top", "left"), [(0, 0), (1, 2), (2, 3)])
def test_a_frame_surrounds_its_pixels(top: int, left: int) -> None:
    lines = picture_lines(picture(*([1.0] * 20), width=5, frame=(top, left, 2, 2)))

    framed = [place for place, line in enumerate(lines) if "[" in line]
    assert framed == [place for place in (top, top + 1) if place < 4]
    for place in framed:
        assert lines[place].index("]") - lines[place].index("[") == 5
        assert lines[place].index("[") == 2 * left


def test_pictures_are_side_by_side_where_there_is_room() -> None:
    small = picture(*([1.0] * 32), width=8)
    narrow = drawn(Pictures(caption="maps", items=(small,) * 3), width=40)
    wide = drawn(Pictures(caption="maps", items=(small,) * 3), width=74)

    assert narrow[0] == wide[0] == "maps"
    assert [line.count("a map") for line in wide if "a map" in line] == [3]
    assert [line.count("a map") for line in narrow if "a map" in line] == [2, 1]
    assert max(map(len, narrow)) <= 40
    assert RAMP in wide[1]


def test_each_of_several_curves_carries_its_letter() -> None:
    x = tuple(float(at) for at in range(200))
    curves = Curves(
        caption="loss",
        x_label="steps",
        curves=(
            Curve(name="slow", x=x, y=tuple(2.0 - at / 400 for at in x)),
            Curve(name="fast", x=x, y=tuple(2.0 - at / 101 for at in x)),
        ),
        is_log=True,
    )
    lines = drawn(curves)
    plot, legend = lines[:-2], lines[-2:]

    assert legend == ["a  slow  2 → 1.502", "b  fast  2 → 0.0297"]
    assert sum(line.count("a") for line in plot[1:-1]) >= 6
    assert sum(line.count("b") for line in plot[1:-1]) >= 6
    assert plot[-1].endswith("steps · logarithmic y")
    assert max(map(len, lines)) <= 74


def test_a_single_curve_needs_no_letter_and_one_without_points_is_reported() -> None:
    x = (0.0, 1.0, 2.0)
    single = drawn(Curves(caption="", x_label="x", curves=(Curve(name="only", x=x, y=x),)))
    assert single[-1] == "only  0 → 2"
    assert not any("a" in line for line in single[:-1])

    nothing = Curve(name="lost", x=(), y=())
    assert drawn(Curves(caption="", x_label="x", curves=(nothing,))) == ["nothing to draw yet"]
    both = Curves(caption="", x_label="x", curves=(nothing, Curve(name="only", x=x, y=x)))
    assert "a  lost  no points yet" in drawn(both)


def test_a_single_point_has_its_letter() -> None:
    point = Curve(name="now", x=(0.1,), y=(1.5,))
    line = Curve(name="line", x=(0.0, 50.0), y=(1.0, 2.0))
    plot = drawn(Curves(caption="", x_label="x", curves=(line, point)))[:-3]
    assert sum(row.count("b") for row in plot) == 1


def test_a_curve_without_numbers_leaves_the_others() -> None:
    bad = Curve(name="bad", x=(0.0, 1.0, 2.0), y=(1.0, math.nan, math.inf))
    good = Curve(name="good", x=(0.0, 1.0, 2.0), y=(1.0, 0.5, 0.0))
    lines = drawn(Curves(caption="", x_label="x", curves=(bad, good), is_log=True))
    assert lines[-1] == "b  good  1 → 0"


def test_controls_show_their_choices() -> None:
    many = Control(name="digit", label="digit", value=3.0, steps=tuple(map(float, range(100))))
    assert control_lines((KIND, SIZE, HEAT, many), 74) == [
        "kind = max  (max, mean)",
        "size = 2  (2, 3)",
        "heat = 1  (0.1 to 9)",
        "digit = 3  (0 to 99)",
    ]


MATRIX = Matrix(
    caption="images",
    row_label="true",
    column_label="predicted",
    heads=("0", "1"),
    texts=(("980", "·"), ("12", "1,100")),
    intensities=((0.0, 0.0), (1.0, 0.0)),
    cell=(1, 0),
    controls=("true", "predicted"),
)


def test_every_number_is_right_aligned_below_its_class() -> None:
    assert drawn(MATRIX, width=60) == [
        "images · rows: true,",
        "columns: predicted",
        "true      0      1",
        "   0    980      ·",
        "   1 ▸   12◂ 1,100",
    ]
