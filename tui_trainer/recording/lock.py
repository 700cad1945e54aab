"""The lock of a run folder: one process may write it; the system frees the lock when it dies.

Some file systems have no locks: NFS without lockd, Lustre without ``flock``, many in user space.
There the file itself names its holder. On the same machine its process id and start time show
whether that process still runs; from another machine, its last heartbeat.
"""

from __future__ import annotations

import errno
import json
import os
import platform
import sys
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from io import FileIO
from pathlib import Path
from typing import Any

if sys.platform == "win32":
    import msvcrt

    def acquire(file: FileIO, *, shared: bool) -> None:
        """Lock a file until it is closed; raise OSError at once if that is not possible."""
        # Far behind the text: on Windows other processes cannot read a locked range.
        file.seek(1 << 20)
        msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)

    _HELD = (errno.EACCES, errno.EAGAIN, errno.EDEADLK)

else:
    try:
        import fcntl
    except ImportError:  # Python was built without it
        fcntl = None  # type: ignore[assignment]

    def acquire(file: FileIO, *, shared: bool) -> None:
        """Lock a file until it is closed; raise OSError at once if that is not possible."""
        if fcntl is None:
            raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))
        # NFS allows an exclusive lock only on a file open for writing, a shared one only on a
        # file open for reading.
        fcntl.flock(file, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)

    _HELD = (errno.EAGAIN, errno.EWOULDBLOCK)

BEAT = 15.0
"""Seconds between two heartbeats, where there are no locks."""

STALE = 4 * BEAT
"""Seconds without a heartbeat after which a holder on another machine counts as dead."""

ATTEMPTS, PAUSE = 3, 0.05
"""How often a lock is tried, and the seconds between: :meth:`Lock.is_held` locks briefly."""

RECORD_BYTES = 512
"""The size of the record."""

LONGEST_HOST = 64
"""The longest host name that is written."""


class LockedError(Exception):
    """Another process holds the lock; ``holder`` names it, if it is known."""

    def __init__(self, holder: str) -> None:
        super().__init__(f"locked by {holder}")
        self.holder = holder


class Lock:
    """A lock file that one process at a time can hold.

    The file is not removed on release: otherwise two processes could hold two files of one name.

    Attributes:
        unlocked: Why the file could not be locked; empty if it is. Without a lock nothing
            separates two processes that start at the same moment.

    Raises:
        LockedError: From the constructor, if another process, or this one, already holds it.
        OSError: If the file cannot be opened or written, or has just been moved or removed with its
            folder by the process that held the lock.
    """

    def __init__(self, path: Path) -> None:
        self.unlocked = ""
        self._released = threading.Event()
        self._writing = threading.Lock()
        number = os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_BINARY", 0), 0o666)
        self._file: FileIO | None = FileIO(number, "r+")
        try:
            self._take(self._file)
            if not self._is_at(path):
                raise FileNotFoundError(errno.ENOENT, "the folder was renamed or deleted")
        except BaseException:
            self._released.set()
            self._file.close()
            self._file = None
            raise

    def _take(self, file: FileIO) -> None:
        for attempt in range(ATTEMPTS):
            try:
                acquire(file, shared=False)
                break
            except OSError as error:
                if error.errno not in _HELD:
                    self.unlocked = error.strerror or str(error)
                    if lives(record := _record(file)):
                        raise LockedError(_holder(record)) from None
                    break
                if attempt == ATTEMPTS - 1:
                    raise LockedError(_holder(_record(file))) from None
            time.sleep(PAUSE)
        self._write(file)
        if self.unlocked:
            threading.Thread(target=self._beat, name="lock", daemon=True).start()

    def _write(self, file: FileIO) -> None:
        where = {"inode": os.fstat(file.fileno()).st_ino}
        record = json.dumps({**this_process(), **where, "beat": time.time()})
        # One write of constant length: a concurrent reader finds it complete.
        file.seek(0)
        file.write(record.ljust(RECORD_BYTES).encode())

    def _is_at(self, path: Path) -> bool:
        """Return whether the locked file is still the one at its path.

        By its content, which names this process and moment: some file systems have no lasting
        inodes.
        """
        assert self._file is not None
        self._file.seek(0)
        with suppress(OSError), FileIO(path) as file:
            return file.read(RECORD_BYTES) == self._file.read(RECORD_BYTES)
        return False

    def _beat(self) -> None:
        """Write heartbeats: another machine cannot see whether this process is running."""
        while not self._released.wait(BEAT):
            with self._writing, suppress(OSError, ValueError):
                if self._file is not None:
                    self._write(self._file)

    def release(self) -> None:
        """Release the lock; a second call has no effect."""
        self._released.set()
        with self._writing:
            file, self._file = self._file, None
            if file is not None:
                with suppress(OSError, ValueError):  # already closed at interpreter shutdown
                    file.truncate(0)
                with suppress(OSError):
                    file.close()

    @staticmethod
    def is_held(path: Path) -> bool:
        """Return whether a process holds the lock; never waits, and changes nothing."""
        try:
            if not path.is_file():  # opening a pipe would block
                return False
            with FileIO(path) as file:
                try:
                    acquire(file, shared=True)
                except OSError as error:
                    return error.errno in _HELD or lives(_record(file))
        except OSError:
            return False
        return False


def _record(file: FileIO) -> Mapping[str, Any]:
    """Return the record of the holder; empty if there is none or it is invalid."""
    try:
        file.seek(0)
        record = json.loads(file.read(RECORD_BYTES))
    except (OSError, ValueError, RecursionError):
        return {}
    if isinstance(record, int):  # an older version wrote only its process id
        return {"pid": record}
    is_copy = isinstance(record, dict) and record.get("inode") != os.fstat(file.fileno()).st_ino
    return record if isinstance(record, dict) and not is_copy else {}


def _holder(record: Mapping[str, Any]) -> str:
    if type(number := record.get("pid")) is not int:
        return "it"
    host = str(record.get("host", ""))
    return f"process {number}" + (f" on {host}" if host not in ("", _host()) else "")


def this_process() -> dict[str, Any]:
    """Return the record of this process, for :func:`lives` in another one."""
    number = os.getpid()
    return {"pid": number, "began": _began(number), "host": _host(), "machine": _machine()}


def lives(record: Mapping[str, Any]) -> bool:
    """Return whether the process of a record seems to be running.

    Args:
        record: That of :func:`this_process`, and ``beat``, the time of its last heartbeat.
    """
    number, beat = record.get("pid"), record.get("beat")
    if type(number) is not int or number <= 0:
        return False
    is_fresh = isinstance(beat, int | float) and abs(time.time() - beat) < STALE
    if record.get("machine") != _machine():
        return is_fresh
    if began := record.get("began"):
        return bool(began == _began(number))
    return is_fresh and process_exists(number)


def process_exists(number: int) -> bool:
    """Return whether this machine has a process with this id."""
    if sys.platform == "win32":  # there, a signal would end the process
        return True
    try:
        os.kill(number, 0)
    except ProcessLookupError:
        return False
    except OSError:  # the process of another user
        return True
    return True


def _began(number: int) -> str:
    """Return the start time of a process, which distinguishes it from others with its id.

    Empty if the system does not report it, or the process has ended.
    """
    try:
        # The name, in parentheses, may contain anything. Source: proc(5), /proc/pid/stat.
        state, *fields = (
            Path(f"/proc/{number}/stat").read_text("latin-1").rpartition(")")[2].split()
        )
    except (OSError, ValueError):
        return ""
    return "" if state in "ZX" else fields[18]


def _host() -> str:
    return platform.node()[:LONGEST_HOST]


def _machine() -> str:
    """Return an id of this machine, its boot and its pid namespace."""
    parts = [_host()]
    with suppress(OSError):
        parts.append(Path("/proc/sys/kernel/random/boot_id").read_text("ascii").strip())
    with suppress(OSError):
        parts.append(os.readlink("/proc/self/ns/pid"))
    return " ".join(parts)
