"""Hooks: commands that run when a run ends, or when a finding is raised.

A command runs on a thread that only waits for it, one at a time, so training never waits. What goes
wrong with it becomes a ``HookFailed`` event, and nothing else.
"""

from __future__ import annotations

import dataclasses
import json
import os
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

from tui_trainer.headless.hook_command import POLL_SECONDS, run_command
from tui_trainer.history.run_state import RunState
from tui_trainer.protocol.commands import Inbox, Stop
from tui_trainer.protocol.errors import InputError, reason
from tui_trainer.protocol.events import (
    Event,
    FindingCleared,
    FindingRaised,
    HookFailed,
    RecordRead,
    RunFailed,
    RunFinished,
    StateChanged,
    plain,
)
from tui_trainer.recording.summary import summary_of
from tui_trainer.version import __version__

LIMIT = 60.0
"""Seconds that a command may take."""

MAX_WAITING = 16
"""The commands that wait for the one that runs; further findings start none."""

ON_END, ON_FINDING = "on-end", "on-finding"

_SEVERITIES = ("error", "warning")

_NOT_AN_END = "detached"
"""The reason for an end after which another process continues the run."""

_ANNOUNCED_AFTER = 1.0
"""Seconds of waiting after which the wait is announced."""


class Hooks:
    """The commands of ``--on-end`` and ``--on-finding``.

    Args:
        on_end: The command for the end of a run; None for none.
        on_finding: The command for a new finding that is an error or a warning.
        limit: Seconds that a command may take.

    Attributes:
        report: Gets each failure on the thread that waits; without it, they are yielded as events.
    """

    def __init__(
        self, on_end: str | None = None, on_finding: str | None = None, *, limit: float = LIMIT
    ) -> None:
        self.report: Callable[[HookFailed], object] | None = None
        self._commands = {ON_END: on_end, ON_FINDING: on_finding}
        self._limit = limit
        self._changed = threading.Condition()
        self._waiting: deque[tuple[str, str]] = deque()
        self._running: str | None = None
        self._thread: threading.Thread | None = None
        self._is_canceled = False
        self._is_full = False
        self._failures: deque[HookFailed] = deque()

    @property
    def options(self) -> dict[str, str | None]:
        """The commands by the name of their option, for a process that continues the run."""
        return {"on_end": self._commands[ON_END], "on_finding": self._commands[ON_FINDING]}

    def watch(
        self, events: Iterator[Event], past: Iterable[Event] = (), inbox: Inbox | None = None
    ) -> Iterator[Event]:
        """Yield a run's events, start commands after them, and yield the failures of commands.

        Args:
            events: The run.
            past: The events from before it was resumed; they start no command.
            inbox: After the last event, wait for the commands; a ``Stop`` in this inbox ends the
                wait. None does not wait.
        """
        return self._watched(events, past, inbox) if any(self._commands.values()) else events

    def _watched(
        self, events: Iterator[Event], past: Iterable[Event], inbox: Inbox | None
    ) -> Iterator[Event]:
        run = RunState.of(past)
        known = {code for code, found in run.findings.items() if found.severity in _SEVERITIES}
        try:
            for event in events:
                run.apply(event)
                self._start_after(event, run, known)
                yield event
                yield from self._reported()
        except InputError:
            raise
        except Exception as error:
            if run.finished is None and run.failure is None:
                run.apply(RunFailed(message=f"{type(error).__name__}: {error}", traceback=""))
                self._add(ON_END, run)
            yield from self._finished(run, inbox)
            raise
        yield from self._finished(run, inbox)

    def _start_after(self, event: Event, run: RunState, known: set[str]) -> None:
        match event:
            case FindingRaised() if event.severity in _SEVERITIES and event.code not in known:
                known.add(event.code)
                self._add(ON_FINDING, run, event)
            case FindingCleared():
                known.discard(event.code)
            case RecordRead():
                known |= {c for c, found in run.findings.items() if found.severity in _SEVERITIES}
            case StateChanged(state="killed"):
                self._add(ON_END, run)
            case RunFinished() if event.reason != _NOT_AN_END:
                self._add(ON_END, run)
            case RunFailed():
                self._add(ON_END, run)

    def _add(self, hook: str, run: RunState, finding: FindingRaised | None = None) -> None:
        if not self._commands[hook]:
            return
        text = json.dumps(hook_record(run, finding), allow_nan=False)
        with self._changed:
            if hook == ON_END:
                self._waiting.appendleft((hook, text))
            elif len(self._waiting) < MAX_WAITING:
                self._waiting.append((hook, text))
                self._is_full = False
            elif not self._is_full:
                self._is_full = True
                self._fail(hook, f"{MAX_WAITING} commands are waiting; further findings start none")
            if self._thread is None:
                self._start_thread(hook)
            self._changed.notify_all()

    def _start_thread(self, hook: str) -> None:
        thread = threading.Thread(target=self._work, name="hooks", daemon=True)
        try:
            thread.start()
        except RuntimeError as error:  # no memory, or too many threads
            self._waiting.clear()
            self._fail(hook, f"cannot start: {reason(error)}")
        else:
            self._thread = thread

    def _work(self) -> None:
        while True:
            with self._changed:
                self._running = None
                self._changed.notify_all()
                while not self._waiting:
                    self._changed.wait()
                self._running, text = self._waiting.popleft()
            if problem := self._run(self._commands[self._running] or "", text):
                self._fail(self._running, problem)

    def _run(self, command: str, text: str) -> str:
        try:
            return run_command(
                command, text, limit=self._limit, is_canceled=lambda: self._is_canceled
            )
        except Exception as error:  # this thread has to serve the next command
            return reason(error)

    def _fail(self, hook: str, message: str) -> None:
        failure = HookFailed(hook=hook, message=message)
        if self.report is None:
            self._failures.append(failure)
        else:
            self.report(failure)

    def _reported(self) -> Iterator[HookFailed]:
        while self._failures:
            yield self._failures.popleft()

    def _finished(self, run: RunState, inbox: Inbox | None) -> Iterator[HookFailed]:
        if inbox is not None:
            inbox.take(run.step)  # what came before the end does not end the wait
            self.finish(lambda: any(isinstance(it, Stop) for it in inbox.take(run.step)))
        yield from self._reported()

    def finish(self, is_stopped: Callable[[], bool] = lambda: False) -> None:
        """Wait for the command of the end, at most its limit, and for others in that time.

        Afterwards the running one is killed, and those that wait are dropped.

        Args:
            is_stopped: Whether to end the wait now.
        """
        started = time.monotonic()
        is_announced = False
        try:
            while self._is_busy(until=started + self._limit) and not is_stopped():
                is_long = time.monotonic() - started > _ANNOUNCED_AFTER
                if is_long and not is_announced and _is_main_thread():
                    is_announced = True
                    _announce(f"waiting for the command of --{self._running}; Ctrl+C ends it")
        finally:
            self._cancel()

    def _is_busy(self, until: float) -> bool:
        """Wait a moment for the commands, and return whether to wait for more."""
        with self._changed:
            if self._running or self._waiting:
                self._changed.wait(POLL_SECONDS)
            if any(hook == ON_END for hook, _ in self._waiting) or self._running == ON_END:
                return True
            return bool(self._running or self._waiting) and time.monotonic() < until

    def _cancel(self) -> None:
        with self._changed:
            dropped = len(self._waiting)
            self._waiting.clear()
            self._is_canceled = True
            self._changed.wait_for(lambda: self._running is None, timeout=2.0)
        if dropped:
            self._fail(ON_FINDING, f"commands that were not started: {dropped}")


def hook_record(run: RunState, finding: FindingRaised | None = None) -> dict[str, Any]:
    """Return the standard input of a hook as a JSON object.

    It has ``event`` (``end`` or ``finding``), ``folder`` (absolute; None if the run is not
    recorded), the fields of ``summary.json``, ``failure`` (the message of a run that failed), and
    ``finding``: the ``FindingRaised`` event.
    """
    folder = None if run.folder is None else os.path.abspath(run.folder)
    now = datetime.now(UTC).isoformat(timespec="milliseconds")
    summary = dataclasses.asdict(summary_of(run, version=__version__, updated_at=now))
    # The recorder alone knows them.
    for name in ("started_at", "recorded_in", "settings", "target_reached"):
        del summary[name]
    record = {
        "event": "end" if finding is None else "finding",
        "folder": folder,
        **summary,
        "failure": None if run.failure is None else run.failure.message,
        "finding": None if finding is None else dataclasses.asdict(finding),
    }
    found: dict[str, Any] = plain(record)
    return found


def _is_main_thread() -> bool:
    """Return whether the main thread waits: another one does while a window may still be open."""
    return threading.current_thread() is threading.main_thread()


def _announce(text: str) -> None:
    with suppress(OSError, ValueError):
        print(text, file=sys.stderr, flush=True)
