"""One process a run folder: a lock that the system takes back when its holder dies."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import BinaryIO

if sys.platform == "win32":
    import msvcrt

    def _acquire(file: BinaryIO) -> None:
        # Far behind the text: Windows keeps others from reading what is locked.
        file.seek(1 << 20)
        msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)

else:
    import fcntl

    def _acquire(file: BinaryIO) -> None:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


class LockedError(Exception):
    """Somebody else holds the lock; ``holder`` says who, as far as is known."""

    def __init__(self, holder: str) -> None:
        super().__init__(f"locked by {holder}")
        self.holder = holder


class Lock:
    """A file that one process at a time can hold.

    The file stays when it is released: to remove it would let two hold two files of one name.

    Raises:
        LockedError: From the constructor, if another process, or this one, holds it already.
        OSError: If the file cannot be opened.
    """

    def __init__(self, path: Path) -> None:
        self._file: BinaryIO | None = path.open("a+b")
        try:
            _acquire(self._file)
        except OSError:
            self._file.seek(0)
            number = self._file.read(20).decode("ascii", "replace").strip()
            self.release()
            raise LockedError(f"process {number}" if number.isdigit() else "it") from None
        self._file.truncate(0)
        self._file.seek(0)
        self._file.write(str(os.getpid()).encode())
        self._file.flush()

    def release(self) -> None:
        """Let others have it; no effect the second time."""
        file, self._file = self._file, None
        if file is not None:
            file.close()

    @staticmethod
    def is_held(path: Path) -> bool:
        """Return whether a process holds the lock now; never waits, and leaves no trace."""
        try:
            if not path.is_file():  # opening a pipe would wait
                return False
            with path.open("rb") as file:
                _acquire(file)
        except FileNotFoundError:
            return False
        except OSError:
            return True
        return False
