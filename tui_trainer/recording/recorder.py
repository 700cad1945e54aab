"""Writing the run folder: what was asked, everything that happened, and what became of it."""

from __future__ import annotations

import os
import shutil
import traceback
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from datetime import datetime
from pathlib import Path

from tui_trainer import __version__
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
from tui_trainer.recording.atomic import clear_unfinished, write_atomically
from tui_trainer.recording.attempts import Attempts, RecordingEvent
from tui_trainer.recording.folder import RunFolder, new_folder, utc_now
from tui_trainer.recording.journal import Recorded
from tui_trainer.recording.line_file import LineFile
from tui_trainer.recording.lock import Lock, LockedError
from tui_trainer.recording.summary import summary_of
from tui_trainer.text.fmt import one_line, printable

_TURNS = (
    *(RunStarted, EpochDone, TestEvaluated, Diverged),
    *(Rewound, RunResumed, RunFailed, RunFinished),
)
"""The events after which the summary is written at once."""

STEPS_TOGETHER = 64
"""Steps that are written at once; anything else is written as it comes, with the steps before."""


class Recorder:
    """Writes one run to its folder, which it holds until the run is over.

    Attributes:
        folder: The folder.
    """

    def __init__(
        self, folder: RunFolder, lock: Lock, *, now: Callable[[], datetime] = utc_now
    ) -> None:
        self.folder = folder
        self._lock = lock
        self._now = now
        self._is_new = True
        self._made: list[Path] = []
        self._has_result = False
        self._moved: RunConfig | None = None
        self._run = RunState()
        self._started_at = self._recorded_in = ""
        self._lines = LineFile(folder.events)
        self._attempt = Attempts()

    @classmethod
    def create(cls, path: Path, config: RunConfig) -> Recorder:
        """Begin a run in a folder of its own; other things may lie in it, but no run.

        Raises:
            InputError: If the folder holds a run already, is in use, or cannot be written.
        """
        option = f"--out {printable(path)}"
        try:
            made = _missing(path)
            path.mkdir(parents=True, exist_ok=True)
            return cls._begin(RunFolder(path), config, option, made)
        except OSError as error:
            raise _not_writable(option, error, "choose another folder") from None

    @classmethod
    def create_below(cls, root: Path, config: RunConfig) -> Recorder:
        """Begin a run in a new folder below ``root``, named for the time and the network.

        Raises:
            InputError: If it cannot be written.
        """
        try:
            made = _missing(root)
            path = new_folder(root, config.model, datetime.now())
            return cls._begin(RunFolder(path), config, printable(path), [path, *made])
        except OSError as error:
            remedy = "choose a folder with --out DIR, or --no-save"
            raise _not_writable(printable(root), error, remedy) from None

    @classmethod
    def _begin(
        cls, folder: RunFolder, config: RunConfig, option: str, made: list[Path]
    ) -> Recorder:
        files = (folder.config, folder.events, folder.summary, folder.checkpoints)
        if there := [path.name for path in files if path.exists()]:
            raise InputError(f"{option}: holds a run already ({there[0]}); choose another folder")
        recorder = cls(folder, _locked(folder, option))
        recorder._made = made
        recorder._recorded_in = os.path.abspath(folder.path)
        try:
            write_atomically(folder.config, to_toml(config).encode())
            recorder._lines.create()
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
        """Go on with a recorded run.

        Args:
            folder: Its folder.
            recorded: Everything that happened.
            past: That part of it which still holds.
            moved: The settings that it began with, with the paths that hold now; they are recorded
                once the run goes on. None if nothing has moved.

        Raises:
            InputError: If another process writes it now, or it cannot be written.
        """
        name = printable(folder.path)
        try:
            recorder = cls(folder, _locked(folder, name))
            recorder._is_new = False
            clear_unfinished(folder.path)
            clear_unfinished(folder.checkpoints)
            recorder._lines.reopen()
        except OSError as error:
            raise _not_writable(name, error, "make room or mend its permissions") from None
        if recorder._lines.count != recorded.lines:
            # Read before the lock was ours, by a process that has just let it go.
            recorder.close()
            raise InputError(f"{name}: has grown while it was read; try again")
        recorder._moved = moved
        with suppress(InputError):
            before = folder.read_summary()
            recorder._started_at, recorder._recorded_in = before.started_at, before.recorded_in
        recorder._run = RunState.of(past)
        return recorder

    def position(self) -> int:
        """Bring everything so far to the disk, if it can be; return how many lines that is."""
        with suppress(OSError):
            self._lines.flush(sync=True)
        return self._lines.count

    def record(self, events: Iterator[Event]) -> Iterator[Event]:
        """Pass events on, each written down before anyone else sees it.

        What cannot be written is kept and tried again; the run goes on, and is told of it once. A
        run that fails before its first step leaves no files, so that the folder is free for the
        next attempt; one that cannot be resumed leaves them as they were. Answers to questions are
        not written. When the run is over the folder is let go, though questions may still be
        answered.
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
            # The run has not failed: whoever listened has.
            self._has_result = self._has_result or begun
            raise
        except InputError:
            if not (begun or self._is_new):
                self._lines.forget()
            raise
        except Exception as error:
            if over:
                raise
            message = one_line(f"{type(error).__name__}: {error}")
            for _ in self.write(RunFailed(message=message, traceback=traceback.format_exc())):
                pass  # whoever is to be told of it is told of the error itself
            raise
        finally:
            self.discard_if_empty()
            self.close()

    def write(self, event: Event, *, wait: bool = False) -> Iterator[RecordingEvent]:
        """Write an event down, and tell if it cannot be written, or can be again.

        Args:
            event: What happened.
            wait: Whether it may be written with the next one.
        """
        self._has_result = self._has_result or isinstance(event, StepDone | RunFinished)
        self._lines.add(to_json(event))
        self._run.apply(event)
        if wait or (isinstance(event, StepDone) and self._lines.waiting < STEPS_TOGETHER):
            return
        yield from self._attempt(self.folder.events, self._lines.flush)
        is_epochs = isinstance(event, SettingChanged) and event.setting == "epochs"
        if is_epochs or isinstance(event, _TURNS):
            yield from self._write_summary(is_start=isinstance(event, RunStarted))

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
        )
        yield from self._attempt(path, lambda: write_atomically(path, summary.to_json().encode()))

    def _record_move(self, config: RunConfig) -> Iterator[RecordingEvent]:
        """Record where the model and the data are now: the run was found to be theirs."""
        path = self.folder.config
        yield from self._attempt(path, lambda: write_atomically(path, to_toml(config).encode()))
        self._recorded_in = os.path.abspath(self.folder.path)

    def discard_if_empty(self) -> None:
        """Take away what a new run left in its folder, if it has not trained a step.

        Nothing else is touched: a folder goes only if it was made for the run and is empty.
        """
        if self._is_new and not self._has_result:
            self._forget()

    def _forget(self) -> None:
        self.close()
        self._has_result = True  # there is nothing more to take away
        folder = self.folder
        shutil.rmtree(folder.checkpoints, ignore_errors=True)
        with suppress(OSError):
            for file in (folder.config, folder.events, folder.summary, folder.output, folder.lock):
                file.unlink(missing_ok=True)
            for path in self._made:
                path.rmdir()

    def close(self) -> None:
        """Write what is left, as far as that can be done, and let the folder go."""
        self._lines.close()
        self._lock.release()


def _missing(folder: Path) -> list[Path]:
    """Return the folders that are to be made for a folder to be there, the innermost first."""
    return [path for path in (folder, *folder.parents) if not path.exists()]


def _locked(folder: RunFolder, name: str) -> Lock:
    try:
        return Lock(folder.lock)
    except LockedError as error:
        raise InputError(
            f"{name}: in use: {error.holder} is writing this run; wait for it, or stop it first"
        ) from None


def _not_writable(name: str, error: OSError, remedy: str) -> InputError:
    return InputError(f"{name}: cannot be written: {reason(error)}; {remedy}")
