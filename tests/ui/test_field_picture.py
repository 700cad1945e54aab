from __future__ import annotations

import pytest
from textual.color import Color

from tests.ui.fakes import described, recorded_fields
from tui_trainer.protocol.layers import Box
from tui_trainer.ui.widgets.field_picture import Pixels, agree, bounds, half_of, scaled, touched
from tui_trainer.ui.widgets.half_blocks import half_blocks, mixed, ramp
from tui_trainer.ui.widgets.picture_pixels import framed

FIELDS = recorded_fields("network")


def test_a_box_overlaps_whole_pixels() -> None:
    assert touched(Box(2.0, 3.0, 5.0, 6.0)) == Pixels(2, 3, 5, 6)
    assert touched(Box(-1.5, 2.5, 1.5, 5.5)) == Pixels(-2, 2, 2, 6)
    assert touched(Box(2.0, 4.0, 6.0, 8.0), scale=0.5) == Pixels(1, 2, 3, 4)


def test_the_frame_is_just_outside_the_pixels() -> None:
    margin, line = (1, 1, 1), (2, 2, 2)
    rows = framed([[(0, 0, 0)] * 10] * 10, Pixels(2, 3, 4, 6).frame, margin, line)
    places = {(y - 1, x - 1): pixel for y, row in enumerate(rows) for x, pixel in enumerate(row)}
    ring = {place for place, pixel in places.items() if pixel == line}
    assert len(ring) == 2 * 5 + 2 * 2
    assert (1, 2) in ring
    assert (4, 6) in ring
    assert (2, 3) not in ring
    assert (0, 3) not in ring


def test_the_measured_field_is_the_bounding_box_of_its_pixels() -> None:
    mask = [0] * 25
    assert bounds(mask, 5) is None
    mask[1 * 5 + 2] = mask[3 * 5 + 1] = 1
    assert bounds(mask, 5) == Pixels(1, 1, 4, 3)


def test_theory_and_measurement_agree_on_the_part_inside_the_image() -> None:
    assert agree(Box(-1.0, -1.0, 2.0, 2.0), Pixels(0, 0, 2, 2), 28)
    assert not agree(Box(-1.0, -1.0, 2.0, 2.0), Pixels(0, 0, 2, 3), 28)
    assert agree(Box(30.0, 0.0, 33.0, 3.0), None, 28)
    assert not agree(Box(3.0, 0.0, 6.0, 3.0), None, 28)


def test_every_layer_of_the_recorded_model_measures_its_theoretical_field() -> None:
    rows = described("network").layers
    assert {field.place for field in FIELDS} == set(range(1, len(rows)))
    for field in FIELDS:
        box = rows[field.place].box(field.row, field.column)
        assert box is not None
        assert agree(box, bounds(field.measured, 28), 28), rows[field.place].name


@pytest.mark.parametrize(
    ("effective", "half"),
    [((0, 0, 0), (0, 0)), ((255, 0, 0), (1, 1)), ((10, 10, 10, 10), (2, 4)), ((60, 30, 9), (1, 3))],
)
def test_half_of_the_gradient_is_in_the_fewest_possible_pixels(
    effective: tuple[int, ...], half: tuple[int, int]
) -> None:
    assert half_of(effective) == half


def test_a_real_effective_field_is_denser_than_its_receptive_field() -> None:
    for field in FIELDS:
        half, reached = half_of(field.effective)
        assert 0 < half <= reached / 2


def test_a_picture_is_reduced_by_averaging() -> None:
    picture = [0, 4, 8, 8, 4, 8, 8, 8, 1, 1, 2, 2, 1, 1, 2, 2]
    assert scaled(picture, 4, 2) == [4, 8, 1, 2]
    assert scaled(picture, 4, 2, max) == [8, 8, 1, 2]
    assert scaled(picture, 4, 4) == picture
    assert scaled(picture, 4, 9) == picture
    assert scaled([7] * 128 * 128, 128, 30) == [7] * 900


def test_two_pixels_are_one_character_and_an_odd_row_has_the_ground_below() -> None:
    red, blue, black = (255, 0, 0), (0, 0, 255), (0, 0, 0)
    upper, lower = half_blocks([[red, red], [blue, red], [blue, blue]], black)
    assert [segment.text for segment in upper] == ["▀", "▀"]
    assert [segment.text for segment in lower] == ["▀▀"]
    first, last = upper[0].style, lower[0].style
    assert first is not None
    assert last is not None
    assert first.color is not None
    assert first.bgcolor is not None
    assert last.bgcolor is not None
    assert first.color.get_truecolor() == red
    assert first.bgcolor.get_truecolor() == blue
    assert last.bgcolor.get_truecolor() == black


def test_a_gradient_runs_from_one_color_to_the_other() -> None:
    colors = ramp(Color(0, 0, 0), Color(255, 255, 255))
    assert (colors[0], colors[255]) == ((0, 0, 0), (255, 255, 255))
    assert colors == sorted(colors)
    assert mixed((0, 0, 0), Color(200, 100, 0), 0.5) == (100, 50, 0)
