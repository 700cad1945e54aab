"""Files that are whole or not there: written under another name, flushed to the disk, renamed."""

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
    """Return what a file holds; one byte more than ``most``, no more, if it holds more than that.

    Args:
        path: The file.
        most: Bytes.
        name: What it is called in a message; its path if empty.

    Raises:
        InputError: If it cannot be read, or is no file: opening a pipe would wait for a writer.
    """
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            raise OSError(0, "not a file")
        with path.open("rb") as file:
            # Never ``most`` alone: Python takes the memory before it reads.
            return file.read(min(os.fstat(file.fileno()).st_size, most) + 1)
    except (OSError, ValueError) as error:  # ValueError: a name that no file can have
        raise InputError(f"{name or printable(path)}: cannot be read: {reason(error)}") from None


def write_atomically(path: Path, content: bytes) -> None:
    """Write a file so that a reader, or a power cut, finds the old content or the new, never half.

    Raises:
        OSError: If it cannot be written; the old content is intact.
    """
    with replacing(path) as unfinished:
        unfinished.write_bytes(content)


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Give another name in the same folder to write to; on leaving, that file takes its place.

    If the writing fails, what was under ``path`` stays as it was.

    Raises:
        OSError: If it cannot be written.
    """
    # The process in the name: two that write the same file must not share the unfinished one.
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
    """Flush a folder's names to the disk, where the system can do that: a rename is one of them."""
    with suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def clear_unfinished(folder: Path) -> None:
    """Remove what a killed process left half written in a folder."""
    with suppress(OSError):
        for path in folder.glob(f".*{_MARK}*"):
            path.unlink(missing_ok=True)
