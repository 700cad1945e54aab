from __future__ import annotations

import math

import pytest

from tui_trainer.protocol.strokes import Drawing, drawing_of

PAD = Drawing.blank(20, 30)


def total(drawing: Drawing) -> float:
    return sum(drawing.ink) / 255


def test_a_dot_is_a_disc() -> None:
    dot = PAD.stroke([(15, 10)], 4)

    assert total(dot) == pytest.approx(math.pi * 16, rel=0.02)
    assert dot.ink[10 * 30 + 15] == 255
    assert dot.ink[0] == 0


def test_a_stroke_is_as_wide_as_twice_its_radius() -> None:
    short = PAD.stroke([(8, 10), (12, 10)], 2)
    longer = PAD.stroke([(8, 10), (12, 10), (22, 10)], 2)

    assert total(longer) - total(short) == pytest.approx(10 * 4, rel=0.02)


def test_a_diagonal_stroke_is_as_wide() -> None:
    pad = Drawing.blank(60, 60)
    short, longer = ([(20.3, 20.1), (20.3 + n, 20.1 + n)] for n in (6, 26))

    added = total(pad.stroke(longer, 1.5)) - total(pad.stroke(short, 1.5))

    assert added == pytest.approx(20 * math.sqrt(2) * 3, rel=0.02)


def test_ink_accumulates_and_is_erased() -> None:
    cross = PAD.stroke([(5, 10), (25, 10)], 1).stroke([(15, 2), (15, 18)], 1)

    assert cross.ink[9 * 30 + 6] == 255
    assert PAD.is_blank
    assert not cross.is_blank
    assert cross.stroke([(0, 10), (30, 10)], 30, erases=True).is_blank
    erased = cross.stroke([(15, 10)], 3, erases=True)
    assert erased.ink[10 * 30 + 15] == 0
    assert erased.ink[9 * 30 + 6] == 255


def test_points_outside_are_ignored() -> None:
    assert PAD.stroke([(-50, -50), (-40, 300)], 3).is_blank
    assert PAD.stroke([], 3).is_blank
    assert total(PAD.stroke([(-100, 10), (200, 10)], 1)) == pytest.approx(30 * 2, rel=0.02)


def test_text_round_trip() -> None:
    drawing = PAD.stroke([(3, 3), (20, 15)], 2.5)

    assert drawing_of(drawing.to_text()) == drawing
    assert drawing.to_text().isprintable()


@pytest.mark.parametrize("text", ["", "0", "zz", "00/0000", "00//00", "é", "00" * 600_000])
def test_invalid_text_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"drawing|hexadecimal|hex"):
        drawing_of(text)


def test_a_drawing_has_one_byte_per_pixel() -> None:
    with pytest.raises(ValueError, match="3 bytes for 2×2"):
        Drawing(2, 2, b"abc")
