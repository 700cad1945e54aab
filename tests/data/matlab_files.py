"""Tiny files of MATLAB 5, as SVHN's."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import numpy as np

from tests.data.binary_files import lying, make_images
from tui_trainer.data.matlab_file import SVHN_FILES

HEADER = b"MATLAB 5.0 MAT-file".ljust(124) + b"\0\1IM"
DOUBLE, UINT8 = 6, 9
_TYPES = {DOUBLE: (9, "<f8"), UINT8: (2, "|u1")}


def element(kind: int, content: bytes, *, padded: bool = True) -> bytes:
    """Return an element: its tag and its content."""
    padding = bytes(-len(content) % 8) if padded else b""
    return struct.pack("<II", kind, len(content)) + content + padding


def matrix(name: str, shape: tuple[int, ...], content: bytes, *, kind: int = UINT8) -> bytes:
    """Return a matrix of bytes; as doubles, if that is its kind."""
    number, item = _TYPES[kind]
    numbers = np.frombuffer(content, np.uint8).astype(item).tobytes()
    # A name of up to four characters is in its tag.
    short = struct.pack("<HH", 1, len(name)) + name.encode().ljust(4, b"\0")
    return element(
        14,
        element(6, struct.pack("<II", kind, 0))
        + element(5, struct.pack(f"<{len(shape)}i", *shape))
        + short
        + element(number, numbers),
    )


def packed(content: bytes) -> bytes:
    """Return a compressed element."""
    return element(15, zlib.compress(content), padded=False)


def svhn_bytes(images: bytes, labels: list[int], *, is_packed: bool = True) -> bytes:
    """Return a file of SVHN with images (N, 3, 32, 32) and labels from 0."""
    area = 3 * 32 * 32
    stored = b"".join(
        lying(images[start : start + area], 32) for start in range(0, len(images), area)
    )
    digits = bytes(label or 10 for label in labels)
    arrays = (
        matrix("X", (32, 32, 3, len(labels)), stored),
        matrix("y", (len(labels), 1), digits, kind=DOUBLE),
    )
    return HEADER + b"".join(packed(each) if is_packed else each for each in arrays)


def write_svhn(folder: Path, *, is_packed: bool = True) -> Path:
    """Write the two files of a small SVHN."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, total in zip(SVHN_FILES, (40, 10), strict=True):
        (folder / name).write_bytes(
            svhn_bytes(*make_images(total, seed=total), is_packed=is_packed)
        )
    return folder
