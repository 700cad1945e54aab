"""Run folders: where they are, their names and their files."""

from __future__ import annotations

import os
import re
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from tui_trainer.protocol.config import RunConfig
from tui_trainer.protocol.config_file import compose, read_config
from tui_trainer.protocol.errors import InputError, path_error
from tui_trainer.protocol.reference import model_name
from tui_trainer.recording.atomic import read_at_most
from tui_trainer.recording.checkpoint_head import SUFFIX
from tui_trainer.recording.journal import Recorded, read_recorded
from tui_trainer.recording.lock import Lock
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
    def name(self) -> str:
        """Its name for display."""
        return printable(self.path.name or self.path.resolve().name)

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


@dataclass(frozen=True, slots=True)
class ListedRun:
    """A run in a list; ``error`` is the reason why it has no summary."""

    folder: RunFolder
    summary: Summary | None
    error: str = ""

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
            return datetime.strptime(self.folder.name[:15], _TIME).astimezone(UTC)
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


def list_runs(root: Path) -> list[ListedRun]:
    """Return the runs directly in a folder, the latest first; none if there is no folder."""
    try:
        folders = [RunFolder(path) for path in root.iterdir()]
        runs = [folder for folder in folders if folder.is_run]
    except OSError:
        return []
    listed = [_listed(folder) for folder in runs]
    return sorted(listed, key=lambda run: (run.last_change, run.folder.name), reverse=True)


def _listed(folder: RunFolder) -> ListedRun:
    try:
        return ListedRun(folder, folder.read_summary())
    except InputError as error:
        return ListedRun(folder, None, str(error))


def find_run(name: str | None, root: Path = RUNS, *, to_resume: bool = False) -> RunFolder:
    """Return a run by its name in ``root`` or by its path; without a name, the latest run.

    Args:
        name: The name or the path.
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
    raise InputError(f"{printable(name)}: no such run; `mnist-tui runs` lists all runs")


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
