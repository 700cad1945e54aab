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

from tui_trainer.protocol.commands import Command, Inbox, Stop, name_of
from tui_trainer.protocol.errors import InputError, path_error, reason
from tui_trainer.protocol.events import (
    CommandApplied,
    CommandRejected,
    Event,
    RunFailed,
    RunFinished,
    RunReread,
    RunResumed,
    StateChanged,
    StepDone,
)
from tui_trainer.recording import command_file
from tui_trainer.recording.folder import MAX_EVENTS_BYTES, RunFolder
from tui_trainer.recording.journal import from_json, read_recorded
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

PART = 1 << 20
"""Bytes that are read at once."""


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

    def past(self) -> tuple[Event, ...]:
        """Read what is there, and return the valid events; the next ones follow it.

        Raises:
            InputError: If a valid line is no event, or the file is too large.
        """
        name = printable(self._path)
        content = os.pread(self._file.fileno(), min(self._length(), MAX_EVENTS_BYTES) + 1, 0)
        if len(content) > MAX_EVENTS_BYTES:
            raise InputError(f"{name}: too large for such a file")
        recorded = read_recorded(content.decode("utf-8", "replace"), name)
        self._size = self._position = content.rfind(b"\n") + 1
        self._lines = recorded.lines
        return recorded.events

    def new(self) -> Iterator[Event]:
        """Yield the events that were appended; costs one ``fstat`` if there are none.

        Raises:
            InputError: If a line is no event.
        """
        size = self._length()
        if size == self._size:
            return
        self._size = size
        while self._position < size:
            content = os.pread(self._file.fileno(), PART, self._position)
            whole = content[: content.rfind(b"\n") + 1]
            if not whole:
                return
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


class Follower:
    """Follows a run on one thread; other threads read its attributes.

    Args:
        folder: The folder of the run.
        by: The sender of the commands; see :func:`command_file.sender`.
        ended: Returns why the trainer that this process has started has ended, empty while it
            runs; None if this process has not started it.

    Attributes:
        checkpoint: Changes when the trainer saves another checkpoint.
    """

    def __init__(
        self,
        folder: RunFolder,
        *,
        by: str,
        ended: Callable[[], str] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.folder = folder
        self.checkpoint: object = None
        self._by = by
        self._ended = ended
        self._clock = clock
        self._pending: dict[str, tuple[str, float]] = {}
        self._step = 0
        self._is_over = self._is_killed = False
        self._free_since: float | None = None
        self._wait = 0.0

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
            yield from self._seen(tail.past())
            checked_at = -math.inf
            while True:
                yield from self._seen(self._branches(tail))
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
        if self._ended is not None:
            yield StateChanged(state="preparing", step=0, detail="starting the trainer")
        while True:
            try:
                return Tail(self.folder.events)
            except OSError as error:
                if self._ended is None:
                    raise path_error(
                        self.folder.events, f"cannot be read: {reason(error)}"
                    ) from None
                if why := self._ended():
                    raise InputError(why) from None
            inbox.wait(INTERVAL)
            if not inbox.is_empty:
                return None

    def _branches(self, tail: Tail) -> Iterator[Event]:
        """Yield new events; after a resume those of the whole run again."""
        for event in tail.new():
            if isinstance(event, RunResumed):
                yield RunReread()
                yield from tail.past()
                return
            yield event

    def _seen(self, events: Iterable[Event]) -> Iterator[Event]:
        for event in events:
            self._is_killed = False
            match event:
                case StepDone():
                    self._step = event.step
                case RunFinished() | RunFailed():
                    self._is_over = True
                    # A process in the background loads PyTorch before it takes the lock.
                    is_detached = isinstance(event, RunFinished) and event.reason == "detached"
                    self._wait = TAKEOVER_SECONDS if is_detached else math.inf
                case RunResumed():
                    self._is_over, self._wait = False, 0.0
                case CommandApplied() | CommandRejected():
                    self._pending.pop(event.request, None)
            yield event

    def _check(self, tail: Tail, now: float) -> Iterator[Event]:
        """Check the trainer, the folder, the checkpoint, and commands without an answer.

        Raises:
            InputError: If the folder is gone.
        """
        if not tail.is_there:
            if self._ended is not None and (why := self._ended()):
                raise InputError(why)
            raise path_error(
                self.folder.path,
                "moved or deleted while it was followed; if it was moved, attach to its new name",
            )
        with suppress(OSError):
            found = self.folder.checkpoint("last").stat()
            self.checkpoint = (found.st_mtime_ns, found.st_ino)
        if Lock.is_held(self.folder.lock):
            self._free_since = None
        elif not self._is_killed and not (self._ended is not None and not self._ended()):
            self._free_since = now if self._free_since is None else self._free_since
            # The end is recorded before the lock is released: read once more.
            yield from self._seen(self._branches(tail))
            if now - self._free_since >= (self._wait if self._is_over else 0.0):
                self._is_killed = True
                yield StateChanged(state="killed", step=self._step, detail=NO_TRAINER)
        for request, (name, sent_at) in list(self._pending.items()):
            if now - sent_at >= CONFIRM_SECONDS:
                del self._pending[request]
                yield self._rejected(name, request, UNCONFIRMED)

    def _send(self, command: Command) -> Iterator[Event]:
        """Write a command for the trainer."""
        request = secrets.token_hex(8)
        if not Lock.is_held(self.folder.lock):
            yield self._rejected(name_of(command), request, "no process trains this run now")
            return
        try:
            command_file.append(
                self.folder.commands, replace(command, by=self._by, request=request)
            )
        except OSError as error:
            problem = f"commands.jsonl cannot be written: {reason(error)}"
            yield self._rejected(name_of(command), request, problem)
        else:
            self._pending[request] = (name_of(command), self._clock())

    def _rejected(self, name: str, request: str, problem: str) -> CommandRejected:
        return CommandRejected(
            command=name, reason=problem, step=self._step, by=self._by, request=request
        )
