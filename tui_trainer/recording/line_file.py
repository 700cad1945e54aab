"""A file of lines that only grows, and survives a full disk."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

MOST_WAITING = 1 << 26
"""Bytes that are kept while the disk takes nothing, 64 MiB: then the latest news is lost."""


class LineFile:
    """Appends lines; what the disk refuses is kept, and nothing half-written stays in the file.

    Attributes:
        count: How many lines there are, those still waiting included.
        waiting: How many lines have not been written yet.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._handle: int | None = None
        self._size = 0
        self._waiting: list[bytes] = []
        self._waiting_bytes = 0
        self.count = 0

    @property
    def waiting(self) -> int:
        """How many lines have not been written yet."""
        return len(self._waiting)

    def create(self) -> None:
        """Make the file.

        Raises:
            OSError: If it cannot be made, or is there already.
        """
        self._handle = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)

    def reopen(self) -> None:
        """Open a file that is there, to go on after its last whole line; a torn one goes.

        Raises:
            OSError: If it cannot be opened.
        """
        content = self._path.read_bytes()
        self._size = content.rfind(b"\n") + 1
        self._handle = os.open(self._path, os.O_WRONLY)
        os.ftruncate(self._handle, self._size)
        self.count = content.count(b"\n")

    def add(self, line: str) -> None:
        """Take a line, to be written by the next :meth:`flush`."""
        raw = line.encode("utf-8", "replace") + b"\n"
        if self._waiting_bytes + len(raw) <= MOST_WAITING:
            self.count += 1
            self._waiting.append(raw)
            self._waiting_bytes += len(raw)

    def forget(self) -> None:
        """Let go of what waits."""
        self.count -= len(self._waiting)
        self._waiting.clear()
        self._waiting_bytes = 0

    def flush(self, *, sync: bool = False) -> None:
        """Write what waits; with ``sync``, as far as the disk itself.

        Raises:
            OSError: If it cannot be written: it goes on waiting.
        """
        if self._handle is None:
            return
        content = memoryview(b"".join(self._waiting))
        try:
            # A write that was refused midway has moved the file's own position.
            os.lseek(self._handle, self._size, os.SEEK_SET)
            done = 0
            while done < len(content):
                done += os.write(self._handle, content[done:])
        except OSError:
            with suppress(OSError):
                os.ftruncate(self._handle, self._size)
            raise
        self._size += len(content)
        self._waiting.clear()
        self._waiting_bytes = 0
        if sync:
            os.fsync(self._handle)

    def close(self) -> None:
        """Write what waits, if it can be, and let the file go."""
        with suppress(OSError):
            self.flush()
        handle, self._handle = self._handle, None
        if handle is not None:
            with suppress(OSError):
                os.close(handle)
