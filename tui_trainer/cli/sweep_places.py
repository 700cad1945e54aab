"""Where a sweep is: a new folder, one to continue, or a database to join."""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from tui_trainer.protocol.errors import InputError
from tui_trainer.recording.atomic import write_atomically
from tui_trainer.recording.folder import RUNS, RunFolder, new_folder
from tui_trainer.recording.lock import Lock, LockedError
from tui_trainer.recording.recorder import not_writable
from tui_trainer.sweeps.location import PASSWORD_VARIABLE, DatabaseUrl, is_url
from tui_trainer.sweeps.sweep_file import SWEEP_FILE, read_sweep
from tui_trainer.text.fmt import printable

if TYPE_CHECKING:
    from tui_trainer.sweeps.patience import Announce
    from tui_trainer.sweeps.study import Study

STORAGE_VARIABLE = "MNIST_TUI_SWEEP_STORAGE"
"""The environment variable that gives a worker the URL of the database, without the password."""


@dataclass(slots=True)
class OpenedSweep:
    """A sweep, opened by the process with the front end.

    Attributes:
        study: Its trials.
        url: The URL of its database; None for a journal in its folder.
        lock: The lock of its folder; None if another process that trains the sweep holds it.
    """

    study: Study
    url: DatabaseUrl | None = None
    lock: Lock | None = None

    @property
    def worker_variables(self) -> dict[str, str]:
        """The environment of a worker: there a password is not shown to other users."""
        if self.url is None:
            return {}
        variables = {STORAGE_VARIABLE: self.url.url}
        if self.url.password:
            variables[PASSWORD_VARIABLE] = self.url.password
        return variables

    def release(self) -> None:
        """Release the lock."""
        if self.lock is not None:
            self.lock.release()


def create_sweep(file: Path, out: Path | None, announce: Announce) -> OpenedSweep:
    """Create a sweep from its file.

    Raises:
        InputError: If the file, the folder or the database cannot be used.
    """
    from tui_trainer.sweeps.study import Study

    spec = read_sweep(file)
    url = DatabaseUrl.parse(spec.storage) if spec.storage else None
    try:
        folder = out or new_folder(RUNS, file.stem, datetime.now())
        folder.mkdir(parents=True, exist_ok=True)
        lock = _locked(folder)
    except OSError as error:
        place = printable(out or RUNS)
        raise not_writable(place, error, "choose another folder with --out DIR") from None
    if lock is None:
        raise InputError(f"{printable(folder)}: in use: another process trains in this folder")
    try:
        return OpenedSweep(Study.create(spec, folder, spec.storage, announce), url, lock)
    except BaseException:
        lock.release()
        _remove_empty(folder)
        raise


def continue_sweep(folder: Path, announce: Announce) -> OpenedSweep:
    """Open the sweep in a folder; other processes may train it, too.

    Raises:
        InputError: If it cannot be opened.
    """
    from tui_trainer.sweeps.study import Study

    file = folder / SWEEP_FILE
    url = None
    if file.is_file() and (storage := read_sweep(file).storage):
        url = DatabaseUrl.parse(storage)
    lock = _locked(folder)
    try:
        return OpenedSweep(Study.open(folder, announce=announce), url, lock)
    except BaseException:
        if lock is not None:
            lock.release()
        raise


def join_sweep(where: str, name: str, out: Path | None, announce: Announce) -> OpenedSweep:
    """Open a sweep of this or another machine.

    Args:
        where: Its folder, or the URL of its database.
        name: With a URL, the name of the sweep; empty if the database has one sweep.
        out: With a URL, the folder for runs on this machine; None for that name in ``runs``.
        announce: Gets a line when the storage goes away, and one when it is back.

    Raises:
        InputError: If it cannot be opened.
    """
    from tui_trainer.sweeps.study import Study

    if not is_url(where):
        folder = Path(where).expanduser()
        if not (folder / SWEEP_FILE).is_file():
            raise InputError(
                f"--join {printable(where)}: no sweep there; give its folder, or the URL of its "
                "database"
            )
        return continue_sweep(folder, announce)
    url = DatabaseUrl.parse(where)
    study = Study.open(where, name=name, announce=announce)
    study.folder = folder = out or RUNS / study.folder.name
    _check_folder(folder)
    study.check_file()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if not (folder / SWEEP_FILE).is_file():
            write_atomically(folder / SWEEP_FILE, study.spec.text.encode())
        lock = _locked(folder)
    except OSError as error:
        raise not_writable(
            printable(folder), error, "choose another folder with --out DIR"
        ) from None
    return OpenedSweep(study, url, lock)


def open_as_worker(folder: Path, name: str, announce: Announce) -> Study:
    """Open a sweep that the process with the front end has opened already.

    Raises:
        InputError: If it cannot be opened.
    """
    from tui_trainer.sweeps.study import Study

    if url := os.environ.get(STORAGE_VARIABLE, ""):
        return Study.open(url, folder, name, announce)
    return Study.open(folder, announce=announce)


def find_sweep(name: str | None, root: Path = RUNS) -> Path:
    """Return the folder of a sweep by its name in ``root`` or its path; the last one without.

    Raises:
        InputError: If there is none.
    """
    if name is None:
        found = [path for path in root.glob("*") if (path / SWEEP_FILE).is_file()]
        if not found:
            raise InputError(f"{printable(root)}: contains no sweeps; train one first")
        return max(found, key=lambda path: path.name)
    with suppress(OSError, RuntimeError, ValueError):
        for path in (root / name, Path(name).expanduser()):
            if (path / SWEEP_FILE).is_file():
                return path
    raise InputError(f"{printable(name)}: no such sweep; `mnist-tui runs` lists all runs")


def _locked(folder: Path) -> Lock | None:
    """Lock a folder; None if another process trains there."""
    try:
        return Lock(RunFolder(folder).lock)
    except LockedError:
        return None
    except OSError as error:
        raise not_writable(printable(folder), error, "fix its permissions") from None


def _check_folder(folder: Path) -> None:
    for file in ("seeds.toml", "config.toml", "events.jsonl"):
        if (folder / file).exists():
            raise InputError(
                f"{printable(folder)}: already contains {file}; choose a folder for the runs of "
                "this machine with --out DIR"
            )


def _remove_empty(folder: Path) -> None:
    """Remove the folder of a sweep that could not be created; other files in it stay."""
    with suppress(OSError):
        RunFolder(folder).lock.unlink(missing_ok=True)
        folder.rmdir()
