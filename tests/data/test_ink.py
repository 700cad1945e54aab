"""From ink to a digit, compared with MNIST's images."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from tests.data.strokes import GLYPHS, PLACES, RADII, drawn, painted
from tui_trainer.data.idx import RawDataset
from tui_trainer.data.ink import THICK, THIN, as_digit, as_it_lies, thickness
from tui_trainer.protocol.strokes import Drawing


@pytest.fixture(scope="module")
def images(mnist: RawDataset) -> Tensor:
    """About six hundred of MNIST's training images, spread over its writers."""
    pixels = torch.frombuffer(mnist.train_images, dtype=torch.uint8)
    return pixels.view(-1, 28, 28)[::97]


def ink_of(drawing: Drawing) -> Tensor:
    pixels = torch.frombuffer(bytearray(drawing.ink), dtype=torch.uint8)
    return pixels.view(drawing.height, drawing.width)


def box_of(digit: Tensor) -> tuple[int, int]:
    places = torch.nonzero(digit)
    height, width = (places.amax(dim=0) - places.amin(dim=0) + 1).tolist()
    return height, width


def center_of(digit: Tensor) -> tuple[float, float]:
    grays = digit.double()
    places = torch.arange(len(digit), dtype=torch.float64)
    down, across = ((grays.sum(dim=1 - along) * places).sum() / grays.sum() for along in (0, 1))
    return float(down), float(across)


def digit_of(ink: Tensor, side: int = 28) -> Tensor:
    digit = as_digit(ink, side)
    assert digit is not None
    return digit


def test_mnist_images_are_made_as_documented(images: Tensor) -> None:
    centers = torch.tensor([center_of(image) for image in images])

    assert {max(box_of(image)) for image in images} <= {19, 20}
    assert float((centers - 14).abs().max()) < 0.52
    assert centers.mean(dim=0).tolist() == pytest.approx([14, 14], abs=0.05)
    assert int(images.amax(dim=(1, 2)).min()) >= 254


def test_mnist_strokes_are_as_wide_as_documented(images: Tensor) -> None:
    widths = torch.tensor([thickness(image) for image in images])

    low, high = torch.quantile(widths, torch.tensor([0.05, 0.95])).tolist()
    assert low == pytest.approx(THIN, abs=0.1)
    assert high == pytest.approx(THICK, abs=0.25)


def test_images_of_mnist_are_returned_unchanged(images: Tensor) -> None:
    same = 0
    usual = [image for image in images if THIN <= thickness(image) <= THICK]
    for image in usual:
        away = functional.pad(image, (40, 3, 0, 25))
        same += int(torch.equal(digit_of(away), image))

    assert len(usual) > 500
    # The centers of the others are half a pixel off, or their box has 19 pixels.
    assert same / len(usual) > 0.97


@pytest.mark.parametrize("width", [2.0, 5.0, 9.0])
def test_the_width_of_a_stroke_is_measured(width: float) -> None:
    pad = Drawing.blank(200, 200)
    slanted = pad.stroke([(20, 30), (170, 160)], width / 2)

    assert thickness(ink_of(slanted)) == pytest.approx(width, rel=0.1)
    assert thickness(ink_of(slanted) // 3) == pytest.approx(width, rel=0.1)
    assert thickness(torch.zeros(5, 5)) == 0


@pytest.mark.parametrize("thick", RADII)
@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("digit", [1, 3, 7, 8])
def test_any_drawing_gets_mnists_format(digit: int, place: str, thick: str) -> None:
    made = digit_of(ink_of(drawn(digit, place=place, thickness=thick)))

    assert made.shape == (28, 28)
    assert made.dtype == torch.uint8
    assert int(made.max()) >= 254
    assert max(box_of(made)) in (19, 20)
    assert all(13.4 < center < 14.6 for center in center_of(made))
    assert THIN - 0.5 < thickness(made) < THICK + 0.8


def test_a_line_of_one_pixel_on_a_large_sheet_is_no_pale_trace() -> None:
    sheet = ink_of(painted(GLYPHS[2], (100, 60, 400), 0.5, pad=560))
    scaled = functional.interpolate(
        sheet[None, None, 60:460, 100:400].float(), size=(20, 15), mode="area"
    )

    made = digit_of(sheet)

    assert float(scaled.max()) < 80
    assert int(made.max()) >= 254
    assert THIN - 0.3 < thickness(made) < 2.6


def test_place_size_and_gray_do_not_matter() -> None:
    here = digit_of(ink_of(painted(GLYPHS[4], (10, 10, 40), 2.0, pad=80)))
    there = digit_of(ink_of(painted(GLYPHS[4], (35, 38, 40), 2.0, pad=80)))
    larger = digit_of(ink_of(painted(GLYPHS[4], (100, 20, 160), 8.0, pad=320)))
    paler = digit_of(ink_of(painted(GLYPHS[4], (10, 10, 40), 2.0, pad=80)) // 4)

    assert torch.equal(here, there)
    for other in (larger, paler):
        assert float((here.float() - other.float()).abs().mean()) < 3


@pytest.mark.parametrize("side", [8, 14, 32, 64])
def test_other_sides(side: int) -> None:
    made = digit_of(ink_of(drawn(5)), side)

    assert made.shape == (side, side)
    assert max(box_of(made)) == pytest.approx(side * 20 / 28, abs=1)
    assert all(abs(center - side / 2) <= 0.6 for center in center_of(made))


def test_ink_that_is_no_digit() -> None:
    dot = torch.zeros(40, 40)
    dot[3, 3] = 1
    line = torch.zeros(300, 4)
    line[:, 1] = 255

    assert as_digit(torch.zeros(30, 50)) is None
    assert box_of(digit_of(dot)) == (20, 20)
    assert digit_of(torch.full((90, 33), 255)).any()
    assert box_of(digit_of(line))[0] in (19, 20)


def test_as_it_lies() -> None:
    drawing = drawn(3, place="top left", thickness="normal")
    lies = as_it_lies(ink_of(drawing), 28)
    wide = as_it_lies(torch.full((10, 40), 255), 28)

    down, across = center_of(lies)
    assert 8 < down < 12
    assert 6 < across < 10
    assert box_of(wide) == (7, 28)
    assert center_of(wide)[0] == pytest.approx(13.5, abs=0.6)
    assert not as_it_lies(torch.zeros(5, 5)).any()
