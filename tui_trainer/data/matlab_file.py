"""Read arrays of numbers from a MATLAB 5 file, as SVHN's, with the standard library and NumPy.

Only what arrays of numbers need ("MAT-File Format", The MathWorks): after a header of 128 bytes,
elements with a tag (type and size) each; a compressed one contains a matrix; a matrix contains
flags, dimensions, a name, and its numbers in column-major order.
"""

from __future__ import annotations

import math
import zlib
from array import array
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tui_trainer.data.idx import RawDataset, build_dataset
from tui_trainer.data.idx_file import MAX_BYTES, Part, opened
from tui_trainer.data.image_store import ImageStore, version_of
from tui_trainer.protocol.errors import path_error, reason
from tui_trainer.text import fmt

SVHN_FILES = ("train_32x32.mat", "test_32x32.mat")
"""The files of Street View House Numbers, cropped digits (Y. Netzer and others, 2011)."""

SIZE, CLASSES = 32, 10

_HEADER = 128
_COMPRESSED, _MATRIX = 15, 14
_NUMBERS = {
    **{1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4"},
    **{7: "f4", 9: "f8", 12: "i8", 13: "u8"},
}
_MOST_DIMENSIONS, _MOST_NAME = 8, 63
_MOST_ELEMENTS = 100
_NUMERIC_CLASSES = range(6, 16)
_COMPLEX = 0x0800

Numbers = NDArray[Any]


class _DamagedError(Exception):
    """The file has another content than its tags promise; the text says which."""


def holds_svhn(folder: Path) -> bool:
    """Return whether a folder has one of SVHN's files."""
    return any((folder / name).is_file() for name in SVHN_FILES)


def read_svhn(
    folder: Path, *, name: str, store: ImageStore, classes: int | None = None
) -> RawDataset:
    """Read SVHN's two files. Its digit 0 has label 10 in them, and 0 here.

    Raises:
        InputError: If a file is missing, cannot be read or is damaged.
    """
    if missing := [each for each in SVHN_FILES if not (folder / each).is_file()]:
        raise path_error(folder, f"{fmt.listed(missing)} not found; add what is missing")
    parts = []
    found = [_read_split(folder / each) for each in SVHN_FILES]
    resident = store.fits(sum(images.size for images, _ in found))
    for file, which, (images, labels) in zip(SVHN_FILES, ("train", "test"), found, strict=True):
        pixels = store.decoded(
            *((folder / file).absolute(), version_of(folder / file), which, images.size),
            _writer(images),
            resident=resident,
        )
        path = folder / file
        parts.append(Part(pixels, labels, SIZE, path, path, channels=3))
    return build_dataset(name, *parts, classes=CLASSES if classes is None else classes)


def _writer(images: Numbers) -> Callable[[memoryview], None]:
    def write(view: memoryview) -> None:
        target = np.frombuffer(view, np.uint8).reshape(-1, 3, SIZE, SIZE)
        # As the file has them: the column of an image varies more slowly than its row.
        target[:] = images.reshape(-1, 3, SIZE, SIZE).swapaxes(2, 3)

    return write


def _read_split(path: Path) -> tuple[Numbers, array[int]]:
    """Return images (N × 3 × column × row) and labels of a split."""
    arrays = read_matlab(path, ("X", "y"))
    shape, images = arrays["X"]
    _, labels = arrays["y"]
    total = shape[3] if len(shape) == 4 else 1
    if shape[:3] != (SIZE, SIZE, 3) or images.dtype != np.uint8:
        raise path_error(path, f"X is {fmt.listed([str(x) for x in shape], 8)}; get the file again")
    if labels.size != total:
        counts = f"{labels.size:,} labels for {total:,} images"
        raise path_error(path, f"{counts}; get the file again")
    digits = labels.astype(np.int64) if labels.dtype.kind != "f" else np.rint(labels)
    if not ((digits == labels) & (digits >= 1) & (digits <= CLASSES)).all():
        raise path_error(path, f"y has labels outside 1 to {CLASSES}; get the file again")
    return images, array("i", (digits.astype(np.int64) % CLASSES).tolist())


def read_matlab(path: Path, names: tuple[str, ...]) -> dict[str, tuple[tuple[int, ...], Numbers]]:
    """Return the shape and the numbers, in column-major order, of some arrays.

    Raises:
        InputError: If the file cannot be read, is damaged, or lacks one of the arrays.
    """
    with opened(path) as stream:
        # Not simply the limit: Python allocates that much memory before it reads.
        content = stream.read(min(path.stat().st_size, MAX_BYTES) + 1)
    order = {b"IM": "<", b"MI": ">"}.get(content[126:_HEADER])
    if order is None or len(content) > MAX_BYTES:
        what = "not a file of MATLAB 5" if content else "the file is empty"
        raise path_error(path, f"{what}; get it again")
    found: dict[str, tuple[tuple[int, ...], Numbers]] = {}
    try:
        for kind, data in _elements(memoryview(content)[_HEADER:], order):
            inside = _elements(_unpacked(data), order) if kind == _COMPRESSED else [(kind, data)]
            for each, part in inside:
                if each == _MATRIX:
                    _add_array(part, order, names, found)
    except (_DamagedError, zlib.error, ValueError) as error:
        raise path_error(path, f"damaged: {reason(error)}; get the file again") from error
    except MemoryError as error:
        raise path_error(path, "more than fits in memory; use a smaller dataset") from error
    if missing := [name for name in names if name not in found]:
        raise path_error(path, f"has no array {' or '.join(missing)}; get the file again")
    return found


def _elements(data: memoryview, order: str) -> Iterator[tuple[int, memoryview]]:
    """Yield the type and the bytes of each element, one after the other."""
    place = 0
    for _ in range(_MOST_ELEMENTS):
        if place >= len(data):
            return
        if place + 8 > len(data):
            raise _DamagedError("cut short")
        kind, size = np.frombuffer(data[place : place + 8], f"{order}u4").tolist()
        start = place + 8
        if kind >> 16:  # type and size in the first four bytes, the data in the others
            kind, size, start = kind & 0xFFFF, kind >> 16, place + 4
            if size > 4:
                raise _DamagedError(f"{size} bytes in the place of four")
        if start + size > len(data):
            raise _DamagedError("cut short")
        yield kind, data[start : start + size]
        place = start + size
        if kind != _COMPRESSED:
            place += -place % 8


def _unpacked(data: memoryview) -> memoryview:
    """Return the content of a compressed element."""
    unpacking = zlib.decompressobj()
    content = unpacking.decompress(data, MAX_BYTES)
    if not unpacking.eof:
        raise _DamagedError("its compressed data are cut short, or too much")
    return memoryview(content)


def _add_array(
    data: memoryview,
    order: str,
    names: tuple[str, ...],
    found: dict[str, tuple[tuple[int, ...], Numbers]],
) -> None:
    """Read a matrix, if it is one of the wanted arrays."""
    parts = [part for _, part in zip(range(4), _elements(data, order), strict=False)]
    if len(parts) < 4:
        return
    (_, flags), (_, dimensions), (_, text), (kind, content) = parts
    name = bytes(text[:_MOST_NAME]).decode("ascii", "replace")
    if name not in names:
        return
    if name in found:
        raise _DamagedError(f"{name} twice")
    bits = int(np.frombuffer(flags[:4], f"{order}u4")[0])
    shape = tuple(np.frombuffer(dimensions[: 4 * _MOST_DIMENSIONS], f"{order}i4").tolist())
    if (bits & 0xFF) not in _NUMERIC_CLASSES or bits & _COMPLEX or kind not in _NUMBERS:
        raise _DamagedError(f"{name} is no array of numbers")
    numbers = np.frombuffer(content, f"{order}{_NUMBERS[kind]}")
    if min(shape, default=-1) < 0 or math.prod(shape) != numbers.size:
        raise _DamagedError(f"{name} is no array of its dimensions")
    found[name] = shape, numbers
