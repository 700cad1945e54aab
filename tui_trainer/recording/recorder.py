"""Writing the run folder: settings, events and summary."""

from __future__ import annotations

import os
import shutil
import time
import traceback
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Any

from tui_trainer.history.run_state import RunState
from tui_trainer.protocol.answers import Answered
from tui_trainer.protocol.config import RunConfig
from tui_trainer.protocol.config_file import to_toml
from tui_trainer.protocol.errors import InputError, reason
from tui_trainer.protocol.events import (
    Diverged,
    EpochDone,
    Event,
    FolderNotLocked,
    RecordingStarted,
    Rewound,
    RunFailed,
    RunFinished,
    RunResumed,
    RunStarted,
    SettingChanged,
    StepDone,
    TestEvaluated,
    to_json,
)
from tui_trainer.recording import command_file
from tui_trainer.recording.atomic import clear_unfinished, write_atomically
from tui_trainer.recording.attempts import Attempts, RecordingEvent
from tui_trainer.recording.folder import RunFolder, new_folder, utc_now
from tui_trainer.recording.journal import Recorded
from tui_trainer.recording.line_file import LineFile
from tui_trainer.recording.lock import Lock, LockedError
from tui_trainer.recording.summary import summary_of
from tui_trainer.text.fmt import one_line, printable
from tui_trainer.version import __version__

_TURNS = (
    *(RunStarted, EpochDone, TestEvaluated, Diverged),
    *(Rewound, RunResumed, RunFailed, RunFinished),
)
"""The events after which the summary is written at once."""

STEPS_PER_WRITE, WRITE_SECONDS = 64, 0.1
"""The most steps per write, and seconds between two: other processes follow the file.

Any other event is written at once, with the steps before it.
"""


class Recorder:
    """Writes a run to its folder, which it locks until the run ends.

    Attributes:
        folder: The folder.
    """

    def __init__(
        self,
        folder: RunFolder,
        lock: Lock,
        *,
        now: Callable[[], datetime] = utc_now,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.folder = folder
        self._lock = lock
        self._now = now
        self._clock = clock
        self._written_at = clock()
        self._is_new = True
        self._made: list[Path] = []
        self._has_result = False
        self._moved: RunConfig | None = None
        self._run = RunState()
        self._started_at = self._recorded_in = ""
        self._settings: dict[str, Any] | None = None
        self._lines = LineFile(folder.events)
        self._waiting: list[Event] = []
        self._attempt = Attempts()

    @classmethod
    def create(cls, path: Path, config: RunConfig) -> Recorder:
        """Create a run in a folder, which may contain other files, but no run.

        Raises:
            InputError: If the folder contains a run, is in use, or cannot be written.
        """
        option = f"--out {printable(path)}"
        try:
            made = missing_folders(path)
            path.mkdir(parents=True, exist_ok=True)
            return cls._begin(RunFolder(path), config, option, made)
        except OSError as error:
            raise not_writable(option, error, "choose another folder") from None

    @classmethod
    def create_below(cls, root: Path, config: RunConfig) -> Recorder:
        """Create a run in a new folder in ``root``, named after the time and the model.

        Raises:
            InputError: If it cannot be written.
        """
        try:
            made = missing_folders(root)
            path = new_folder(root, config.model, datetime.now())
            return cls._begin(RunFolder(path), config, printable(path), [path, *made])
        except OSError as error:
            remedy = "choose a folder with --out DIR, or --no-save"
            raise not_writable(printable(root), error, remedy) from None

    @classmethod
    def _begin(
        cls, folder: RunFolder, config: RunConfig, option: str, made: list[Path]
    ) -> Recorder:
        check_no_run(folder, option)
        recorder = cls(folder, _locked(folder, option))
        try:
            check_no_run(folder, option)  # another process may have recorded one meanwhile
        except InputError:
            recorder.close()
            raise
        recorder._made = made
        recorder._recorded_in = os.path.abspath(folder.path)
        recorder._settings = config.as_dict()
        try:
            write_atomically(folder.config, to_toml(config).encode())
            recorder._lines.create()
            command_file.create(folder.commands)
        except OSError:
            recorder._forget()
            raise
        return recorder

    @classmethod
    def reopen(
        cls,
        folder: RunFolder,
        recorded: Recorded,
        past: Iterable[Event],
        moved: RunConfig | None = None,
    ) -> Recorder:
        """Continue a recorded run.

        Args:
            folder: Its folder.
            recorded: Its events.
            past: Those of its events that are still valid.
            moved: Its settings with the current paths, written once the run continues; None if
                nothing has moved.

        Raises:
            InputError: If another process is writing it, or it cannot be written.
        """
        name = printable(folder.path)
        try:
            recorder = cls(folder, _locked(folder, name))
            recorder._is_new = False
            clear_unfinished(folder.path)
            clear_unfinished(folder.checkpoints)
            recorder._lines.reopen()
            with suppress(OSError):  # then it cannot be steered, but trained
                command_file.create(folder.commands)
        except OSError as error:
            raise not_writable(name, error, "free disk space or fix its permissions") from None
        if recorder._lines.count != recorded.lines:
            # A process that has just released the lock wrote more after the file was read.
            recorder.close()
            raise InputError(f"{name}: changed while it was being read; try again")
        recorder._moved = moved
        with suppress(InputError):
            before = folder.read_summary()
            recorder._started_at, recorder._recorded_in = before.started_at, before.recorded_in
            recorder._settings = before.settings
        recorder._run = RunState.of(past)
        return recorder

    @property
    def unlocked(self) -> str:
        """Why the folder could not be locked; empty if it is."""
        return self._lock.unlocked

    def configure(self, config: RunConfig) -> Iterator[RecordingEvent]:
        """Record other settings than those of the beginning."""
        path = self.folder.config
        self._settings = config.as_dict()
        yield from self._attempt(path, lambda: write_atomically(path, to_toml(config).encode()))

    def position(self) -> int:
        """Flush all lines to the disk if possible; return their number."""
        self._serialize()
        with suppress(OSError):
            self._lines.flush(sync=True)
        return self._lines.count

    def record(self, events: Iterator[Event]) -> Iterator[Event]:
        """Yield events, each after it was recorded.

        Lines that cannot be written stay pending and are retried; the run continues, and the
        failure is reported once. A new run that fails before its first step leaves no files, so
        that the folder is free for the next attempt; a run that cannot be resumed leaves them
        unchanged. Answers to questions are not recorded. The lock is released when the run ends,
        although questions may still be answered.
        """
        begun = over = False
        folder = str(self.folder.path)
        try:
            yield RecordingStarted(folder=folder)
            if self._lock.unlocked:
                yield FolderNotLocked(folder=folder, message=self._lock.unlocked)
            for event in events:
                begun = begun or isinstance(event, RunStarted | RunResumed)
                if isinstance(event, RunResumed) and self._moved is not None:
                    yield from self._record_move(self._moved)
                if not (over or isinstance(event, Answered)):
                    yield from self.write(event, wait=not (begun or self._is_new))
                if isinstance(event, RunFinished):
                    over = True
                    self.close()
                yield event
        except GeneratorExit:
            # Not the run has failed, but the consumer of the events.
            self._has_result = self._has_result or begun
            raise
        except InputError:
            if not (begun or self._is_new):
                self._waiting.clear()
                self._lines.drop_pending()
            raise
        except Exception as error:
            if over:
                raise
            message = one_line(f"{type(error).__name__}: {error}")
            for _ in self.write(RunFailed(message=message, traceback=traceback.format_exc())):
                pass  # the caller gets the exception itself
            raise
        finally:
            self.discard_if_empty()
            self.close()

    def write(self, event: Event, *, wait: bool = False) -> Iterator[RecordingEvent]:
        """Record an event; yield an event if writing fails, or works again.

        Args:
            event: The event.
            wait: Whether it may be written together with the next one.
        """
        self._has_result = self._has_result or isinstance(event, StepDone | RunFinished)
        self._waiting.append(event)
        if wait or (isinstance(event, StepDone) and not self._is_due()):
            return
        self._written_at = self._clock()
        self._serialize()
        yield from self._attempt(self.folder.events, self._lines.flush)
        is_epochs = isinstance(event, SettingChanged) and event.setting == "epochs"
        if is_epochs or isinstance(event, _TURNS):
            yield from self._write_summary(is_start=isinstance(event, RunStarted))

    def _is_due(self) -> bool:
        is_late = self._clock() - self._written_at >= WRITE_SECONDS
        return is_late or len(self._waiting) >= STEPS_PER_WRITE

    def _serialize(self) -> None:
        """Turn the waiting events into lines.

        Several at once: code that runs between two steps has left the processor's cache, and a
        single line then takes four times as long.
        """
        for event in self._waiting:
            self._lines.add(to_json(event))
            self._run.apply(event)
        self._waiting.clear()

    def _write_summary(self, *, is_start: bool) -> Iterator[RecordingEvent]:
        now, path = self._now().isoformat(timespec="milliseconds"), self.folder.summary
        if is_start:
            self._started_at = now
        summary = summary_of(
            self._run,
            version=__version__,
            started_at=self._started_at,
            updated_at=now,
            recorded_in=self._recorded_in,
            settings=self._settings,
        )
        yield from self._attempt(path, lambda: write_atomically(path, summary.to_json().encode()))

    def _record_move(self, config: RunConfig) -> Iterator[RecordingEvent]:
        """Record the current paths of model and data, once they are known to fit the run."""
        yield from self.configure(config)
        self._recorded_in = os.path.abspath(self.folder.path)

    def discard_if_empty(self) -> None:
        """Remove the files of a new run that has not trained a step.

        Other files are not touched: a folder is removed only if it was created for the run and is
        empty.
        """
        if self._is_new and not self._has_result:
            self._forget()

    def _forget(self) -> None:
        self.close()
        self._has_result = True  # nothing is left to remove
        remove_files(self.folder)
        with suppress(OSError):
            for path in self._made:
                path.rmdir()

    def close(self) -> None:
        """Write the pending lines if possible, and release the lock."""
        self._serialize()
        self._lines.close()
        self._lock.release()


def remove_files(folder: RunFolder) -> None:
    """Remove the files of a run that can be removed; other files in its folder stay."""
    shutil.rmtree(folder.checkpoints, ignore_errors=True)
    with suppress(OSError):
        for file in (
            *(folder.config, folder.events, folder.commands, folder.summary),
            *(folder.about, folder.about_lock, folder.output, folder.lock),
        ):
            file.unlink(missing_ok=True)


def remove_unsaved(folder: RunFolder, check: Callable[[], None] = lambda: None) -> None:
    """Remove the files of a run that has no checkpoint to continue from.

    Args:
        folder: Its folder, which need not exist.
        check: Raises if they are to stay; called while no other process writes them.

    Raises:
        InputError: If another process trains the run, or its files cannot be removed.
    """
    name = printable(folder.path)
    if not folder.path.exists() or folder.checkpoint("last").is_file():
        return
    try:
        lock = Lock(folder.lock)
    except LockedError as error:
        raise InputError(f"{name}: in use: {error.holder} trains this run already") from None
    except OSError as error:
        raise not_writable(name, error, "fix its permissions") from None
    try:
        check()
        remove_files(folder)
    finally:
        lock.release()


def check_no_run(folder: RunFolder, option: str) -> None:
    """Check that a folder contains no run.

    Raises:
        InputError: If it does; it names the option.
    """
    files = (folder.config, folder.events, folder.summary, folder.checkpoints)
    if there := [path.name for path in files if path.exists()]:
        raise InputError(f"{option}: already contains a run ({there[0]}); choose another folder")


def missing_folders(folder: Path) -> list[Path]:
    """Return the missing folders of a path, the deepest first."""
    return [path for path in (folder, *folder.parents) if not path.exists()]


def _locked(folder: RunFolder, name: str) -> Lock:
    try:
        return Lock(folder.lock)
    except LockedError as error:
        raise InputError(
            f"{name}: in use: {error.holder} is writing this run; wait for it, or stop it"
        ) from None


def not_writable(name: str, error: OSError, remedy: str) -> InputError:
    """Return the error about a folder that cannot be written."""
    return InputError(f"{name}: cannot be written: {reason(error)}; {remedy}")
