"""The training thread: it iterates over the engine's events and posts them to the app."""

from __future__ import annotations

import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator

from textual.message import Message

from tui_trainer.protocol.closing import closing
from tui_trainer.protocol.errors import InputError
from tui_trainer.protocol.events import DecodeProgress, DownloadProgress, Event, RunFailed, StepDone
from tui_trainer.ui.pacing import FASTEST, Pace

SWITCH_INTERVAL = 0.0005
"""Seconds a thread may hold the interpreter while another waits.

The training thread releases the GIL at every operator. With Python's default of 5 ms, waiting to
get it back at some of the forty operators of a step makes the window cost a fifth of the training
time.
"""


class EventsArrived(Message):
    """Events of a run, oldest first; ``source`` identifies the run."""

    def __init__(self, events: tuple[Event, ...], source: Bridge) -> None:
        super().__init__()
        self.events = events
        self.source = source


class RunRejected(Message):
    """The run cannot start: the input is invalid."""

    def __init__(self, reason: str) -> None:
        super().__init__()
        self.reason = reason


class Bridge:
    """Runs an engine on a separate thread and posts its events in groups.

    ``StepDone`` events are collected and posted every ``interval`` seconds; any other event is
    posted at once, together with the steps before it. This thread never waits for the app.

    Attributes:
        interval: Seconds between two posts of steps; the app may change it at any time.
    """

    def __init__(
        self,
        events: Iterator[Event],
        post: Callable[[Message], object],
        *,
        interval: float = FASTEST,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.interval = interval
        self._events = events
        self._post = post
        self._clock = clock
        self._is_left = False
        self._steps: list[Event] = []
        self._pace = Pace()
        self._thread = threading.Thread(target=self._run, name="training", daemon=True)

    def start(self) -> None:
        """Start training."""
        sys.setswitchinterval(SWITCH_INTERVAL)
        self._thread.start()

    def join(self, timeout: float) -> bool:
        """Wait at most ``timeout`` seconds for the thread; return whether it has ended."""
        if self.has_started:
            self._thread.join(timeout)
        return not self._thread.is_alive()

    @property
    def has_started(self) -> bool:
        """Whether the thread was started."""
        return self._thread.ident is not None

    @property
    def is_alive(self) -> bool:
        """Whether the thread is running."""
        return self._thread.is_alive()

    def leave(self) -> None:
        """Stop iterating at the next event."""
        self._is_left = True

    def _run(self) -> None:
        try:
            with closing(self._events):
                for event in self._events:
                    if self._is_left:
                        break
                    self._take(event)
        except InputError as error:
            self._post(RunRejected(str(error)))
        except MemoryError:
            self._fail("out of memory: use a smaller batch size", traceback.format_exc())
        except Exception as error:
            # A model or a library may raise anything; the app must survive to show it.
            self._fail(f"{type(error).__name__}: {error}", traceback.format_exc())

    def _fail(self, message: str, details: str) -> None:
        self._take(RunFailed(message=" ".join(message.split()), traceback=details))

    def _take(self, event: Event) -> None:
        self._steps.append(event)
        now = self._clock()
        can_wait = isinstance(event, StepDone | DownloadProgress | DecodeProgress)
        if not can_wait:
            self._pace.restart(now, self.interval)
        elif not self._pace.is_due(now, self.interval):
            return
        self._post(EventsArrived(tuple(self._steps), self))
        self._steps.clear()
