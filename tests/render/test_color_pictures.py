"""Pictures in color, in every format that draws them."""

from __future__ import annotations

import io
import math
import xml.etree.ElementTree as ElementTree
from dataclasses import replace

import pytest
from PIL import Image

from tests.color_images import color_images
from tests.headless.test_html_report import Page
from tests.render.test_plain_exhibit import drawn
from tui_trainer.protocol.document import Document, Section
from tui_trainer.protocol.exhibit import Picture, Pictures
from tui_trainer.render.characters import picture_lines
from tui_trainer.render.html.blocks import blocks_html
from tui_trainer.render.levels import colors_of, grayscale
from tui_trainer.render.markdown.document import document_markdown
from tui_trainer.render.svg.blocks import block_drawn
from tui_trainer.render.svg.pixels import UNKNOWN, png

RED, GREEN, BLUE, WHITE = (255.0, 0.0, 0.0), (0.0, 255.0, 0.0), (0.0, 0.0, 255.0), (255.0,) * 3


def in_color(*pixels: tuple[float, ...], width: int = 2) -> Picture:
    return Picture(
        caption="a cat",
        height=len(pixels) // width,
        width=width,
        values=tuple(value for pixel in pixels for value in pixel),
        low=0.0,
        high=255.0,
        channels=3,
    )


FLAG = in_color(RED, GREEN, BLUE, WHITE)
KERNEL = replace(
    in_color((-2.0, 0.0, 2.0), (0.0, 0.0, 0.0)),
    caption="kernel",
    low=-2.0,
    high=2.0,
    is_signed=True,
)


def pixels_of_png(picture: Picture, times: int = 1) -> list[tuple[int, ...]]:
    with Image.open(io.BytesIO(png(picture, times))) as image:
        assert image.size == (picture.width * times, picture.height * times)
        raw = image.convert("RGBA").tobytes()
        return [tuple(raw[at : at + 4]) for at in range(0, len(raw), 4)]


@pytest.mark.parametrize("channels", [0, 2, 4])
def test_a_picture_has_one_channel_or_three(channels: int) -> None:
    with pytest.raises(ValueError, match="a picture has 1 or 3"):
        replace(FLAG, channels=channels)


def test_the_number_of_values_fits_the_channels() -> None:
    with pytest.raises(ValueError, match="12 values for 2×2 pixels of 1"):
        replace(FLAG, channels=1)


def test_colors_are_those_of_the_image() -> None:
    assert colors_of(FLAG) == [(255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255)]


def test_zero_is_a_medium_gray_in_a_signed_picture() -> None:
    assert colors_of(KERNEL) == [(0, 127, 254), (127, 127, 127)]


def test_a_pixel_with_nan_has_no_color() -> None:
    broken = in_color((1.0, math.nan, 1.0), WHITE)

    assert colors_of(broken) == [None, (255, 255, 255)]
    assert pixels_of_png(broken)[0] == (*UNKNOWN, 255)


def test_luminance_is_pillows() -> None:
    pixels = color_images(9).pixels
    for image in pixels:
        values = tuple(map(float, image.flatten()))
        picture = Picture(
            caption="", height=32, width=32, values=values, low=0.0, high=255.0, channels=3
        )
        theirs = Image.fromarray(image).convert("L").tobytes()
        assert grayscale(picture).values == pytest.approx(list(theirs), abs=1.0)


def test_the_luminance_of_a_gray_picture_is_the_picture() -> None:
    gray = Picture(caption="", height=1, width=1, values=(1.0,), low=0.0, high=1.0)
    assert grayscale(gray) is gray


def test_characters_show_the_luminance() -> None:
    assert picture_lines(FLAG) == ["--++", "..@@"]
    assert picture_lines(KERNEL) == ["--  "]


def test_plain_text_names_what_the_characters_mean() -> None:
    text = "\n".join(drawn(Pictures(caption="two", items=(FLAG, KERNEL))))

    assert "lowest to highest luminance" in text
    assert "most negative to most positive luminance" in text
    assert "smallest to largest" not in text


def test_a_png_has_the_colors_enlarged() -> None:
    assert pixels_of_png(FLAG) == [
        (255, 0, 0, 255),
        (0, 255, 0, 255),
        (0, 0, 255, 255),
        (255, 255, 255, 255),
    ]
    red, green = (255, 0, 0, 255), (0, 255, 0, 255)
    assert pixels_of_png(FLAG, 2)[:8] == [red, red, green, green, red, red, green, green]


def test_the_page_shows_colors_without_a_key_and_does_not_invert_them() -> None:
    page = Page(blocks_html((Pictures(caption="", items=(FLAG,)),)))

    assert "color" in page.values("span", "class")
    assert not [name for name in page.values("span", "class") if "gray" in name]
    assert "key" not in page.values("p", "class")
    assert page.values("img", "alt") == ["a cat: 2×2, 0 to 255"]


def test_signed_colors_have_a_key() -> None:
    text = blocks_html((Pictures(caption="", items=(KERNEL,)),))

    assert "each color: below 0, −2" in text
    assert "above 0, 2" in text


def test_the_drawing_and_markdown_show_it() -> None:
    block = Pictures(caption="cats", items=(FLAG, KERNEL))
    drawing = block_drawn(block, 600)
    root = ElementTree.fromstring(
        f"<svg xmlns:xlink='http://www.w3.org/1999/xlink'>{drawing.svg}</svg>"
    )
    assert len(root.findall(".//image")) == 3  # both, and the key of the signed one

    document = Document(title="a", parts=(block,), sections=(Section(name="b", title="b"),))
    assert "![cats: a cat; kernel](x.svg)" in document_markdown(document, lambda _: "x.svg")
