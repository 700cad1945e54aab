"""Run folders: where they are, their names and their files."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any

from tui_trainer.protocol.config import SETTINGS, RunConfig
from tui_trainer.protocol.config_file import compose, read_config
from tui_trainer.protocol.errors import InputError, path_error
from tui_trainer.protocol.reference import model_name
from tui_trainer.recording.about import ABOUT, NOTHING, About, read_about
from tui_trainer.recording.atomic import read_at_most
from tui_trainer.recording.checkpoint_head import SUFFIX
from tui_trainer.recording.journal import Recorded, read_recorded
from tui_trainer.recording.lock import Lock
from tui_trainer.recording.run_fields import RunFields
from tui_trainer.recording.summary import (
    COMPLETED,
    KILLED,
    MAX_BYTES,
    RUNNING,
    Summary,
    summary_from_json,
)
from tui_trainer.text.fmt import printable

RUNS = Path("runs")
"""The default folder of runs."""

RUN_VARIABLE = "MNIST_TUI_RUN"
"""The environment variable in which ``mnist-tui run`` gives a script the folder of its run."""

_TIME = "%Y-%m-%d-%H%M"
"""The format of the local time in the name of a run's folder."""

LONGEST_NAME = 48
"""The longest model name in the name of a folder; a character can take four bytes."""

GROUP_FILES = ("seeds.toml", "sweep.toml")
"""The files that make a folder a group of runs; each describes what trains them."""

MAX_EVENTS_BYTES = 1 << 30
"""The largest ``events.jsonl`` that is read: about five million steps."""


@dataclass(frozen=True, slots=True)
class RunFolder:
    """The folder of a run; ``path`` need not exist."""

    path: Path

    @property
    def config(self) -> Path:
        """The settings at the start of the run."""
        return self.path / "config.toml"

    @property
    def events(self) -> Path:
        """All events, one per line."""
        return self.path / "events.jsonl"

    @property
    def commands(self) -> Path:
        """The commands of other processes for the trainer, one per line."""
        return self.path / "commands.jsonl"

    @property
    def summary(self) -> Path:
        """The summary of the run."""
        return self.path / "summary.json"

    @property
    def about(self) -> Path:
        """The note and the tags of the run."""
        return self.path / ABOUT

    @property
    def about_lock(self) -> Path:
        """The lock file of the note and the tags, which another process than the trainer writes."""
        return self.path / ".about.lock"

    @property
    def checkpoints(self) -> Path:
        """The folder of its checkpoints."""
        return self.path / "checkpoints"

    @property
    def lock(self) -> Path:
        """The lock file, held by the process that writes the run."""
        return self.path / ".lock"

    @property
    def output(self) -> Path:
        """The output of the model's code while a window was open."""
        return self.path / "output.log"

    @property
    def train_log(self) -> Path:
        """The output of a trainer in the background."""
        return self.path / "train.log"

    @property
    def is_run(self) -> bool:
        """Whether the folder contains a run."""
        return self.config.is_file() and self.events.is_file()

    @property
    def group(self) -> str:
        """The name of the group folder that contains it; empty if none does."""
        folder = self.path.parent
        return printable(folder.resolve().name) if is_group(folder) else ""

    @property
    def name(self) -> str:
        """Its name for display, with its group: ``GROUP/seed-0``."""
        name = printable(self.path.name or self.path.resolve().name)
        return f"{group}/{name}" if (group := self.group) else name

    def check_lock(self) -> None:
        """Check that this user can see whether a process trains the run.

        Raises:
            InputError: If the lock file cannot be read.
        """
        if self.lock.exists() and not os.access(self.lock, os.R_OK):
            raise path_error(
                self.lock, "no permission to read; the owner of the run can give it with chmod g+r"
            )

    def checkpoint(self, name: str) -> Path:
        """Return the file of a checkpoint: ``last``, ``best``, ``epoch-5``."""
        return self.checkpoints / f"{name}{SUFFIX}"

    def read_config(self) -> RunConfig:
        """Return the settings at the start of the run.

        Raises:
            InputError: If they cannot be read.
        """
        return compose(read_config(self.config))

    def read_events(self) -> Recorded:
        """Return the recorded events.

        Raises:
            InputError: If the file cannot be read, or a valid line is no event.
        """
        return read_recorded(_text(self.events, MAX_EVENTS_BYTES), printable(self.events))

    def read_summary(self) -> Summary:
        """Return the summary of the run; its state is ``killed`` if its process was killed.

        Raises:
            InputError: If it cannot be read.
        """
        name = printable(self.summary)
        summary = summary_from_json(_text(self.summary, MAX_BYTES), name)
        if summary.state == RUNNING and not Lock.is_held(self.lock):
            return replace(summary, state=KILLED)
        return summary


def _text(path: Path, limit: int) -> str:
    """Return the text of a file; invalid UTF-8 is replaced, so that the JSON parser reports it.

    Raises:
        InputError: If it cannot be read or is too large.
    """
    raw = read_at_most(path, limit)
    if len(raw) > limit:
        raise path_error(path, "too large for such a file")
    return raw.decode("utf-8", "replace")


def is_group(folder: Path) -> bool:
    """Return whether a folder contains a group of runs, as ``mnist-tui seeds`` trains them."""
    return any((folder / name).is_file() for name in GROUP_FILES)


@dataclass(frozen=True)
class ListedRun:
    """A run in a list.

    Attributes:
        folder: Its folder.
        summary: Its summary; None if that cannot be read.
        error: The reason why it has no summary.
        group: The name of the group folder that contains it; empty if none does.
        about: Its note and tags.
        stamp: The state of its summary and note when they were read; equal while they are as then.
    """

    folder: RunFolder
    summary: Summary | None
    error: str = ""
    group: str = ""
    about: About = NOTHING
    stamp: tuple[object, ...] = ()

    @cached_property
    def name(self) -> str:
        """Its name for display and for :func:`find_run`: ``GROUP/seed-0`` in a group."""
        name = printable(self.folder.path.name)
        return f"{self.group}/{name}" if self.group else name

    @cached_property
    def fields(self) -> RunFields:
        """Its fields by name; a settings file is read only if a setting needs it."""
        return RunFields(
            self.name, self.group, self.about, self.summary, self.error, self._settings
        )

    def _settings(self) -> Mapping[str, Any]:
        """Return its settings at the start; none if they cannot be read."""
        settings = self.summary.settings if self.summary else None
        if settings is None:
            try:
                settings = dict(read_config(self.folder.config).settings)
            except InputError:
                return {}
        return {row.name: row.default for row in SETTINGS.values()} | settings

    @property
    def last_change(self) -> datetime:
        """The time of its last change, from its summary.

        Never a file's date, which ``cp``, ``git`` and ``rsync`` change: without a summary it is
        the time in the folder's name.
        """
        times = (self.summary.updated_at, self.summary.started_at) if self.summary else ()
        for time in times:
            with suppress(ValueError):
                return datetime.fromisoformat(time).astimezone(UTC)
        with suppress(ValueError, OverflowError):
            return datetime.strptime(self.folder.path.name[:15], _TIME).astimezone(UTC)
        return datetime.min.replace(tzinfo=UTC)

    @property
    def is_running(self) -> bool:
        """Whether a process is training it now."""
        return self.summary is not None and self.summary.state == RUNNING

    @property
    def can_resume(self) -> bool:
        """Whether epochs are left, a checkpoint exists, and no process is training it now."""
        is_left = self.summary is not None and self.summary.state != COMPLETED
        return is_left and not self.is_running and self.folder.checkpoint("last").is_file()


def list_runs(root: Path, known: Iterable[ListedRun] = ()) -> list[ListedRun]:
    """Return the runs in a folder and in its group folders, the latest first.

    Reads the summary, the note and the tags of each run, never its events. A missing folder has no
    runs.

    Args:
        root: The folder of runs.
        known: Runs that were listed before: those that have not changed are returned unread.
    """
    group = printable(root.resolve().name) if is_group(root) else ""
    before = {run.folder.path: run for run in known}
    listed = [
        _listed(folder, name, before.get(folder.path)) for folder, name in _run_folders(root, group)
    ]
    return sorted(listed, key=lambda run: (run.last_change, run.name), reverse=True)


def _run_folders(root: Path, group: str = "") -> Iterator[tuple[RunFolder, str]]:
    """Yield the runs in a folder, each with its group, and those in the groups in it."""
    try:
        paths = [*root.iterdir()]
    except OSError:
        return
    for path in paths:
        with suppress(OSError):
            if RunFolder(path).is_run:
                yield RunFolder(path), group
            elif not group and is_group(path):
                yield from _run_folders(path, printable(path.name))


def _listed(folder: RunFolder, group: str, before: ListedRun | None = None) -> ListedRun:
    stamp = tuple(map(_file_stamp, (folder.summary, folder.about)))
    # A run that is trained changes its state without its files when its process is killed.
    if before is not None and before.stamp == stamp and not before.is_running:
        return before
    about = read_about(folder.path)
    try:
        return ListedRun(folder, folder.read_summary(), "", group, about, stamp)
    except InputError as error:
        return ListedRun(folder, None, str(error), group, about, stamp)


def _file_stamp(path: Path) -> tuple[int, ...]:
    """Return the state of a file, which changes when it is written again; empty without a file."""
    try:
        found = path.stat()
    except OSError:
        return ()
    return (found.st_mtime_ns, found.st_ino, found.st_size)


def find_run(name: str | None, root: Path = RUNS, *, to_resume: bool = False) -> RunFolder:
    """Return a run by its name in ``root`` or by its path; without a name, the latest run.

    Args:
        name: The name, with its group if it has one (``GROUP/seed-0``), or the path.
        root: The folder of runs.
        to_resume: Whether a run that can be resumed is preferred to a later one that cannot.

    Raises:
        InputError: If there is none.
    """
    if name is None:
        runs = list_runs(root)
        if not runs:
            raise path_error(root, "contains no runs; train one, or name the folder of a run")
        if to_resume:
            runs.sort(key=lambda run: (not run.can_resume, run.is_running))
        return runs[0].folder
    try:
        for path in (root / name, Path(name).expanduser()):
            if name and RunFolder(path).is_run:
                return RunFolder(path)
    except (
        OSError,
        RuntimeError,
        ValueError,
    ):  # too long, an unknown user's home, or a NUL character
        pass
    if name and (group := find_group(name, root)):
        members = [run.name for run in list_runs(group)]
        example = f", as {min(members)}" if members else ""
        raise path_error(group, f"is a group of runs; name one of its runs{example}")
    raise InputError(f"{printable(name)}: no such run; `mnist-tui runs` lists all runs")


def find_group(name: str, root: Path = RUNS) -> Path | None:
    """Return the folder of a group of runs by its name in ``root`` or by its path, if it is one."""
    try:
        return next(
            (path for path in (root / name, Path(name).expanduser()) if is_group(path)), None
        )
    except (OSError, RuntimeError, ValueError):
        return None


def new_folder(root: Path, model: str, now: datetime) -> Path:
    """Create and return a folder for a new run, named after the time and the model.

    Raises:
        OSError: If it cannot be created.
    """
    called = re.sub(r"[^\w.-]+", "-", model_name(model))[:LONGEST_NAME].strip(".-")
    name = f"{now.strftime(_TIME)}-{called}"
    root.mkdir(parents=True, exist_ok=True)
    for number in range(1, 10_000):
        path = root / (name if number == 1 else f"{name}-{number}")
        try:
            path.mkdir()
        except FileExistsError:
            continue
        return path
    raise FileExistsError(17, f"too many runs named {name}")


def utc_now() -> datetime:
    """Return the time now, in UTC."""
    return datetime.now(UTC)
