"""The one thread of the app: it asks the engine for events and posts them to the window."""

from __future__ import annotations

import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator

from textual.message import Message

from tui_trainer.protocol.errors import InputError
from tui_trainer.protocol.events import DownloadProgress, Event, RunFailed, StepDone
from tui_trainer.ui.pacing import FASTEST, Pace

SWITCH_INTERVAL = 0.0005
"""Seconds a thread may hold the interpreter while another waits.

The training thread gives the interpreter up at every operator. Python's usual 5 ms, waited for at
some of forty operators a step, is what makes a window cost a fifth of the training.
"""


class EventsArrived(Message):
    """Something happened in the run; oldest first. ``source`` tells which run it was."""

    def __init__(self, events: tuple[Event, ...], source: Bridge) -> None:
        super().__init__()
        self.events = events
        self.source = source


class RunRejected(Message):
    """The run cannot begin: what was given cannot be used."""

    def __init__(self, reason: str) -> None:
        super().__init__()
        self.reason = reason


class Bridge:
    """Runs an engine on a thread of its own and posts what it says, in batches.

    Steps are collected and posted every ``interval`` seconds; everything else is posted at once,
    with the steps before it. Nothing here waits for the window.

    Attributes:
        interval: Seconds between two posts of steps. The window may change it at any time.
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
        self._steps: list[Event] = []
        self._pace = Pace()
        self._thread = threading.Thread(target=self._run, name="training", daemon=True)

    def start(self) -> None:
        """Begin to train."""
        sys.setswitchinterval(SWITCH_INTERVAL)
        self._thread.start()

    def join(self, timeout: float) -> bool:
        """Wait for the training to end, ``timeout`` seconds at most; return whether it has."""
        if self._thread.ident is not None:
            self._thread.join(timeout)
        return not self._thread.is_alive()

    @property
    def is_alive(self) -> bool:
        """Whether the engine still works."""
        return self._thread.is_alive()

    def _run(self) -> None:
        try:
            for event in self._events:
                self._take(event)
        except InputError as error:
            self._post(RunRejected(str(error)))
        except MemoryError:
            self._fail("out of memory: a smaller batch size needs less", traceback.format_exc())
        except Exception as error:
            # Whatever a network or a library raises, the window must live to show it.
            self._fail(f"{type(error).__name__}: {error}", traceback.format_exc())

    def _fail(self, message: str, details: str) -> None:
        self._take(RunFailed(message=" ".join(message.split()), traceback=details))

    def _take(self, event: Event) -> None:
        self._steps.append(event)
        now = self._clock()
        can_wait = isinstance(event, StepDone | DownloadProgress)
        if not can_wait:
            self._pace.restart(now, self.interval)
        elif not self._pace.is_due(now, self.interval):
            return
        self._post(EventsArrived(tuple(self._steps), self))
        self._steps.clear()
