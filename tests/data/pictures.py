"""Folders of small pictures with a color for each class, in every format."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from pathlib import Path

from PIL import Image

COLORS = ((200, 40, 40), (40, 200, 40), (40, 40, 200), (200, 200, 40))

Save = Callable[[Image.Image, Path], None]


def picture(label: int = 0, number: int = 0, size: tuple[int, int] = (32, 32)) -> Image.Image:
    """Return a picture with the color of a class and a block whose place depends on ``number``."""
    rng = random.Random(f"{label} {number}")
    red, green, blue = COLORS[label % len(COLORS)]
    jitter = rng.randrange(-30, 30)
    made = Image.new("RGB", size, (red + jitter, green + jitter, blue + jitter))
    width, height = (max(1, side // 4) for side in size)
    x, y = rng.randrange(size[0] - width + 1), rng.randrange(size[1] - height + 1)
    made.paste((rng.randrange(256),) * 3, (x, y, x + width, y + height))
    return made


def gray(label: int = 0, number: int = 0, size: tuple[int, int] = (32, 32)) -> Image.Image:
    return picture(label, number, size).convert("L")


def write_tree(
    folder: Path,
    splits: Sequence[str] = ("train", "test"),
    classes: Sequence[str] = ("cat", "dog"),
    each: int = 4,
    make: Callable[[int, int], Image.Image] = picture,
) -> Path:
    """Write pictures of each class and split; a split named ``.`` is a single tree."""
    for place, split in enumerate(splits):
        for label, name in enumerate(classes):
            inner = folder / split / name
            inner.mkdir(parents=True, exist_ok=True)
            for number in range(each):
                made = make(label, 1_000 * place + number)
                made.save(inner / f"{number}.png", compress_level=1)
    return folder


def turned(made: Image.Image, path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # rotated counterclockwise; must be turned clockwise
    made.rotate(90, expand=True).save(path, exif=exif, quality=95, subsampling=0)


def sixteen_bit(made: Image.Image, path: Path) -> None:
    pixels = b"".join((level * 257).to_bytes(2, "little") for level in made.convert("L").tobytes())
    Image.frombytes("I;16", made.size, pixels).save(path)


def transparent(made: Image.Image, path: Path) -> None:
    made = made.convert("RGBA")
    made.putalpha(Image.new("L", made.size, 128))
    made.save(path)


FORMS: dict[str, Save] = {
    "plain.png": lambda made, path: made.save(path),
    "high.jpg": lambda made, path: made.save(path, quality=95, subsampling=0),
    "progressive.jpeg": lambda made, path: made.save(path, quality=90, progressive=True),
    "turned.jpg": turned,
    "cmyk.jpg": lambda made, path: made.convert("CMYK").save(path, quality=95, subsampling=0),
    "gray.jpg": lambda made, path: made.convert("L").save(path, quality=95),
    "lossless.webp": lambda made, path: made.save(path, lossless=True),
    "lossy.webp": lambda made, path: made.save(path, quality=90),
    "plain.bmp": lambda made, path: made.save(path),
    "plain.tiff": lambda made, path: made.save(path),
    "packed.tif": lambda made, path: made.save(path, compression="tiff_lzw"),
    "deep.tiff": sixteen_bit,
    "deep.png": sixteen_bit,
    "palette.png": lambda made, path: made.quantize(64).save(path),
    "palette.gif": lambda made, path: made.quantize(64).save(path),
    "gray-alpha.png": lambda made, path: made.convert("LA").save(path),
    "opaque.png": lambda made, path: made.convert("RGBA").save(path),
    "transparent.png": transparent,
    "plain.ppm": lambda made, path: made.save(path),
    "one-bit.png": lambda made, path: made.convert("1").save(path),
}
"""How a picture is saved in each format and mode, by file name."""
