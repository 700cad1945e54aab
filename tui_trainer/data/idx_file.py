"""Read and check a split of a dataset from its two IDX files, with the standard library alone.

An IDX file is two zero bytes, one byte for the type of its numbers, one for the number of its
dimensions, the length of each dimension as a 32-bit integer, then the numbers in row-major order;
all integers are big-endian (Y. LeCun, "The MNIST database of handwritten digits").
"""

from __future__ import annotations

import gzip
import stat
import struct
import sys
import zlib
from array import array
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import BufferedIOBase
from pathlib import Path

from tui_trainer.protocol.errors import path_error, reason
from tui_trainer.text.fmt import plural, printable

MIN_SIZE, MAX_SIZE = 8, 128
MAX_RANK = 4
"""The most dimensions of a file."""

QMNIST_COLUMNS = 8
"""Numbers of each label in QMNIST's files: the class, then where the image comes from (C. Yadav,
L. Bottou, "Cold Case: the Lost MNIST Digits", NeurIPS 2019)."""

LINE_ENDS = 16
"""So many bytes 0a, each after a 0d, are no coincidence."""

MAX_BYTES = 2 << 30
"""The largest unpacked file; a header that promises more is damaged."""

Pixels = bytearray | memoryview
"""Bytes of images: in memory, or those of a mapped file, which are read-only."""

_CHUNK = 1 << 20
_BLOCK = 512
_TYPES = {
    0x08: "unsigned bytes",
    0x09: "signed bytes",
    0x0B: "16-bit integers",
    0x0C: "32-bit integers",
    0x0D: "32-bit floats",
    0x0E: "64-bit floats",
}
_LABEL_ARRAYS = {0x08: "B", 0x0B: "h", 0x0C: "i"}


@dataclass(frozen=True, slots=True)
class Part:
    """The training or the test split of a dataset; its labels are not checked yet.

    Attributes:
        images: (count, size, size) unsigned bytes, row-major; (count, channels, size, size) with
            several channels.
        labels: ``count`` labels as the file has them, typecode ``i``.
        size: Height and width of an image in pixels.
        images_file: The file of the images, for messages.
        labels_file: The file of the labels, for messages.
        channels: The channels of an image, 1 or 3.
    """

    images: Pixels
    labels: array[int]
    size: int
    images_file: Path
    labels_file: Path
    channels: int = 1


def read_part(images: Path, labels: Path) -> Part:
    """Read the images and the labels of one split.

    Images may have one channel, (count, 1, size, size) or (count, size, size, 1). Of labels with
    several numbers each, as in QMNIST, the first is the class.

    Raises:
        InputError: If a file is unusable.
    """
    with opened(images) as stream:
        _, (total, size, width) = _read_header(stream, images, (0x08,), dimensions=3)
        if size != width or not MIN_SIZE <= size <= MAX_SIZE:
            wanted = f"square images of {MIN_SIZE} to {MAX_SIZE} pixels a side"
            raise path_error(images, f"images of {size:,}×{width:,} pixels; needs {wanted}")
        pixels = _read_body(stream, images, total * size * size)
    with opened(labels) as stream:
        code, shape = _read_header(stream, labels, tuple(_LABEL_ARRAYS), dimensions=1)
        count, columns = (*shape, 1)[:2]
        if count != total:
            counts = f"{plural(count, 'label')} for {plural(total, 'image')}"
            raise path_error(
                labels, f"{counts} in {printable(images)}; use files that belong together"
            )
        numbers = array(_LABEL_ARRAYS[code])
        numbers.frombytes(_read_body(stream, labels, count * columns * numbers.itemsize))
    if sys.byteorder == "little":
        numbers.byteswap()
    if images.name.lower().startswith("emnist-"):
        pixels = _transposed(pixels, size)
    return Part(pixels, array("i", numbers[::columns]), size, images, labels)


@contextmanager
def opened(path: Path) -> Iterator[BufferedIOBase]:
    """Open a file, gzipped or not; until it is closed, each of its errors is an InputError."""
    try:
        # Opening a pipe would wait for a writer forever.
        if not stat.S_ISREG(path.stat().st_mode):
            what = "a folder" if path.is_dir() else "a device or a pipe"
            raise path_error(path, f"{what}, not a file; put the file itself there")
        with path.open("rb") as raw:
            if path.suffix.lower() != ".gz":
                yield raw
                return
            head = raw.read(2)
            if head and head != b"\x1f\x8b":
                raise path_error(path, "not gzip data; take .gz off its name or get the file again")
            raw.seek(0)
            with gzip.open(raw) as unpacked:
                yield unpacked
    except EOFError as error:
        raise path_error(path, "the gzip data are cut short; get the file again") from error
    except (gzip.BadGzipFile, zlib.error) as error:
        why = reason(error)
        raise path_error(path, f"the gzip data are damaged ({why}); get the file again") from error
    except OSError as error:
        raise path_error(path, f"cannot read it: {reason(error)}; check its permissions") from error
    except MemoryError as error:
        raise path_error(path, "more than fits in memory; use a smaller dataset") from error


def _read_header(
    stream: BufferedIOBase, path: Path, codes: tuple[int, ...], *, dimensions: int
) -> tuple[int, tuple[int, ...]]:
    """Return the type and the shape of the numbers after the header."""
    magic = stream.read(4)
    if not magic:
        raise path_error(path, "the file is empty; get it again")
    if len(magic) < 4 or magic[:2] != b"\0\0" or magic[2] not in _TYPES:
        advice = "get the file again"
        if magic.startswith(b"\x1f\x8b"):
            advice = "these are gzip data: add .gz to its name"
        elif len(magic) == 4 and magic[2:] == b"\0\0" and magic[1] in _TYPES:
            advice = "its header is little-endian: write all integers big-endian"
        raise path_error(path, f"not an IDX file: it starts with {magic.hex(' ')}; {advice}")
    rank = magic[3]
    lengths = stream.read(4 * rank) if rank <= MAX_RANK else b""
    if magic[2] in codes and rank <= MAX_RANK and len(lengths) < 4 * rank:
        raise path_error(path, "cut short within its header; get the file again")
    shape = struct.unpack(f">{rank}I", lengths) if len(lengths) == 4 * rank else ()
    plain = _without_channel(shape) if dimensions == 3 else _without_columns(shape, magic[2])
    if magic[2] not in codes or len(plain) < dimensions:
        wanted = " or ".join(_TYPES[code] for code in codes)
        raise path_error(
            path,
            f"{_TYPES[magic[2]]} in {plural(rank, 'dimension')};"
            f" needs {wanted} in {plural(dimensions, 'dimension')}"
            + ("; write the grays as bytes, 0 to 255" if dimensions == 3 else ""),
        )
    return magic[2], plain


def _without_channel(shape: tuple[int, ...]) -> tuple[int, ...]:
    """Return an image shape without its single channel, first or last; empty if it is invalid."""
    if len(shape) == 4 and 1 in (shape[1], shape[3]):
        shape = (shape[0], *shape[2:]) if shape[1] == 1 else shape[:3]
    return shape if len(shape) == 3 else ()


def _without_columns(shape: tuple[int, ...], code: int) -> tuple[int, ...]:
    """Return a label shape, (count) or QMNIST's (count, columns); empty if it is invalid."""
    if len(shape) == 2 and (shape[1] == 1 or (shape[1] == QMNIST_COLUMNS and code == 0x0C)):
        return shape
    return shape if len(shape) == 1 else ()


def _read_body(stream: BufferedIOBase, path: Path, expected: int) -> bytearray:
    """Return the rest of the file, which must be ``expected`` bytes; read at most one more."""
    promise = f"{expected:,} bytes that its header promises"
    if expected > MAX_BYTES:
        raise path_error(
            path, f"too much: the {promise} (most is {MAX_BYTES:,}); get the file again"
        )
    body = bytearray()
    # In chunks: a damaged header must not decide how much memory is taken.
    while chunk := stream.read(min(_CHUNK, expected + 1 - len(body))):
        body += chunk
    if len(body) < expected:
        raise path_error(path, f"cut short: {len(body):,} of the {promise}; get the file again")
    if len(body) > expected:
        advice = "get the file again"
        if body.count(b"\n") == body.count(b"\r\n") >= LINE_ENDS:
            advice += " in binary mode: each byte 0a became 0d 0a, as line ends of text do"
        raise path_error(path, f"more follows the {promise}; {advice}")
    return body


def _transposed(pixels: bytearray, size: int) -> bytearray:
    """Transpose each image, one pixel of many images at a time."""
    area = size * size
    upright = bytearray(len(pixels))
    block = area * _BLOCK  # fits into the cache of a processor
    for start in range(0, len(pixels), block):
        lying = pixels[start : start + block]
        for pixel in range(area):
            row, column = divmod(pixel, size)
            upright[start + pixel : start + len(lying) : area] = lying[column * size + row :: area]
    return upright
