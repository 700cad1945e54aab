"""Pictures from files: the same digit in every format, and one line for other files."""

from __future__ import annotations

import struct
import warnings
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from PIL import Image, ImageOps
from torch import Tensor

from tests.data.strokes import GLYPHS, painted
from tui_trainer.data import image_files
from tui_trainer.data.image_files import PictureFile, files_of, read_ink
from tui_trainer.data.ink import as_digit
from tui_trainer.protocol.errors import InputError

SIZE = 240
DRAWN = painted(GLYPHS[2], (60, 30, 170), 9, pad=SIZE)
LIGHT = Image.frombytes("L", (SIZE, SIZE), DRAWN.ink)
DARK = ImageOps.invert(LIGHT)
WHITE, BLACK = (255, 255, 255), (0, 0, 0)

Save = Callable[[Path], None]


def digit_of(path: Path, ink: str = "auto") -> Tensor:
    digit = as_digit(read_ink(path, ink))
    assert digit is not None
    return digit.float()


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Tensor:
    path = tmp_path_factory.mktemp("plain") / "light.png"
    LIGHT.save(path)
    return digit_of(path)


def seen_through(color: tuple[int, int, int]) -> Image.Image:
    """A picture of one color whose digit is only in its alpha channel."""
    picture = Image.new("RGBA", LIGHT.size, (*color, 0))
    picture.putalpha(LIGHT)
    return picture


def deep(picture: Image.Image) -> Image.Image:
    pixels = b"".join((gray * 257).to_bytes(2, "little") for gray in picture.tobytes())
    return Image.frombytes("I;16", picture.size, pixels)


def turned(path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # rotated counterclockwise; must be turned clockwise
    DARK.rotate(90, expand=True).save(path, exif=exif, quality=95)


def with_palette_transparency(path: Path) -> None:
    DARK.convert("P").save(path, transparency=bytes([*range(256)]))


FORMS: dict[str, Save] = {
    "dark.png": DARK.save,
    "colors.png": lambda path: ImageOps.colorize(LIGHT, (250, 250, 210), (20, 20, 120)).save(path),
    "pale.png": lambda path: LIGHT.point(lambda gray: 200 - gray // 4).save(path),
    "one-bit.png": lambda path: DARK.convert("1").save(path),
    "palette.gif": lambda path: DARK.convert("P").save(path),
    "black-through.png": lambda path: seen_through(BLACK).save(path),
    "white-through.png": lambda path: seen_through(WHITE).save(path),
    "gray-alpha.png": lambda path: seen_through(BLACK).convert("LA").save(path),
    "dark-16.png": lambda path: deep(DARK).save(path),
    "light-16.tiff": lambda path: deep(LIGHT).save(path),
    "whole-numbers.tiff": lambda path: DARK.convert("I").save(path),
    "fractions.tiff": lambda path: DARK.convert("F").point(lambda gray: gray / 255).save(path),
    "lossy.jpg": lambda path: DARK.save(path, quality=60),
    "lossy.webp": lambda path: LIGHT.save(path, quality=60),
    "turned.jpg": turned,
    "large.png": lambda path: DARK.resize((2_400, 2_400)).save(path),
    "wide.bmp": lambda path: ImageOps.expand(DARK, (900, 0, 30, 10), fill=255).save(path),
    "cmyk.jpg": lambda path: DARK.convert("CMYK").save(path, quality=95),
}


@pytest.mark.sampled(4)
@pytest.mark.parametrize("name", FORMS)
def test_every_form_holds_the_same_digit(
    name: str, plain: Tensor, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    FORMS[name](tmp_path / name)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        digit = digit_of(tmp_path / name)

    assert float((digit - plain).abs().mean()) < 6
    assert capfd.readouterr() == ("", "")


def test_a_photograph_of_shaded_grainy_paper(plain: Tensor, tmp_path: Path) -> None:
    rng = torch.Generator().manual_seed(0)
    share = torch.frombuffer(bytearray(DRAWN.ink), dtype=torch.uint8).view(SIZE, SIZE) / 255
    paper = torch.linspace(110, 210, SIZE).expand(SIZE, SIZE)
    grain = torch.randn(SIZE, SIZE, generator=rng) * 6
    photo = (paper * (1 - 0.75 * share) + grain).clamp(0, 255).to(torch.uint8)
    pixels = photo.numpy().tobytes()
    Image.frombytes("L", (SIZE, SIZE), pixels).save(tmp_path / "photo.jpg", quality=80)

    assert float((digit_of(tmp_path / "photo.jpg") - plain).abs().mean()) < 12


def test_ink_is_what_is_asked_for(tmp_path: Path) -> None:
    both = Image.new("L", (90, 60), 128)
    both.paste(255, (10, 10, 20, 50))
    both.paste(40, (60, 10, 80, 50))
    both.save(tmp_path / "both.png")
    places = {
        ink: torch.nonzero(read_ink(tmp_path / "both.png", ink)).amin(dim=0).tolist()
        for ink in ("light", "dark", "auto")
    }

    assert places == {"light": [10, 10], "dark": [10, 60], "auto": [10, 10]}


def test_what_is_there_of_the_other_ink_is_blank(tmp_path: Path) -> None:
    LIGHT.save(tmp_path / "light.png")

    with pytest.raises(InputError, match=r"is blank: there is no dark ink in it$"):
        read_ink(tmp_path / "light.png", "dark")


def test_an_image_of_the_dataset_comes_back_as_it_is(tmp_path: Path) -> None:
    digit = as_digit(torch.frombuffer(bytearray(DRAWN.ink), dtype=torch.uint8).view(SIZE, SIZE))
    assert digit is not None
    Image.frombytes("L", (28, 28), digit.numpy().tobytes()).save(tmp_path / "digit.png")

    assert torch.equal(digit_of(tmp_path / "digit.png"), digit.float())


# --- unusable files


def cut(picture: Image.Image, path: Path, kept: float) -> None:
    picture.save(path)
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * kept)])


def _write(path: Path, text: str) -> None:
    path.write_text(text)


def grainy_paper(path: Path) -> None:
    rng = torch.Generator().manual_seed(1)
    grays = (torch.randn(200, 200, generator=rng) * 5 + 200).clamp(0, 255).to(torch.uint8)
    Image.frombytes("L", (200, 200), grays.numpy().tobytes()).save(path)


BAD: dict[str, tuple[Save, str]] = {
    "empty.png": (lambda path: path.touch(), "is empty"),
    "text.png": (
        lambda path: _write(path, "a 7"),
        "is not a picture in a known format; convert it to PNG or JPEG",
    ),
    "cut.png": (lambda path: cut(DARK, path, 0.5), "is damaged, or not whole: "),
    "cut.jpg": (lambda path: cut(DARK, path, 0.6), "is damaged, or not whole: "),
    "header.png": (lambda path: cut(DARK, path, 0.01), "is damaged, or not a picture: "),
    "clear.png": (
        lambda path: Image.new("RGBA", (50, 50), (0, 0, 0, 0)).save(path),
        "is fully transparent: there is nothing to see",
    ),
    "moves.gif": (
        lambda path: LIGHT.save(path, save_all=True, append_images=[DARK, LIGHT]),
        "is animated, or has pages; give a single frame",
    ),
    "moves.png": (
        lambda path: LIGHT.save(path, save_all=True, append_images=[DARK]),
        "is animated, or has pages; give a single frame",
    ),
    "white.png": (
        lambda path: Image.new("L", (50, 50), 255).save(path),
        "is blank: there is no ink in it",
    ),
    "opaque.png": (
        lambda path: Image.new("RGBA", (50, 50), (9, 9, 9, 255)).save(path),
        "is blank: there is no ink in it",
    ),
    "grain.png": (grainy_paper, "is blank: there is no ink in it"),
    "program.eps": (
        lambda path: DARK.resize((9, 9)).save(path),
        "is a PostScript program, not a picture",
    ),
    "folder.png": (lambda path: path.mkdir(), "cannot be read: not a file"),
    "nowhere.png": (lambda _: None, "cannot be read: No such file or directory"),
}


@pytest.mark.parametrize("name", BAD)
def test_unusable_pictures_get_one_line(
    name: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    save, words = BAD[name]
    save(tmp_path / name)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(InputError) as caught:
            read_ink(tmp_path / name)

    message = str(caught.value)
    assert message.startswith(f"{tmp_path / name}: {words}")
    assert message.isprintable()
    assert capfd.readouterr() == ("", "")


def test_a_bomb_is_refused_by_its_header(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "bomb.png"
    Image.new("1", (1, 1)).save(path)
    content = path.read_bytes()  # the size and checksum in the header are replaced
    header = b"IHDR" + struct.pack(">II", 20_000, 20_000) + content[24:29]
    path.write_bytes(content[:12] + header + struct.pack(">I", zlib.crc32(header)) + content[33:])

    def decode(*_: object) -> None:
        pytest.fail("the picture was decoded")

    monkeypatch.setattr(image_files, "_decoded", decode)
    limit = Image.MAX_IMAGE_PIXELS
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(InputError, match=r"has 20,000×20,000 pixels; 64 million can be read$"):
            read_ink(path)

    assert limit == Image.MAX_IMAGE_PIXELS


def test_the_pictures_of_a_folder(tmp_path: Path) -> None:
    for name in ("b.png", "a.JPG", ".hidden.png", "notes.txt"):
        (tmp_path / name).touch()
    (tmp_path / "more").mkdir()
    (tmp_path / "more" / "c.png").touch()

    assert [each.path.name for each in files_of(tmp_path)] == ["a.JPG", "b.png"]
    assert files_of(tmp_path / "notes.txt") == [PictureFile(tmp_path / "notes.txt")]


def test_the_pictures_of_subfolders_have_the_class_of_the_first_with_a_name(tmp_path: Path) -> None:
    for name in ("test/cat/old/dog/1.png", "test/cat/2.png", "test/dog/3.png", "other/4.png"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "test/cat/again").symlink_to(tmp_path / "test")
    names = {"cat": 0, "dog": 1}

    found = [(each.path.name, each.label) for each in files_of(tmp_path, names.get)]

    assert found == [("4.png", None), ("2.png", 0), ("1.png", 0), ("3.png", 1)]
    (tmp_path / "none").mkdir()
    with pytest.raises(InputError, match=r"none: is a folder without pictures$"):
        files_of(tmp_path / "none")
