"""The histories of the runs on the Runs screen: a thread reads them, and follows those that grow.

The thread parses the events; only the app's thread changes a history that it has been given.
"""

from __future__ import annotations

import os
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from textual.message import Message

from tui_trainer.findings.learning_rates import noise_scale
from tui_trainer.history.history import History
from tui_trainer.protocol.errors import InputError, path_error, reason
from tui_trainer.protocol.events import Event, RunResumed, StepDone
from tui_trainer.recording.folder import RunFolder
from tui_trainer.recording.follower import Tail

INTERVAL = 0.5
"""Seconds between two polls of the events of the wanted runs."""

MOST_WANTED = 40
"""The most runs whose histories are wanted at once; each holds an open file."""

MOST_KEPT = 64
"""The most histories in memory, the wanted ones included. A history takes about 0.3 MB."""

Stamp = tuple[int, int]
"""The inode and the size of a file of events: equal if nothing was appended."""


@dataclass(slots=True)
class ReadRun:
    """What was read of a run.

    Attributes:
        history: Its history; None if it cannot be read.
        error: Why it cannot be read; empty if it can.
        noise: The gradient noise scale in images when it was read; None where it is unknown.
        stamp: The state of its file when it was read.
        changes: How many times the history has changed.
    """

    history: History | None
    error: str = ""
    noise: float | None = None
    stamp: Stamp = (0, 0)
    changes: int = 0


class RunRead(Message):
    """A run was read as a whole."""

    def __init__(self, path: Path, run: ReadRun) -> None:
        super().__init__()
        self.path, self.run = path, run


class RunGrew(Message):
    """Events were appended to a run that had been read."""

    def __init__(self, path: Path, events: tuple[Event, ...], stamp: Stamp) -> None:
        super().__init__()
        self.path, self.events, self.stamp = path, events, stamp

    @property
    def has_only_steps(self) -> bool:
        """Whether nothing but batches was trained: then the curves need not be drawn at once."""
        return all(isinstance(event, StepDone) for event in self.events)


class RunReader:
    """Reads the wanted runs on one thread, in their order, and follows them.

    The histories that were wanted last are kept; memory is bounded.

    Args:
        post: Posts a message to the screen, from any thread.
        interval: Seconds between two polls.
    """

    def __init__(self, post: Callable[[Message], object], *, interval: float = INTERVAL) -> None:
        self._post = post
        self._interval = interval
        self._kept: OrderedDict[Path, ReadRun] = OrderedDict()
        self._wanted: Mapping[Path, Stamp] = MappingProxyType({})
        self._wake = threading.Event()
        self._is_closed = False
        self._thread: threading.Thread | None = None

    def want(self, folders: Iterable[RunFolder]) -> None:
        """Read these runs, at most :data:`MOST_WANTED`, and follow them; stop following others."""
        paths = list(dict.fromkeys(folder.path for folder in folders))[:MOST_WANTED]
        if paths == list(self._wanted):
            return
        for path in reversed(paths):
            if path in self._kept:
                self._kept.move_to_end(path)
        stamps = {path: run.stamp for path, run in self._kept.items()}
        self._wanted = MappingProxyType({path: stamps.get(path, (0, 0)) for path in paths})
        if paths and self._thread is None:
            self._thread = threading.Thread(target=self._read_all, name="runs", daemon=True)
            self._thread.start()
        self._wake.set()

    def get(self, folder: RunFolder) -> ReadRun | None:
        """Return what was read of a run; None if it has not been read yet."""
        return self._kept.get(folder.path)

    def forget(self, folder: RunFolder) -> None:
        """Drop a run that was renamed or deleted."""
        self._kept.pop(folder.path, None)
        self.want(RunFolder(path) for path in self._wanted if path != folder.path)

    def take(self, message: RunRead | RunGrew) -> None:
        """Apply a message of the thread."""
        if isinstance(message, RunRead):
            before = self._kept.get(message.path)
            message.run.changes = before.changes + 1 if before else 0
            self._kept[message.path] = message.run
            self._kept.move_to_end(message.path)
            unwanted = [path for path in self._kept if path not in self._wanted]
            for path in unwanted[: max(0, len(self._kept) - MOST_KEPT)]:
                del self._kept[path]
            return
        run = self._kept.get(message.path)
        if run is not None and run.history is not None:
            for event in message.events:
                run.history.apply(event)
            run.stamp, run.changes = message.stamp, run.changes + 1

    def close(self) -> None:
        """End the thread."""
        self._is_closed = True
        self._wake.set()

    def join(self, timeout: float) -> None:
        """Wait for the thread, at most ``timeout`` seconds."""
        if self._thread is not None:
            self._thread.join(timeout)

    def _read_all(self) -> None:
        """Read and follow what is wanted, until the reader is closed."""
        tails: dict[Path, Tail | None] = {}
        while not self._is_closed:
            wanted = self._wanted
            for path in [path for path in tails if path not in wanted]:
                if (tail := tails.pop(path)) is not None:
                    tail.close()
            for path, stamp in wanted.items():
                if self._wanted is not wanted or self._is_closed:
                    break
                if path not in tails:
                    self._open(path, stamp, tails)
                elif (tail := tails[path]) is not None:
                    self._follow(path, tail)
            else:
                self._wake.wait(self._interval if tails else None)
            self._wake.clear()
        for tail in tails.values():
            if tail is not None:
                tail.close()

    def _open(self, path: Path, stamp: Stamp, tails: dict[Path, Tail | None]) -> None:
        """Open the events of a run, and read them unless they are as they were."""
        events = RunFolder(path).events
        try:
            tail = Tail(events)
        except OSError as error:
            problem = path_error(events, f"cannot be read: {reason(error)}")
            self._post(RunRead(path, ReadRun(None, str(problem))))
            tails[path] = None
            return
        if stamp == _stamp(events) or self._read(path, tail):
            tails[path] = tail
        else:
            tail.close()

    def _read(self, path: Path, tail: Tail) -> bool:
        """Read a run as a whole; return False if it is no longer wanted before that is done."""
        history, stamp = History(), _stamp(RunFolder(path).events)
        try:
            for events in tail.past():
                for event in events:
                    history.apply(event)
                if path not in self._wanted or self._is_closed:
                    return False
        except (InputError, OSError) as error:
            self._post(RunRead(path, ReadRun(None, str(error), stamp=stamp)))
            return True
        run = ReadRun(history, noise=noise_scale(history), stamp=stamp)
        if history.is_over:
            for probes in (history.updates, history.samples, history.loops):
                probes.clear()  # they take more memory than the curves
        self._post(RunRead(path, run))
        return True

    def _follow(self, path: Path, tail: Tail) -> None:
        stamp = _stamp(RunFolder(path).events)
        try:
            events = tuple(tail.new())
        except (InputError, OSError) as error:
            self._post(RunRead(path, ReadRun(None, str(error))))
            return
        if any(isinstance(event, RunResumed) for event in events):
            self._read(path, tail)  # a resume can go back behind a rewind
        elif events:
            self._post(RunGrew(path, events, stamp))


def _stamp(path: Path) -> Stamp:
    """Return the state of a file; of a missing one one that no file has."""
    try:
        found = os.stat(path)
    except OSError:
        return (-1, -1)
    return (found.st_ino, found.st_size)
