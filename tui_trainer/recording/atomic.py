"""Atomic writes: to a temporary name, flushed to the disk, then renamed."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from tui_trainer.protocol.errors import InputError, reason
from tui_trainer.text.fmt import printable

_MARK = ".being-written"


def read_at_most(path: Path, most: int, name: str = "") -> bytes:
    """Return the content of a file, at most ``most`` + 1 bytes.

    Args:
        path: The file.
        most: The limit in bytes; one more byte shows that the file is larger.
        name: Its name in messages; its path if empty.

    Raises:
        InputError: If it cannot be read or is not a regular file: a pipe would wait for a writer.
    """
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            raise OSError(0, "not a file")
        with path.open("rb") as file:
            # Not simply ``most``: Python allocates that much memory before it reads.
            return file.read(min(os.fstat(file.fileno()).st_size, most) + 1)
    except (OSError, ValueError) as error:  # ValueError: an invalid file name
        raise InputError(f"{name or printable(path)}: cannot be read: {reason(error)}") from None


def write_atomically(path: Path, content: bytes) -> None:
    """Write a file atomically: a reader, or a power cut, finds the old or the new content.

    Raises:
        OSError: If it cannot be written; the old content is intact.
    """
    with replacing(path) as unfinished:
        unfinished.write_bytes(content)


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a temporary name in the same folder; on success, that file replaces ``path``.

    If writing fails, the file at ``path`` is unchanged.

    Raises:
        OSError: If it cannot be written.
    """
    # The process id in the name: two processes must not share a temporary file.
    unfinished = path.with_name(f".{path.stem}.{os.getpid()}{_MARK}{path.suffix}")
    try:
        yield unfinished
        with unfinished.open("rb+") as file:
            os.fsync(file.fileno())
        os.replace(unfinished, path)
    except BaseException:
        with suppress(OSError):
            unfinished.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Flush a folder to the disk, so that a rename in it is durable; ignored where unsupported."""
    with suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def clear_unfinished(folder: Path) -> None:
    """Remove the temporary files of killed processes from a folder."""
    with suppress(OSError):
        for path in folder.glob(f".*{_MARK}*"):
            path.unlink(missing_ok=True)
