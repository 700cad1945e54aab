"""Files that are whole or not there: written under another name, flushed to the disk, renamed."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

_MARK = ".being-written"


def write_atomically(path: Path, content: bytes) -> None:
    """Write a file so that a reader, or a power cut, finds the old content or the new, never half.

    Raises:
        OSError: If it cannot be written; the old content is intact.
    """
    # The process in the name: two that write the same file must not share the unfinished one.
    unfinished = path.with_name(f".{path.name}.{os.getpid()}{_MARK}")
    try:
        with unfinished.open("wb") as file:
            file.write(content)
            file.flush()
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
        for path in folder.glob(f".*{_MARK}"):
            path.unlink(missing_ok=True)
