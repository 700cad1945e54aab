"""Keep decoded pictures in a file of the cache, so that the next run need not decode them.

A file has the bytes of all pictures, a JSON object about them, and a footer with the lengths of
both and a checksum. It appears under its name only when it is complete, and is never changed then;
so several processes may write and read it at once.
"""

from __future__ import annotations

import errno
import json
import mmap
import os
import shutil
import struct
import time
import zlib
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from tui_trainer.data.idx_file import Pixels
from tui_trainer.data.image_store import mapped
from tui_trainer.recording.atomic import replacing

SUFFIX = ".pictures"

MOST_BYTES = 20 << 30
"""The most bytes of all files together; the oldest are removed."""

LEFT_FREE = 1 << 30
"""The bytes of the disk that are left free."""

STALE_SECONDS = 86_400
"""A file that was begun so long ago is not being written any more."""

_FOOTER = struct.Struct("<QIII12s")
_MAGIC = b"pictures v1\n"
_BLOCK = 1 << 24


class DecodedCache:
    """The decoded pictures of data folders, a file for each version of a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def read(self, key: str, *, fits: Callable[[int], bool]) -> tuple[Pixels, Any] | None:
        """Return the bytes of the pictures and the object about them; None if not in the cache.

        Args:
            key: The key of the pictures, a hexadecimal digest.
            fits: Whether so many bytes are read into memory; otherwise the file is mapped.
        """
        path = self._path(key)
        try:
            with path.open("rb") as file:
                size = file.seek(-_FOOTER.size, os.SEEK_END)
                length, about_length, checksum, _, magic = _FOOTER.unpack(file.read())
                if magic != _MAGIC or length + about_length != size:
                    return None
                file.seek(length)
                about = file.read(about_length)
                file.seek(0)
                pixels: Pixels
                if fits(length):
                    pixels = bytearray(length)
                    if file.readinto(pixels) != length:
                        return None
                else:
                    pixels = mapped(path)[:length]
            if _checksum(memoryview(pixels), about) != checksum:
                return None
            with suppress(OSError):
                os.utime(path)  # the oldest use is removed first
            return pixels, json.loads(about)
        except (OSError, ValueError, struct.error, MemoryError):
            return None

    def write(self, key: str, pixels: memoryview, about: Any) -> None:
        """Keep decoded pictures.

        Raises:
            OSError: If they cannot be stored; nothing is left of the attempt then.
        """
        self._make_room(len(pixels))
        with replacing(self._path(key)) as unfinished, unfinished.open("wb") as file:
            file.write(pixels)
            file.write(_ending(pixels, about))

    def decode_into_file(
        self, key: str, most: int, decode: Callable[[memoryview], tuple[int, Any]]
    ) -> None:
        """Decode pictures that do not fit in memory into their file.

        Args:
            key: The key of the pictures.
            most: The most bytes that they can have.
            decode: Writes the bytes, and returns their number and the object about them.

        Raises:
            OSError: If they cannot be stored. Errors of ``decode`` are passed on; nothing is left.
        """
        self._make_room(most)
        with replacing(self._path(key)) as unfinished, unfinished.open("wb+") as file:
            # Reserved first: writing to a mapping on a full disk would kill the process.
            if hasattr(os, "posix_fallocate"):
                os.posix_fallocate(file.fileno(), 0, most)
            else:
                file.truncate(most)
            # Not closed: the frames of an error in decode still refer to it.
            area = mmap.mmap(file.fileno(), most)
            view = memoryview(area)
            length, about = decode(view)
            area.flush()
            ending = _ending(view[:length], about)
            file.truncate(length)
            file.seek(length)
            file.write(ending)

    def _path(self, key: str) -> Path:
        return self.folder / f"{key}{SUFFIX}"

    def _make_room(self, size: int) -> None:
        """Remove the oldest files until there is room for one more.

        Raises:
            OSError: If there is none.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        known = []
        for path in self.folder.iterdir():
            with suppress(OSError):
                found = path.stat()
                if path.suffix != SUFFIX:
                    continue
                if not path.name.startswith("."):
                    known.append((found.st_mtime, path, found.st_size))
                elif found.st_mtime < time.time() - STALE_SECONDS:
                    path.unlink()
        total = sum(each for *_, each in known)
        for _, path, each in sorted(known):
            if total + size <= MOST_BYTES:
                break
            with suppress(OSError):
                path.unlink()
                total -= each
        free = shutil.disk_usage(self.folder).free
        if total + size > MOST_BYTES or free < size + LEFT_FREE:
            raise OSError(errno.ENOSPC, "not enough room for the decoded pictures")


def _ending(pixels: memoryview, about: Any) -> bytes:
    text = json.dumps(about).encode()
    footer = _FOOTER.pack(len(pixels), len(text), _checksum(pixels, text), 0, _MAGIC)
    return text + footer


def _checksum(pixels: memoryview, about: bytes) -> int:
    found = 0
    for start in range(0, len(pixels), _BLOCK):
        found = zlib.crc32(pixels[start : start + _BLOCK], found)
    return zlib.crc32(about, found)
