"""Optuna's storage of a sweep: a journal file in its folder, or a database.

All of Optuna's messages stay out of the terminal.
"""

from __future__ import annotations

import errno
import json
import os
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import optuna
from optuna.storages import BaseStorage, JournalStorage
from optuna.storages.journal import JournalFileBackend, JournalFileSymlinkLock

from tui_trainer.protocol.errors import InputError, reason
from tui_trainer.recording.lock import STALE, lives, this_process
from tui_trainer.sweeps.errors import StorageError, TakenOverError
from tui_trainer.sweeps.location import DatabaseUrl, redacted
from tui_trainer.sweeps.patience import Announce, Patience
from tui_trainer.text.fmt import clip, one_line, printable

JOURNAL = "study.log"
"""The journal of a sweep in its folder."""

PAUSE = 0.005
"""Seconds between two attempts to lock the journal."""

optuna.logging.disable_default_handler()
optuna.logging.set_verbosity(optuna.logging.CRITICAL)
warnings.filterwarnings("ignore", category=optuna.exceptions.ExperimentalWarning)
warnings.filterwarnings("ignore", category=UserWarning, module=r"optuna\..*")


def open_storage(place: Path | str, announce: Announce = lambda line: None) -> BaseStorage:
    """Open the storage of a sweep: a journal file, which is created, or the URL of a database.

    Args:
        place: The journal file, or the URL.
        announce: Gets a line when a database goes away, and one when it is back.

    Raises:
        InputError: If it cannot be reached or read, or is of another version of Optuna.
    """
    if isinstance(place, str):
        from tui_trainer.sweeps.database import open_database

        # With Optuna's cache, which reads finished trials once.
        return optuna.storages.get_storage(open_database(DatabaseUrl.parse(place), announce))
    with storage_errors(printable(place)):
        journal = _Journal(str(place))
        storage = JournalStorage(journal)
    # While it is opened, an error counts at once.
    journal.patience = Patience(printable(place), announce)
    return storage


class _Journal(JournalFileBackend):
    """A journal that outlasts a full disk, or a shared file system that is away.

    It waits for the disk only where a trial begins or ends: Optuna's waits after each line, which
    is a third of a second a trial on a busy disk. Lines keep their order, so those before such a
    line are on the disk with it. After a power cut, the last epochs of a running trial may be
    missing, which its run has.

    Args:
        path: Its path.

    Attributes:
        patience: Tries again; None to fail at once.
    """

    def __init__(self, path: str) -> None:
        self._path = path
        self._journal_lock = JournalLock(path)
        super().__init__(path, lock_obj=self._journal_lock)
        self.patience: Patience | None = None

    def read_logs(self, log_number_from: int) -> Any:
        """Return the entries from a number on."""

        def read() -> list[dict[str, Any]]:
            return list(super(_Journal, self).read_logs(log_number_from))

        return read() if self.patience is None else self.patience.call(read, _absence)

    def append_logs(self, logs: list[dict[str, Any]]) -> None:
        """Append entries; those of a failed attempt are removed."""
        if self.patience is None:
            self._append(logs)
        else:
            self.patience.call(lambda: self._append(logs), _absence)

    def _append(self, logs: list[dict[str, Any]]) -> None:
        text = "".join(json.dumps(log, separators=(",", ":")) + "\n" for log in logs)
        lines = text.encode()
        is_durable = any(log["op_code"] not in _NOT_AWAITED for log in logs)
        self._journal_lock.acquire()
        try:
            with open(self._path, "ab", buffering=0) as file:
                size = file.seek(0, os.SEEK_END)
                try:
                    while lines:  # a full disk may take a part
                        lines = lines[file.write(lines) :]
                    if is_durable:
                        os.fsync(file.fileno())
                except OSError:
                    file.truncate(size)  # written again, they would count twice
                    raise
        finally:
            self._journal_lock.release()


def _absence(error: Exception) -> str | None:
    return reason(error) if isinstance(error, OSError) else None


def name_of(place: Path | str) -> str:
    """Return the name of a storage in messages: never with a password."""
    return str(DatabaseUrl.parse(place)) if isinstance(place, str) else printable(place)


@contextmanager
def storage_errors(name: str) -> Iterator[None]:
    """Turn the exceptions of a storage into one line; ``name`` is its name.

    Raises:
        StorageError: In place of an exception of Optuna or the system.
    """
    try:
        yield
    except (InputError, TakenOverError, optuna.exceptions.UpdateFinishedTrialError):
        raise
    except OSError as error:
        raise StorageError(f"{name}: cannot be used: {reason(error)}") from None
    except (AssertionError, KeyError, TypeError, ValueError) as error:
        raise StorageError(
            f"{name}: damaged, or written by another version of Optuna than "
            f"{optuna.__version__}: {_problem(error)}"
        ) from None
    except Exception as error:  # those of database drivers have no common class
        raise StorageError(f"{name}: cannot be used: {_problem(error)}") from None


def _problem(error: Exception) -> str:
    return clip(f"{type(error).__name__}: {redacted(one_line(str(error)))}", 200)


_NOT_AWAITED = {5, 7, 8, 9}
"""Optuna's codes of a parameter, an intermediate value and the attributes of a trial."""


class JournalLock(JournalFileSymlinkLock):
    """The lock of a journal: a symbolic link, which names the process that holds it.

    As Optuna's own lock it also works on a network file system, but the link of a killed process of
    this machine is removed at once, and that of another machine after :data:`STALE` seconds. A line
    that a killed process has left unfinished is removed before the next one is written.

    Args:
        journal: The path of the journal.
    """

    def __init__(self, journal: str) -> None:
        super().__init__(journal)
        self._journal = journal
        self._link = f"{journal}.lock"

    def acquire(self) -> bool:
        """Wait for the lock, and take it.

        Raises:
            OSError: If the folder cannot be written.
        """
        seen, since = "", time.monotonic()
        while not self._take():
            holder = self._holder()
            if holder != seen:
                seen, since = holder, time.monotonic()
            if holder and (_is_dead(holder) or time.monotonic() - since > STALE):
                self._break(holder)
            time.sleep(PAUSE)
        self._remove_unfinished_line()
        return True

    def release(self) -> None:
        """Release the lock."""
        with suppress(FileNotFoundError):
            os.unlink(self._link)

    def _take(self) -> bool:
        # The moment makes each link differ: a waiting process sees that the lock is alive.
        record = json.dumps({**this_process(), "at": time.time_ns()}, separators=(",", ":"))
        try:
            os.symlink(record, self._link)
        except FileExistsError:
            return False
        except OSError as error:
            if error.errno == errno.EEXIST:
                return False
            raise
        return True

    def _holder(self) -> str:
        """Return the record of the holder; empty if there is none."""
        try:
            return os.readlink(self._link)
        except OSError:
            return ""

    def _break(self, holder: str) -> None:
        """Remove the link of a dead process; of several that try, one renames it."""
        aside = f"{self._link}.{os.getpid()}"
        with suppress(OSError):
            os.rename(self._link, aside)
            if os.readlink(aside) != holder:  # another process has taken the lock meanwhile
                with suppress(FileExistsError):
                    os.symlink(os.readlink(aside), self._link)
            os.unlink(aside)

    def _remove_unfinished_line(self) -> None:
        with suppress(FileNotFoundError), open(self._journal, "rb+") as file:
            size = file.seek(0, os.SEEK_END)
            if size == 0:
                return
            file.seek(size - 1)
            if file.read(1) == b"\n":
                return
            start = max(0, size - (1 << 20))
            file.seek(start)
            file.truncate(start + file.read().rfind(b"\n") + 1)


def _is_dead(holder: str) -> bool:
    """Return whether a link names a process of this machine that has ended."""
    try:
        record: Any = json.loads(holder)
    except ValueError:
        return False
    here = this_process()
    if not isinstance(record, dict) or record.get("machine") != here["machine"]:
        return False
    return not lives({**record, "beat": time.time()})
