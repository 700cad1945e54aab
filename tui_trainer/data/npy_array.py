"""Read arrays of NumPy's format as a stream, without its pickles.

The format (numpy.lib.format): a magic string, a version, the length of a header, the header (a
Python literal with ``descr``, ``fortran_order`` and ``shape``), then the items. ``numpy.load``
decides by the header how much memory it takes; here it is compared with the size of the file first.
"""

from __future__ import annotations

import ast
import math
import re
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from tui_trainer.data.idx_file import opened
from tui_trainer.protocol.errors import InputError, path_error, reason
from tui_trainer.text import fmt
from tui_trainer.text.fmt import printable

MAX_HEADER = 10_000
"""The most bytes of a header, as in NumPy."""

MAX_DIMENSIONS = 8

BOMB_RATIO, BOMB_BYTES = 200, 1 << 30
"""An array is refused that unpacks to so many times its size, and to so many bytes."""

CHUNK = 1 << 22
"""The bytes that are read at a time."""

_MAGIC = b"\x93NUMPY"
_ITEM = re.compile(r"(?P<order>[<>|=]?)(?P<kind>[biufUS])(?P<size>\d{1,5})")
_DAMAGE = (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, ValueError)


@dataclass(frozen=True, slots=True)
class NpyArray:
    """An array in a file or in an archive.

    Attributes:
        name: Its name, without ``.npy``.
        path: The file, or the archive.
        shape: Its shape.
        dtype: The type of its items: integers, floats, booleans, or text.
        is_fortran: Whether its first index varies fastest.
        start: The bytes before the items.
    """

    name: str
    path: Path
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    is_fortran: bool
    start: int
    open: Callable[[], IO[bytes]] = field(repr=False)

    @property
    def size(self) -> int:
        """The bytes of all items."""
        return math.prod(self.shape) * self.dtype.itemsize

    def error(self, problem: str) -> InputError:
        """Return the error about a problem with the array."""
        return InputError(f"{printable(self.path)}: {printable(self.name)}: {problem}")

    def chunks(self) -> Iterator[NDArray[Any]]:
        """Yield the items in consecutive parts along the first axis.

        An array in Fortran order is one part: it has to be in memory as a whole.

        Raises:
            InputError: If the file cannot be read or is damaged.
        """
        total, rest = self.shape[0], math.prod(self.shape[1:])
        row = rest * self.dtype.itemsize
        rows = total if self.is_fortran else max(1, CHUNK // max(1, row))
        with self._reading() as stream:
            _exactly(stream, self.start)
            for first in range(0, total, rows):
                count = min(rows, total - first)
                items = np.frombuffer(_exactly(stream, count * row), self.dtype)
                order = "F" if self.is_fortran else "C"
                yield items.reshape((count, *self.shape[1:]), order=order)  # type: ignore[call-overload]
            # At its end, an archive compares the checksum.
            if stream.read(1):
                raise ValueError("more follows than its header promises")

    def whole(self) -> NDArray[Any]:
        """Return all items; for small arrays."""
        parts = list(self.chunks())
        return np.concatenate(parts) if parts else np.empty(self.shape, self.dtype)

    @contextmanager
    def _reading(self) -> Iterator[IO[bytes]]:
        with _errors(self.path, self.name), self.open() as stream:
            yield stream


def read_arrays(path: Path, wanted: Callable[[str], bool]) -> dict[str, NpyArray]:
    """Return the wanted arrays of an ``.npz`` archive, by name.

    Raises:
        InputError: If the archive cannot be read, or if a wanted array is damaged, is a pickle, or
            would unpack to much more than its size.
    """
    found = {}
    for name in array_names(path):
        if wanted(name):
            found[name] = _member(path, name)
    return found


def array_names(path: Path) -> list[str]:
    """Return the names of the arrays in an archive.

    Raises:
        InputError: If it cannot be read or is no archive.
    """
    with opened(path) as file:
        magic = file.read(4)
    if not magic:
        raise path_error(path, "the file is empty; get it again")
    if magic[:2] != b"PK":
        what = "it is a pickle" if magic[:1] == b"\x80" else f"it starts with {magic.hex(' ')}"
        raise path_error(path, f"not an .npz archive: {what}; write it with numpy.savez")
    with _errors(path), zipfile.ZipFile(path) as archive:
        files = [each for each in archive.namelist() if each.endswith(".npy")]
    names = [each.removesuffix(".npy") for each in files]
    if twice := {printable(name) for name in names if names.count(name) > 1}:
        raise path_error(path, f"has {fmt.listed(sorted(twice))} twice; write it again")
    return names


def read_array(path: Path) -> NpyArray:
    """Return the array of an ``.npy`` file.

    Raises:
        InputError: If it cannot be read, is damaged or is a pickle.
    """
    with opened(path):
        size = path.stat().st_size
    return _with_header(path.stem, path, size, lambda: path.open("rb"))


def _member(path: Path, name: str) -> NpyArray:
    with _errors(path, name), zipfile.ZipFile(path) as archive:
        about = archive.getinfo(f"{name}.npy")
    if about.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise path_error(
            path, f"{printable(name)}: an unusual compression; write it with numpy.savez_compressed"
        )
    ratio = about.file_size // max(1, about.compress_size)
    if ratio > BOMB_RATIO and about.file_size > BOMB_BYTES:
        raise path_error(
            path,
            f"{printable(name)}: unpacks to {fmt.size(about.file_size)}, {ratio:,} times its size,"
            " as an archive made to fill the memory does; write it with numpy.savez",
        )

    def start() -> IO[bytes]:
        return zipfile.ZipFile(path).open(about)

    return _with_header(name, path, about.file_size, start)


def _with_header(name: str, path: Path, size: int, start: Callable[[], IO[bytes]]) -> NpyArray:
    """Read the header of an array, and compare it with the size of its file."""
    with _errors(path, name), start() as stream:
        head = _exactly(stream, len(_MAGIC) + 2)
        if head[: len(_MAGIC)] != _MAGIC:
            raise ValueError("it is no array of NumPy's format")
        width = 2 if head[len(_MAGIC)] == 1 else 4
        length = int.from_bytes(_exactly(stream, width), "little")
        if length > MAX_HEADER:
            raise ValueError(f"its header claims {length:,} bytes")
        text = _exactly(stream, length).decode("utf-8", "replace")
    shape, descr, is_fortran = _header(text, path, name)
    array = NpyArray(
        name, path, shape, _dtype(descr, path, name), is_fortran, len(head) + width + length, start
    )
    if array.start + array.size != size:
        raise array.error(
            f"{size - array.start:,} bytes for {shape_text(shape)} items of"
            f" {array.dtype.itemsize}; it is damaged, get it again"
        )
    return array


def _header(text: str, path: Path, name: str) -> tuple[tuple[int, ...], Any, bool]:
    try:
        fields = ast.literal_eval(text)
        shape, is_fortran, descr = (fields[x] for x in ("shape", "fortran_order", "descr"))
    except (ValueError, SyntaxError, TypeError, KeyError, RecursionError, MemoryError):
        shape, is_fortran, descr = None, False, None
    valid = isinstance(shape, tuple) and len(shape) <= MAX_DIMENSIONS
    if not valid or not all(type(each) is int and 0 <= each < 2**48 for each in shape):
        raise path_error(path, f"{printable(name)}: its header is damaged; get the file again")
    return shape, descr, bool(is_fortran)


def _dtype(descr: Any, path: Path, name: str) -> np.dtype[Any]:
    """Return the type of items: only plain numbers and text, which need no code to be read."""
    found = _ITEM.fullmatch(descr) if isinstance(descr, str) else None
    with suppress(TypeError):
        if found:
            return np.dtype(str(descr))
    if isinstance(descr, str) and "O" in descr:
        what = "holds Python objects, a pickle, which is not read because it can run code"
    else:
        what = f"holds items of type {printable(str(descr)[:60])}"
    raise path_error(
        path, f"{printable(name)}: {what}; save numbers, or text as a str array (dtype U)"
    )


def shape_text(shape: tuple[int, ...]) -> str:
    """Return a shape for messages: ``(60,000, 28, 28)``."""
    return f"({', '.join(f'{each:,}' for each in shape)}{',' * (len(shape) == 1)})"


def _exactly(stream: IO[bytes], count: int) -> bytearray:
    """Return the next bytes, as many as that.

    Raises:
        EOFError: If there are fewer.
    """
    data = bytearray()
    while len(data) < count:
        part = stream.read(min(CHUNK, count - len(data)))
        if not part:
            raise EOFError("it is cut short")
        data += part
    return data


@contextmanager
def _errors(path: Path, name: str = "") -> Iterator[None]:
    """Turn the errors of reading a file into InputErrors."""
    where = f"{printable(name)}: " if name else ""
    try:
        yield
    except OSError as error:
        raise path_error(path, f"{where}cannot read it: {reason(error)}") from error
    except MemoryError as error:
        raise path_error(
            path, f"{where}more than fits in memory; save it in C order (numpy.ascontiguousarray)"
        ) from error
    except _DAMAGE as error:
        raise path_error(path, f"{where}{reason(error)}; get the file again") from error
