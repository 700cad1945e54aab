"""Parts of MNIST as files and pictures, as they are published and photographed."""

from __future__ import annotations

import random
import struct
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path

from PIL import Image, ImageChops, ImageDraw, ImageFilter

from tests.data.idx_files import INT, idx_bytes, label_bytes, write_file
from tests.engine.conftest import MNIST
from tui_trainer.data.idx import RawDataset, read_folder

SIDE = 28
PIXELS = SIDE * SIDE


@cache
def mnist() -> RawDataset:
    """The real MNIST, read once."""
    return read_folder(MNIST, name="mnist")


def part(split: str, count: int) -> tuple[bytes, list[int]]:
    """Return the first images of a split, and their labels."""
    data = mnist()
    images, labels = (
        (data.train_images, data.train_labels)
        if split == "train"
        else (data.test_images, data.test_labels)
    )
    return bytes(images[: PIXELS * count]), list(labels[:count])


def write_idx(
    folder: Path,
    train: int = 600,
    test: int = 100,
    image: Callable[[bytes], bytes] = bytes,
    label: Callable[[int], int] = int,
) -> Path:
    """Write IDX files of the first images of MNIST, each image and label changed by a function."""
    for name, split, count in (("train", "train", train), ("t10k", "test", test)):
        pixels, labels = part(split, count)
        parts = [pixels[start : start + PIXELS] for start in range(0, len(pixels), PIXELS)]
        body = b"".join(map(image, parts))
        write_file(folder / f"{name}-images-idx3-ubyte", idx_bytes([count, SIDE, SIDE], body))
        write_file(folder / f"{name}-labels-idx1-ubyte", label_bytes(list(map(label, labels))))
    return folder


def transposed(image: bytes) -> bytes:
    """Swap rows and columns, as EMNIST's files do."""
    return bytes(image[SIDE * column + row] for row in range(SIDE) for column in range(SIDE))


def with_hole(label: int) -> int:
    """Omit one label, as Sign Language MNIST omits 9."""
    return label if label < 7 else label + 1


def write_qmnist(folder: Path, train: int = 600, test: int = 100) -> Path:
    """Write QMNIST's own files: eight 32-bit integers per label; the first is the class."""
    for name, split, count in (("train", "train", train), ("test", "test", test)):
        pixels, labels = part(split, count)
        lead = folder / f"qmnist-{name}"
        write_file(Path(f"{lead}-images-idx3-ubyte"), idx_bytes([count, SIDE, SIDE], pixels))
        rows = [struct.pack(">8i", n, 4, 0, i, i, 0, 0, 0) for i, n in enumerate(labels)]
        body = b"".join(rows)
        write_file(Path(f"{lead}-labels-idx2-int"), idx_bytes([count, 8], body, code=INT))
    return folder


def write_digits(folder: Path, count: int) -> list[Path]:
    """Write the first test images as PNG files, named by their label; return the files."""
    folder.mkdir(parents=True, exist_ok=True)
    pixels, labels = part("test", count)
    paths = []
    for i, label in enumerate(labels):
        picture = Image.frombytes("L", (SIDE, SIDE), pixels[PIXELS * i : PIXELS * (i + 1)])
        paths.append(folder / f"{label}-{i:03}.png")
        picture.save(paths[-1])
    return paths


# --- pictures as users take them


def ink(label: int, nth: int = 0, side: int = 180) -> Image.Image:
    """Return the nth test image of a digit, enlarged: 255 where there is ink."""
    pixels, labels = part("test", 2_000)
    at = [i for i, value in enumerate(labels) if value == label][nth]
    small = Image.frombytes("L", (SIDE, SIDE), pixels[PIXELS * at : PIXELS * (at + 1)])
    return small.resize((side, side), Image.Resampling.LANCZOS)


def written(
    paper: Image.Image,
    strokes: Image.Image,
    at: tuple[int, int],
    color: tuple[int, int, int] = (30, 30, 40),
) -> Image.Image:
    """Write ink onto paper, in a color."""
    paper.paste(Image.new("RGB", strokes.size, color), at, strokes)
    return paper


def plain(label: int) -> Image.Image:
    """Black on white, with a margin."""
    return written(Image.new("RGB", (300, 300), "white"), ink(label), (60, 60))


def on_a_table(label: int) -> Image.Image:
    """A sheet of paper, photographed with the dark table around it."""
    table = Image.new("RGB", (700, 520), (60, 42, 30))
    corners = [(130, 60), (590, 50), (610, 460), (110, 470)]
    ImageDraw.Draw(table).polygon(corners, fill=(228, 226, 220))
    written(table, ink(label), (260, 160))
    grain = Image.effect_noise(table.size, 5).convert("RGB")
    blurred = table.filter(ImageFilter.GaussianBlur(1.2))
    return ImageChops.add(blurred, grain, scale=1, offset=-128)


def same_brightness(label: int) -> Image.Image:
    """Red ink on green paper: in gray, both are nearly equal."""
    paper = Image.new("RGB", (300, 300), (0, 128, 0))
    return written(paper, ink(label), (60, 60), (250, 0, 0))


def framed(label: int) -> Image.Image:
    """A digit in the frame of a plot, with ticks."""
    figure = Image.new("RGB", (420, 420), "white")
    draw = ImageDraw.Draw(figure)
    draw.rectangle([70, 50, 370, 350], outline="black", width=2)
    for at in range(70, 371, 60):
        draw.line([(at, 350), (at, 358)], fill="black", width=2)
        draw.line([(62, at - 20), (70, at - 20)], fill="black", width=2)
    return written(figure, ink(label), (130, 110), (0, 0, 0))


def several(labels: Sequence[int]) -> Image.Image:
    """Several digits next to each other."""
    paper = Image.new("RGB", (40 + 190 * len(labels), 260), "white")
    for place, label in enumerate(labels):
        written(paper, ink(label, place), (30 + 190 * place, 40))
    return paper


def jittered(picture: Image.Image, seed: int) -> Image.Image:
    """Rotate a picture by a few degrees, as a hand does."""
    degrees = random.Random(seed).uniform(-4, 4)
    return picture.rotate(degrees, Image.Resampling.BICUBIC, fillcolor=picture.getpixel((2, 2)))
