"""Tiny datasets in the binary formats of CIFAR and STL-10 on disk."""

from __future__ import annotations

import random
from pathlib import Path

from tui_trainer.data.binary_files import BinaryFormat, labels_of


def make_images(
    total: int, *, size: int = 32, classes: int = 10, seed: int = 0
) -> tuple[bytes, list[int]]:
    """Return images (total, 3, size, size) and labels that a model can learn.

    Dark noise; a bright block in one plane, at a position that depends on the class.
    """
    rng = random.Random(seed)
    labels = [index % classes for index in range(total)]
    rng.shuffle(labels)
    dim = bytes(level // 4 for level in range(256))
    images = bytearray()
    for label in labels:
        image = bytearray(rng.randbytes(3 * size * size).translate(dim))
        plane, column = label % 3, label // 3
        width = size // (1 + (classes - 1) // 3)
        for y in range(size // 2):
            start = plane * size * size + y * size + column * width
            image[start : start + width] = bytes([255]) * width
        images += image
    return bytes(images), labels


def write_binary(
    folder: Path, kind: BinaryFormat, *, per_file: int = 12, names: bool = True, seed: int = 0
) -> Path:
    """Write the files of a format with ``per_file`` images each; return ``folder``."""
    folder.mkdir(parents=True, exist_ok=True)
    area, classes = 3 * kind.size**2, len(kind.class_names)
    for number, file in enumerate(kind.images):
        pixels, labels = make_images(per_file, size=kind.size, classes=classes, seed=seed + number)
        images = [pixels[start : start + area] for start in range(0, len(pixels), area)]
        if kind.label_bytes:
            heads = [bytes([7] * (kind.label_bytes - 1) + [label]) for label in labels]
            content = b"".join(map(bytes.__add__, heads, images))
        else:
            content = b"".join(lying(image, kind.size) for image in images)
            (folder / labels_of(file)).write_bytes(bytes(label + 1 for label in labels))
        (folder / file).write_bytes(content)
    if names:
        (folder / kind.names_file).write_text("\n".join(kind.class_names) + "\n\n")
    return folder


def lying(image: bytes, size: int) -> bytes:
    """Return an image with each plane column by column."""
    area = size * size
    return b"".join(
        image[start + column : start + area : size]
        for start in range(0, len(image), area)
        for column in range(size)
    )
