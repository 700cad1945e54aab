"""An append-only file of lines that survives a full disk."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

MAX_PENDING = 1 << 26
"""Bytes that are kept while the disk is full, 64 MiB; further lines are dropped."""


class LineFile:
    """Appends lines. If writing fails, the lines are kept and the file stays whole.

    Attributes:
        count: The number of lines, pending ones included.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._handle: int | None = None
        self._size = 0
        self._pending: list[bytes] = []
        self._pending_bytes = 0
        self.count = 0

    @property
    def pending(self) -> int:
        """The number of lines that have not been written yet."""
        return len(self._pending)

    def create(self) -> None:
        """Create the file.

        Raises:
            OSError: If it cannot be created, or exists already.
        """
        self._handle = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)

    def reopen(self) -> None:
        """Open an existing file to append to it; an incomplete last line is removed.

        Raises:
            OSError: If it cannot be opened.
        """
        content = self._path.read_bytes()
        self._size = content.rfind(b"\n") + 1
        self._handle = os.open(self._path, os.O_WRONLY)
        os.ftruncate(self._handle, self._size)
        self.count = content.count(b"\n")

    def add(self, line: str) -> None:
        """Add a line, to be written by the next :meth:`flush`."""
        raw = line.encode("utf-8", "replace") + b"\n"
        if self._pending_bytes + len(raw) <= MAX_PENDING:
            self.count += 1
            self._pending.append(raw)
            self._pending_bytes += len(raw)

    def drop_pending(self) -> None:
        """Drop the pending lines."""
        self.count -= len(self._pending)
        self._pending.clear()
        self._pending_bytes = 0

    def flush(self, *, sync: bool = False) -> None:
        """Write the pending lines; with ``sync``, also flush them to the disk.

        Raises:
            OSError: If they cannot be written; they stay pending.
        """
        if self._handle is None:
            return
        content = memoryview(b"".join(self._pending))
        try:
            # A write that failed midway has moved the position.
            os.lseek(self._handle, self._size, os.SEEK_SET)
            done = 0
            while done < len(content):
                done += os.write(self._handle, content[done:])
        except OSError:
            with suppress(OSError):
                os.ftruncate(self._handle, self._size)
            raise
        self._size += len(content)
        self._pending.clear()
        self._pending_bytes = 0
        if sync:
            os.fsync(self._handle)

    def close(self) -> None:
        """Write the pending lines if possible, and close the file."""
        with suppress(OSError):
            self.flush()
        handle, self._handle = self._handle, None
        if handle is not None:
            with suppress(OSError):
                os.close(handle)
