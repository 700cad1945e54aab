"""Following a run that another process trains: its events, and commands for its trainer."""

from __future__ import annotations

import math
import os
import secrets
import time
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import closing, suppress
from dataclasses import replace
from io import FileIO
from pathlib import Path
from typing import Protocol

from tui_trainer.protocol.commands import Command, Inbox, Stop, name_of
from tui_trainer.protocol.errors import InputError, path_error, reason
from tui_trainer.protocol.events import (
    CommandApplied,
    CommandRejected,
    Event,
    RecordingStarted,
    RecordRead,
    RunFailed,
    RunFinished,
    RunResumed,
    StateChanged,
    StepDone,
)
from tui_trainer.recording import command_file
from tui_trainer.recording.folder import MAX_EVENTS_BYTES, RunFolder
from tui_trainer.recording.journal import PART, from_json, read_parts
from tui_trainer.recording.lock import Lock
from tui_trainer.text.fmt import printable

INTERVAL = 0.1
"""Seconds between two polls of the events."""

CHECK_SECONDS = 1.0
"""Seconds between two polls of the trainer's lock, the folder and the checkpoint."""

CONFIRM_SECONDS = 10.0
"""Seconds after which a command without an answer is reported."""

TAKEOVER_SECONDS = 60.0
"""Seconds after which a process that takes over a run should hold its lock."""

NO_TRAINER = "no process trains it, and it has not ended"
UNCONFIRMED = "not confirmed in 10 s: the trainer is busy, and may apply it later"


class Tail:
    """The events that are appended to an ``events.jsonl``; a line is complete at its line break.

    Args:
        path: The file; events that it has already are only read by :meth:`past`.

    Raises:
        OSError: From the constructor, if the file cannot be opened.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file = FileIO(path)
        self._size = self._length()
        # A line that is being written now is new when it is complete.
        start = max(0, self._size - PART)
        last = os.pread(self._file.fileno(), self._size - start, start)
        self._position = start + last.rfind(b"\n") + 1
        self._lines = 0

    def _length(self) -> int:
        return os.fstat(self._file.fileno()).st_size

    def past(self) -> Iterator[tuple[Event, ...]]:
        """Read what is there, and yield the valid events in parts; the next ones follow them.

        Raises:
            InputError: If a valid line is no event, or the file is too large.
        """
        name, size = printable(self._path), self._length()
        if size > MAX_EVENTS_BYTES:
            raise InputError(f"{name}: too large for such a file")
        self._size = self._position = self._lines = 0
        for events, content in read_parts(self._read, size, name):
            self._position += len(content)
            self._lines += content.count(b"\n")
            self._size = self._position
            yield events

    def _read(self, length: int, position: int) -> bytes:
        return os.pread(self._file.fileno(), length, position)

    def new(self) -> Iterator[Event]:
        """Yield the events that were appended; costs one ``fstat`` if there are none.

        Raises:
            InputError: If a line is no event.
        """
        size = self._length()
        if size == self._size:
            return
        self._size = size
        if size < self._position:
            return  # the disk was full in the middle of a write; the same lines come again
        content = self._read(size - self._position, self._position)
        whole = content[: content.rfind(b"\n") + 1]
        self._position += len(whole)
        for line in whole.decode("utf-8", "replace").split("\n")[:-1]:
            self._lines += 1
            try:
                yield from_json(line)
            except InputError as error:
                where = f"{printable(self._path)}, line {self._lines}"
                raise InputError(f"{where}: {error}") from None

    @property
    def is_there(self) -> bool:
        """Whether the path still leads to this file."""
        try:
            return os.path.samestat(os.stat(self._path), os.fstat(self._file.fileno()))
        except OSError:
            return False

    def close(self) -> None:
        """Close the file."""
        self._file.close()


class StartedTrainer(Protocol):
    """A trainer that this process has started."""

    @property
    def is_running(self) -> bool:
        """Whether its process is running."""

    @property
    def problem(self) -> str:
        """Why it failed; empty while it runs, and after an orderly end."""


class Follower:
    """Follows a run on one thread; other threads read its attributes.

    Args:
        folder: The folder of the run.

    Attributes:
        trainer: The trainer that this process has started; None for that of another process. Any
            thread may set it.
        checkpoint: Changes when the trainer saves another checkpoint.
    """

    def __init__(
        self,
        folder: RunFolder,
        trainer: StartedTrainer | None = None,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.folder = folder
        self.trainer = trainer
        self.checkpoint: object = None
        self._clock = clock
        self._pending: dict[str, tuple[Command, float]] = {}
        self._step = 0
        self._is_killed = False
        self._free_since: float | None = None
        self._free_at_most = 0.0

    def events(self, inbox: Inbox) -> Iterator[Event]:
        """Yield the recorded events, then new ones as they are recorded.

        Args:
            inbox: Its commands are sent to the trainer; a ``Stop`` without a sender ends the
                following, not the run.

        Raises:
            InputError: If the run cannot be read, or its folder is moved or deleted.
        """
        tail = yield from self._opened(inbox)
        if tail is None:
            return
        with closing(tail):
            yield from self._seen(self._record(tail))
            checked_at = -math.inf
            while True:
                yield from self._seen(self._new(tail))
                now = self._clock()
                if now - checked_at >= CHECK_SECONDS:
                    checked_at = now
                    yield from self._check(tail, now)
                inbox.wait(INTERVAL)
                for command in inbox.take(0):
                    if isinstance(command, Stop) and not command.by:
                        return
                    yield from self._send(command)

    def _opened(self, inbox: Inbox) -> Generator[Event, None, Tail | None]:
        """Open the events; wait for a trainer that was just started; None after a stop."""
        if self.trainer is not None:
            yield StateChanged(state="preparing", step=0, detail="starting the trainer")
        while True:
            try:
                return Tail(self.folder.events)
            except OSError as error:
                if self.trainer is not None and self.trainer.problem:
                    raise InputError(self.trainer.problem) from None
                if self.trainer is None or not self.trainer.is_running:
                    raise path_error(
                        self.folder.events, f"cannot be read: {reason(error)}"
                    ) from None
            inbox.wait(INTERVAL)
            if not inbox.is_empty:
                return None

    def _record(self, tail: Tail) -> Iterator[Event]:
        """Read the record in parts; its events do not say where they are recorded."""
        folder = RecordingStarted(folder=str(self.folder.path))
        parts = tail.past()
        yield RecordRead(events=(folder, *next(parts, ())))
        for events in parts:
            yield RecordRead(events=events, continues=True)

    def _new(self, tail: Tail) -> Iterator[Event]:
        """Yield new events; after a resume the whole record."""
        for event in tail.new():
            if isinstance(event, RunResumed):
                yield from self._record(tail)
                return
            yield event

    def _seen(self, events: Iterable[Event]) -> Iterator[Event]:
        for event in events:
            for part in event.events if isinstance(event, RecordRead) else (event,):
                self._notice(part)
            yield event

    def _notice(self, event: Event) -> None:
        match event:
            case StepDone():
                self._step = event.step
            case RunFinished(reason="detached"):
                # A process in the background loads PyTorch before it takes the lock.
                self._free_at_most = TAKEOVER_SECONDS
            case RunFinished() | RunFailed():
                self._free_at_most = math.inf
            case RunResumed():
                self._free_at_most, self._is_killed = 0.0, False
            case CommandApplied() | CommandRejected():
                self._pending.pop(event.request, None)

    def _check(self, tail: Tail, now: float) -> Iterator[Event]:
        """Check the trainer, the folder, the checkpoint, and commands without an answer.

        Raises:
            InputError: If the folder is gone.
        """
        if not tail.is_there:
            # A trainer that fails at its start removes its files, then ends.
            if self.trainer is not None and self.trainer.is_running and self.folder.path.is_dir():
                return
            if self.trainer is not None and self.trainer.problem:
                raise InputError(self.trainer.problem)
            raise path_error(
                self.folder.path,
                "moved or deleted while it was followed; if it was moved, attach to its new name",
            )
        with suppress(OSError):
            found = self.folder.checkpoint("last").stat()
            self.checkpoint = (found.st_mtime_ns, found.st_ino)
        if Lock.is_held(self.folder.lock):
            self._free_since = None
        elif self.trainer is None or not self.trainer.is_running:
            yield from self._check_end(tail, now)
        for command, sent_at in list(self._pending.values()):
            if now - sent_at >= CONFIRM_SECONDS:
                del self._pending[command.request]
                yield self._rejected(command, UNCONFIRMED)

    def _check_end(self, tail: Tail, now: float) -> Iterator[Event]:
        """Report a run without a trainer that has not ended, and a trainer that failed."""
        if self._free_since is None:
            self._free_since = now
        # The end is recorded before the lock is released: read once more.
        yield from self._seen(self._new(tail))
        if now - self._free_since >= self._free_at_most and not self._is_killed:
            self._is_killed = True
            yield StateChanged(state="killed", step=self._step, detail=NO_TRAINER)
        if self.trainer is not None and self.trainer.problem:
            problem, self.trainer = self.trainer.problem, None
            yield CommandRejected(command="resume", reason=problem, step=self._step)

    def _send(self, command: Command) -> Iterator[Event]:
        """Write a command for the trainer."""
        if not command.request:
            command = replace(command, request=secrets.token_hex(8))
        if not Lock.is_held(self.folder.lock):
            yield self._rejected(command, "no process trains this run now")
            return
        try:
            command_file.append(self.folder.commands, command)
        except OSError as error:
            yield self._rejected(command, f"commands.jsonl cannot be written: {reason(error)}")
        else:
            self._pending[command.request] = (command, self._clock())

    def _rejected(self, command: Command, problem: str) -> CommandRejected:
        return CommandRejected(
            command=name_of(command),
            reason=problem,
            step=self._step,
            by=command.by,
            request=command.request,
        )
