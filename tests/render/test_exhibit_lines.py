"""The blocks of an exhibit as they are drawn, at every width."""

from __future__ import annotations

from dataclasses import replace

import pytest
from rich.style import Style

from tests.ui.exhibits import ADVICE, BARS, CURVES, DIGIT, EVERYTHING, KERNEL, PICTURES, SUM, TABLE
from tui_trainer.protocol.exhibit import Bar, Bars, Curve, Curves, Pictures, Table, Words
from tui_trainer.render.block_lines import bars_lines, table_lines, words_lines
from tui_trainer.render.curve_lines import GLYPHS, curve_roles, curves_lines
from tui_trainer.render.exhibit_lines import exhibit_lines
from tui_trainer.render.picture_rows import pictures_lines
from tui_trainer.text.lines import Lines
from tui_trainer.ui.widgets.exhibit_painting import medium_of, painted
from tui_trainer.ui.widgets.half_blocks import Drawn

COLORS = {
    "background": "#000000",
    "foreground": "#ffffff",
    "panel": "#282828",
    "role-train": "#0000ff",
    "role-validation": "#ff8000",
    "role-intervention": "#00ff00",
    "role-error": "#ff0000",
}
MEDIUM = medium_of(COLORS)
WIDTHS = (54, 74, 86, 110, 150)


def plain(lines: Lines) -> list[str]:
    return ["".join(cell.text for cell in line) for line in lines]


def drawn(lines: Lines) -> Drawn:
    return painted(lines, lambda role: Style.null())


@pytest.mark.parametrize("width", WIDTHS)
def test_nothing_is_wider_than_its_width(width: int) -> None:
    lines = exhibit_lines(EVERYTHING, width, 12, MEDIUM)
    assert max(sum(segment.cell_length for segment in line) for line in drawn(lines)) <= width
    words = "\n".join(plain(lines))
    for text in ("pooled early", "[96.1, 98.0]", "100 %", "■ ×1", "2 · 2 =  4", "▲ Pool after"):
        assert text in words


def test_numbers_are_right_aligned_and_the_selected_row_is_marked() -> None:
    assert plain(table_lines(TABLE, 74, has_rule=False)) == [
        "two models",
        "  network       accuracy  95 % interval  parameters",
        "▸ pooled early    97.2 %  [96.1, 98.0]       19,568",
        "  pooled late          –  –                   9,000",
    ]


def test_a_table_wraps_its_cells_before_it_is_printed_row_by_row() -> None:
    wordy = Table(
        caption="",
        heads=("what", "number"),
        rows=(("a long name that can be folded", "1,234"), ("short", "-5")),
    )
    assert plain(table_lines(wordy, 24, has_rule=False)) == [
        "what              number",
        "a long name that   1,234",
        "can be folded",
        "short                 -5",
    ]
    text = plain(table_lines(TABLE, 40, has_rule=False))
    assert all(len(line) <= 40 for line in text)
    assert text[1] == "▸ network pooled early · accuracy 97.2 %"


def test_bars_keep_their_share_and_their_numbers_are_aligned() -> None:
    one, two = plain(bars_lines(BARS, 50))[1:]
    assert one.count("█") + 1 == two.count("█") / 4 + 0.5
    assert one.endswith("  25 %")
    assert len(one) == len(two)
    marked = replace(BARS.bars[0], is_marked=True, share=float("nan"))
    assert plain(bars_lines(Bars(caption="", bars=(marked,)), 50))[0].startswith("▸ one  ")


def test_a_bar_without_room_next_to_its_number_is_below_it() -> None:
    wide = Bar(label="a label of some length", share=1.0, number="p 0.1234  slope +0.5678")
    first, second = plain(bars_lines(Bars(caption="", bars=(wide,)), 50))
    assert "█" not in first
    assert second == "  " + "█" * 40


def test_every_curve_has_a_unique_role_and_glyph() -> None:
    many = tuple(Curve(name=f"curve {n}", x=(0, 1), y=(n, n + 1)) for n in range(8))
    assert len(set(curve_roles(many))) == len(set(GLYPHS)) == 8
    named = (many[0], replace(many[1], name="validation"), replace(many[2], name="train loss"))
    assert curve_roles(named) == ["intervention", "validation", "train"]
    lines = curves_lines(CURVES, 60, 12, has_color=True)
    words = plain(lines)
    assert words[-1] == "● ÷10   ■ ×1   ▲ ×10"
    assert all(glyph in "".join(words[1:-2]) for glyph in "●■▲")
    assert "logarithmic" in words[-2]
    styles = {cell.style for line in lines for cell in line}
    assert {"train", "validation", "intervention"} <= styles


def test_curves_that_cannot_be_drawn_are_reported() -> None:
    none = Curves(
        caption="loss", x_label="steps", curves=(Curve(name="a", x=(1.0,), y=(-1.0,)),), is_log=True
    )
    assert plain(curves_lines(none, 60, 12, has_color=True)) == ["loss", "nothing to draw yet"]


def test_words_with_keeps_lines_are_not_wrapped() -> None:
    assert plain(words_lines(SUM, 60)) == ["1 · 2 =  2", "2 · 2 =  4"]
    long = Words(text="a = " + "b + " * 20, is_preformatted=True)
    folded = plain(words_lines(long, 40))
    assert max(map(len, folded)) <= 40
    assert folded[1].startswith("    b")
    assert plain(words_lines(replace(ADVICE, tone="error"), 60))[0].startswith("✗ ")
    two = words_lines(Words(text="one\n\ntwo"), 60)
    assert plain(two) == ["one", "", "two"]


def test_pictures_are_side_by_side_with_complete_captions() -> None:
    lines = plain(pictures_lines(PICTURES, 74, MEDIUM))
    assert lines[:2] == ["input and kernel", "■ below 0  ■ above 0"]
    # The digit and the margin for its frame; the kernel's pixels are drawn four times as large.
    assert lines[2].startswith("▀" * 30)
    assert lines[16].count("▀") == 30 + 12
    below = " ".join(lines[17:])
    assert "a slope" in below
    assert all(words in below for words in ("a kernel of", "the first", "layer"))


def test_pictures_that_do_not_fit_are_below_each_other() -> None:
    lines = plain(pictures_lines(PICTURES, 40, MEDIUM))
    assert max(map(len, lines)) <= 40
    assert sum("▀" in line for line in lines) == 15 + 6


def pixels(picture: Pictures) -> dict[tuple[int, int, int], int]:
    """Return how often each color is painted in the upper half of a block character."""
    found: dict[tuple[int, int, int], int] = {}
    for line in drawn(pictures_lines(picture, 74, MEDIUM)):
        for segment in line:
            color = segment.style.color if segment.style and "▀" in segment.text else None
            if color is not None and color.triplet is not None:
                key = tuple(color.triplet)
                found[key] = found.get(key, 0) + len(segment.text)  # type: ignore[index,arg-type]
    return found


def test_signs_and_nan_have_different_colors() -> None:
    found = pixels(Pictures(caption="", items=(KERNEL,)))
    # The strongest ones have the whole color; 4 × 2 blocks a number.
    assert found[(0, 0, 255)] == found[(255, 128, 0)] == found[(255, 0, 0)] == 8


def test_a_frame_surrounds_its_rectangle() -> None:
    def blocks(frame: tuple[int, int, int, int]) -> int:
        framed = replace(DIGIT, frame=frame)
        return pixels(Pictures(caption="", items=(framed,))).get((0, 255, 0), 0)

    # Rows 2 to 8 of 7 columns, every other row: a whole side, two corners each, the other side.
    assert blocks((2, 3, 5, 5)) == 7 + 2 + 2 + 7
    assert blocks((-1, -1, 3, 3)) < blocks((2, 3, 3, 3))


def test_text_is_next_to_a_picture_where_there_is_room() -> None:
    picture = Pictures(caption="", items=(DIGIT,))
    wide = plain(exhibit_lines((picture, ADVICE), 86, 12, MEDIUM))
    narrow = plain(exhibit_lines((picture, ADVICE), 60, 12, MEDIUM))
    assert "▀" in wide[0]
    assert "▲ Pool" in wide[0]
    assert any(line.startswith("▲ Pool") for line in narrow)
