"""Tiny datasets in MNIST's file format on disk."""

from __future__ import annotations

import gzip as gzip_module
import random
import struct
from collections.abc import Sequence
from pathlib import Path

UBYTE, SHORT, INT, FLOAT = 0x08, 0x0B, 0x0C, 0x0D
_PACKED = {UBYTE: "B", SHORT: "h", INT: "i", FLOAT: "f"}


def idx_bytes(shape: Sequence[int], body: bytes, *, code: int = UBYTE) -> bytes:
    """Return an IDX file: header and numbers, which may be inconsistent."""
    header = struct.pack(f">BBBB{len(shape)}I", 0, 0, code, len(shape), *shape)
    return header + body


def label_bytes(labels: Sequence[int], *, code: int = UBYTE) -> bytes:
    """Return a file of labels of any of the integer types."""
    body = struct.pack(f">{len(labels)}{_PACKED[code]}", *labels)
    return idx_bytes([len(labels)], body, code=code)


def write_file(path: Path, data: bytes) -> Path:
    """Write a file, gzipped if its name ends in .gz, and create its folder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".gz":
        data = gzip_module.compress(data, compresslevel=1, mtime=0)
    path.write_bytes(data)
    return path


def make_part(
    total: int, *, size: int = 28, classes: int = 10, seed: int = 0
) -> tuple[bytes, list[int]]:
    """Return images and labels that a model can learn.

    The classes are balanced and shuffled. An image is dark noise with a bright block
    at a position that depends on its class; neither rows nor columns alone determine the class.
    """
    rng = random.Random(seed)
    labels = [index % classes for index in range(total)]
    rng.shuffle(labels)
    dim = bytes(level // 4 for level in range(256))
    side = next(side for side in range(1, size + 1) if side * side >= classes)
    block = size // side
    images = bytearray()
    for label in labels:
        image = bytearray(rng.randbytes(size * size).translate(dim))
        row, column = divmod(label, side)
        for y in range(row * block, (row + 1) * block):
            start = y * size + column * block
            image[start : start + block] = bytes([255]) * block
        images += image
    return bytes(images), labels


def write_dataset(
    folder: Path,
    *,
    size: int = 28,
    classes: int = 10,
    train: int = 60,
    test: int = 20,
    gzip: bool = True,
    prefix: str = "",
    seed: int = 0,
    flat: bool = True,
) -> Path:
    """Write the four files of a small dataset that a model can learn; return ``folder``.

    Args:
        folder: The folder; created if missing.
        size: Height and width of an image in pixels.
        classes: The number of classes; above 256 the labels are 16-bit integers.
        train: The number of training images, at least one of each class for a valid dataset.
        test: The number of test images.
        gzip: Whether to gzip the files.
        prefix: The prefix of the file names, as ``emnist-letters-``.
        seed: Another seed gives other images in another order.
        flat: Into the folder itself, or into ``MNIST/raw`` as torchvision does.
    """
    place = folder if flat else folder / "MNIST" / "raw"
    end = ".gz" if gzip else ""
    code, kind = (UBYTE, "ubyte") if classes <= 256 else (SHORT, "short")
    for split, total, part_seed in (("train", train, 2 * seed), ("t10k", test, 2 * seed + 1)):
        images, labels = make_part(total, size=size, classes=classes, seed=part_seed)
        start = place / f"{prefix}{split}"
        image_file = idx_bytes([total, size, size], images)
        write_file(Path(f"{start}-images-idx3-ubyte{end}"), image_file)
        write_file(Path(f"{start}-labels-idx1-{kind}{end}"), label_bytes(labels, code=code))
    return folder
