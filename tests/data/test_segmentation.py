"""Everyday pictures: the digit is found, or one line states the reason."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from PIL import Image, ImageChops, ImageDraw, ImageFilter, ImageOps
from torch import Tensor
from torch.nn import functional

from tests.data.strokes import GLYPHS, Stroke, painted
from tui_trainer.data.idx import RawDataset
from tui_trainer.data.image_files import read_ink
from tui_trainer.data.ink import as_digit
from tui_trainer.data.segmentation import picture_warnings
from tui_trainer.protocol.errors import InputError

Color = tuple[int, int, int]
Make = Callable[[int], Image.Image]

WHITE, PAPER, TABLE, PEN = (255, 255, 255), (226, 222, 214), (48, 36, 28), (25, 25, 60)
DIGITS = (2, 8)
SIZE, TALL = 160, 120


def ink(digit: int, size: int = SIZE) -> Image.Image:
    return strokes(GLYPHS[digit], size)


def strokes(glyph: tuple[Stroke, ...], size: int = SIZE) -> Image.Image:
    drawing = painted(glyph, (35, 20, TALL), 5, pad=SIZE)
    return Image.frombytes("L", (SIZE, SIZE), drawing.ink).resize((size, size))


def sheet(size: tuple[int, int] = (240, 240), color: Color = WHITE) -> Image.Image:
    return Image.new("RGB", size, color)


def written(
    digit: int, paper: Image.Image, at: tuple[int, int] = (40, 40), pen: Color = PEN
) -> Image.Image:
    paper.paste(Image.new("RGB", (SIZE, SIZE), pen), at, ink(digit))
    return paper


def photographed(picture: Image.Image, grain: float = 6) -> Image.Image:
    noise = Image.effect_noise(picture.size, grain).convert("RGB")
    blurred = picture.filter(ImageFilter.GaussianBlur(1))
    return ImageChops.add(blurred, noise, scale=1, offset=-128)


def lines(
    picture: Image.Image, color: Color, step: int, width: int, *, across: bool = True
) -> Image.Image:
    draw = ImageDraw.Draw(picture)
    for at in range(step // 2, max(picture.size), step):
        draw.line([(0, at), (picture.width, at)], fill=color, width=width)
        if across:
            draw.line([(at, 0), (at, picture.height)], fill=color, width=width)
    return picture


def lit(across: float, down: float, vignette: float) -> Image.Image:
    y, x = torch.meshgrid(torch.linspace(-1, 1, 240), torch.linspace(-1, 1, 240), indexing="ij")
    light = 180 + across * x + down * y - vignette * (x * x + y * y)
    pixels = light.clamp(0, 255).to(torch.uint8).numpy().tobytes()
    return Image.frombytes("L", (240, 240), pixels).convert("RGB")


def shadowed(digit: int) -> Image.Image:
    picture = written(digit, sheet(color=PAPER))
    shade = Image.new("L", picture.size, 0)
    ImageDraw.Draw(shade).polygon([(0, 0), (180, 0), (60, 240), (0, 240)], fill=90)
    shade = shade.filter(ImageFilter.GaussianBlur(4))
    picture.paste(Image.new("RGB", picture.size, (20, 20, 20)), (0, 0), shade)
    return photographed(picture)


def on_table(digit: int, corners: list[tuple[int, int]], table: Color = TABLE) -> Image.Image:
    picture = sheet((400, 320), table)
    ImageDraw.Draw(picture).polygon(corners, fill=PAPER)
    return photographed(written(digit, picture, (120, 80)))


def figure(digit: int) -> Image.Image:
    """A frame with ticks and a title, as a plotting library saves it."""
    picture = written(digit, sheet((300, 300)), (80, 80))
    draw = ImageDraw.Draw(picture)
    draw.rectangle([50, 50, 270, 270], outline="black", width=2)
    for at in range(50, 271, 44):
        draw.line([(at, 270), (at, 277)], fill="black", width=2)
        draw.text((30, at - 5), "5", fill="black")
    draw.text((120, 25), "label: 7", fill="black")
    return picture


def boxed(digit: int, *, round_: bool = False) -> Image.Image:
    picture = written(digit, sheet((260, 260)), (50, 50))
    draw = ImageDraw.Draw(picture)
    (draw.ellipse if round_ else draw.rectangle)([15, 15, 245, 245], outline=PEN, width=4)
    return picture


def colored(digit: int, ends: tuple[Color, Color, Color]) -> Image.Image:
    """A picture in the colors of a colormap, with a border, on a white page."""
    low, middle, high = ends
    colored = ImageOps.colorize(ink(digit), low, high, middle)
    page = sheet((260, 260))
    page.paste(colored, (50, 50))
    return page


def stained(digit: int) -> Image.Image:
    picture = sheet()
    stain = Image.new("L", picture.size, 0)
    ImageDraw.Draw(stain).ellipse([100, 90, 215, 205], fill=70)
    picture.paste(Image.new("RGB", picture.size, (150, 110, 60)), (0, 0), stain)
    return written(digit, picture)


def speckled(digit: int) -> Image.Image:
    picture = written(digit, sheet())
    for at in range(30):
        picture.paste(
            (60, 60, 60), (at * 67 % 236, at * 101 % 236, at * 67 % 236 + 2, at * 101 % 236 + 2)
        )
    return picture


def broken(digit: int) -> Image.Image:
    whole = ink(digit)
    whole.paste(0, (0, 76, SIZE, 81))
    whole.paste(0, (80, 0, 83, SIZE))
    return ImageOps.invert(whole)


WHOLE = [(60, 20), (350, 30), (340, 300), (50, 290)]
CUT = [(80, -1), (401, -1), (401, 321), (60, 321)]

SCENES: dict[str, Make] = {
    "a sheet on a table": lambda digit: on_table(digit, WHOLE),
    "a sheet that the picture cuts": lambda digit: on_table(digit, CUT),
    "a sheet on a light table": lambda digit: on_table(digit, WHOLE, (150, 120, 90)),
    "chalk on a board": lambda digit: photographed(
        written(digit, sheet(color=(40, 60, 50)), pen=(225, 225, 215)), 12
    ),
    "light from the side": lambda digit: photographed(written(digit, lit(60, 10, 0))),
    "a vignette": lambda digit: photographed(written(digit, lit(0, 0, 60))),
    "a shadow's edge": shadowed,
    "squared paper": lambda digit: written(digit, lines(sheet(), (170, 200, 230), 16, 1)),
    "wide squares": lambda digit: written(digit, lines(sheet(), (170, 200, 230), 20, 3)),
    "squares, photographed": lambda digit: photographed(
        written(digit, lines(sheet(), (170, 200, 230), 20, 2))
    ),
    "dark squares": lambda digit: written(digit, lines(sheet(), (60, 60, 80), 24, 1)),
    "dark lines": lambda digit: written(digit, lines(sheet(), (60, 60, 80), 30, 2, across=False)),
    "red on green": lambda digit: written(digit, sheet(color=(0, 130, 0)), pen=(255, 0, 0)),
    "red on gray": lambda digit: written(digit, sheet(color=(120, 120, 120)), pen=(200, 83, 83)),
    "yellow on white": lambda digit: written(digit, sheet(), pen=(255, 240, 0)),
    "blue on black": lambda digit: written(digit, sheet(color=(0, 0, 0)), pen=(0, 0, 255)),
    "pencil on gray": lambda digit: photographed(
        written(digit, sheet(color=(185, 185, 185)), pen=(125, 125, 125)), 4
    ),
    "a figure": figure,
    "a box": boxed,
    "a box, photographed askew": lambda digit: photographed(
        boxed(digit).rotate(3, resample=Image.Resampling.BICUBIC, fillcolor=WHITE)
    ),
    "a ring": lambda digit: boxed(digit, round_=True),
    "viridis": lambda digit: colored(digit, ((68, 1, 84), (33, 145, 140), (253, 231, 37))),
    "cool to warm": lambda digit: colored(digit, ((59, 76, 192), (221, 221, 221), (180, 4, 38))),
    "white on a black square": lambda digit: colored(digit, ((0,) * 3, (128,) * 3, WHITE)),
    "a stain": stained,
    "specks": speckled,
    "broken strokes": broken,
    "cut out": lambda digit: ImageOps.invert(ink(digit).crop(ink(digit).getbbox())),
}


def digit_of(path: Path) -> Tensor:
    digit = as_digit(read_ink(path))
    assert digit is not None
    return digit.float()


def likeness(one: Tensor, other: Tensor) -> float:
    """The cosine of two digits at their best alignment within a pixel."""
    around = functional.pad(other, (1, 1, 1, 1))[None, None]
    products = functional.conv2d(around, one[None, None])
    return float(products.max() / (one.norm() * other.norm()))


@pytest.mark.sampled(8 * len(DIGITS) + 1)
@pytest.mark.parametrize("digit", DIGITS)
@pytest.mark.parametrize("picture", SCENES)
def test_the_digit_is_found(picture: str, digit: int, tmp_path: Path) -> None:
    ImageOps.invert(ink(digit)).save(tmp_path / "plain.png")
    path = tmp_path / ("picture.jpg" if "photographed" in picture else "picture.png")
    SCENES[picture](digit).save(path)

    found, plain = digit_of(path), digit_of(tmp_path / "plain.png")

    assert likeness(found, plain) > 0.85
    assert picture_warnings(read_ink(path)) == []


def row(*digits: int, apart: int = 20) -> Image.Image:
    picture = sheet((40 + (TALL + apart) * len(digits) + 40, 200))
    for at, digit in enumerate(digits):
        written(digit, picture, (10 + (TALL + apart) * at, 20))
    return picture


def column() -> Image.Image:
    return written(8, written(3, sheet((200, 400)), (20, 10)), (20, 180))


def solid(form: str) -> Image.Image:
    picture = sheet((200, 200))
    getattr(ImageDraw.Draw(picture), form)([60, 60, 140, 140], fill=PEN)
    return picture


def boxes() -> Image.Image:
    picture = sheet((560, 300))
    picture.paste(boxed(1), (10, 20))
    picture.paste(boxed(7), (290, 20))
    return picture


def dash() -> Image.Image:
    picture = sheet((200, 200))
    ImageDraw.Draw(picture).line([20, 100, 180, 100], fill=PEN, width=6)
    return picture


REFUSED: dict[str, tuple[Callable[[], Image.Image], str]] = {
    "two": (lambda: row(4, 2), "holds 2 separate shapes; crop it to one digit"),
    "four": (lambda: row(2, 0, 2, 4), "holds 4 separate shapes; crop it to one digit"),
    "close together": (lambda: row(7, 1, apart=-10), "holds 2 separate shapes; "),
    "one below the other": (column, "holds 2 separate shapes; "),
    "two, photographed": (lambda: photographed(row(3, 5)), "holds 2 separate shapes; "),
    "two boxes": (boxes, "holds 2 frames with ink in each; crop it to one digit"),
    "a table alone": (lambda: photographed(sheet(color=TABLE)), "is blank: there is no ink in it"),
    "a sheet without ink": (
        lambda: blank_sheet(),
        "holds a sheet or a solid shape, and no separate ink",
    ),
    "a square": (lambda: solid("rectangle"), "holds a solid shape without strokes, not a digit"),
    "a disc": (lambda: solid("ellipse"), "holds a solid shape without strokes, not a digit"),
    "a dash": (dash, "holds a shape "),
    "an empty grid": (
        lambda: lines(sheet(), (90, 90, 90), 20, 2),
        "holds lines or a pattern around ",
    ),
    "a ramp": (lambda: lit(70, 0, 0), "is blank: there is no ink in it"),
    "all ink": (
        lambda: sheet((12, 60), (0, 0, 0)),
        "is blank: there is no ink in it, or no paper around it",
    ),
}


def blank_sheet() -> Image.Image:
    picture = sheet((400, 320), TABLE)
    ImageDraw.Draw(picture).polygon(WHOLE, fill=PAPER)
    return photographed(picture)


@pytest.mark.parametrize("picture", REFUSED)
def test_pictures_without_one_digit_are_refused_with_the_reason(
    picture: str, tmp_path: Path
) -> None:
    make, words = REFUSED[picture]
    path = tmp_path / "picture.png"
    make().save(path)

    with pytest.raises(InputError) as caught:
        read_ink(path)

    assert str(caught.value).startswith(f"{path}: {words}")
    assert str(caught.value).isprintable()


@pytest.mark.parametrize(
    "glyph",
    [
        pytest.param(
            (((0.3, 0.1), (0.9, 0.02)), ((0.27, 0.22), *GLYPHS[5][0][2:])),
            id="a 5 with its hat off",
        ),
        pytest.param((((0.2, 0.0), (0.12, 0.5), (0.62, 0.46)), GLYPHS[4][1]), id="a 4 in two"),
        pytest.param((GLYPHS[7][0], ((0.3, 0.5), (0.8, 0.45))), id="a 7 with a bar"),
        pytest.param((GLYPHS[0][0], ((0.45, 0.5), (0.55, 0.5))), id="a 0 with a dot"),
    ],
)
def test_the_strokes_of_one_digit_are_not_several_digits(
    glyph: tuple[Stroke, ...], tmp_path: Path
) -> None:
    ImageOps.invert(strokes(glyph)).save(tmp_path / "digit.png")

    assert read_ink(tmp_path / "digit.png").any()


@pytest.mark.parametrize("count", [5, pytest.param(20, marks=pytest.mark.slow)])
def test_mnists_digits_enlarged_are_one_digit_each(
    mnist: RawDataset, tmp_path: Path, count: int
) -> None:
    images = torch.frombuffer(mnist.test_images, dtype=torch.uint8).view(-1, 28, 28)
    for image in images[:count]:
        small = Image.frombytes("L", (28, 28), image.numpy().tobytes())
        small.resize((168, 168), Image.Resampling.BICUBIC).save(tmp_path / "digit.png")
        small.save(tmp_path / "small.png")

        found, as_it_was = digit_of(tmp_path / "digit.png"), digit_of(tmp_path / "small.png")
        assert likeness(found, as_it_was) > 0.9


def test_taken_whole_everything_stays(tmp_path: Path) -> None:
    row(4, 2).save(tmp_path / "two.png")

    assert read_ink(tmp_path / "two.png", is_whole=True).any()


@pytest.mark.parametrize(
    ("at", "expected"),
    [
        ((-60, 40), ["the ink touches the left edge: part of it may be missing"]),
        ((40, 130), ["the ink touches the lower edge: part of it may be missing"]),
        ((40, 40), []),
    ],
)
def test_ink_that_touches_the_edge_gets_a_warning(
    at: tuple[int, int], expected: list[str], tmp_path: Path
) -> None:
    written(4, sheet(), at).save(tmp_path / "cut.png")

    assert picture_warnings(read_ink(tmp_path / "cut.png")) == expected


def test_strokes_wider_than_in_any_digit_get_a_warning(tmp_path: Path) -> None:
    bold = ink(4).filter(ImageFilter.MaxFilter(37))
    picture = Image.new("L", (260, 260), 0)
    picture.paste(bold, (50, 50))
    ImageOps.invert(picture).save(tmp_path / "bold.png")

    assert picture_warnings(read_ink(tmp_path / "bold.png")) == [
        "its strokes are wider than in any training digit"
    ]
