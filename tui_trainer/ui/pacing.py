"""How often the window is updated: less often when painting costs more than its budget."""

from __future__ import annotations

import time
from collections.abc import Callable

BUDGET = 0.02
"""The share of one core's time that painting and event handling may take."""

FASTEST, SLOWEST = 0.24, 2.0
"""The least and the greatest number of seconds between two updates."""

STEP = 1.5
"""The most the interval grows or shrinks by at once."""

SPAN = 2.0
"""Seconds over which the cost is measured."""


class Governor:
    """Measures the CPU time of the window's thread, and sets the time between two updates.

    Must be called on the window's own thread: that is the one whose time it reads.

    Attributes:
        cost: The share of one core that the window took over the last span, 0 to 1.
        interval: Seconds between two updates.
    """

    def __init__(
        self,
        budget: float = BUDGET,
        *,
        clock: Callable[[], float] = time.monotonic,
        cpu_time: Callable[[], float] = time.thread_time,
    ) -> None:
        self.cost = 0.0
        self.interval = FASTEST
        self._budget = budget
        self._clock = clock
        self._cpu_time = cpu_time
        self._since: tuple[float, float] | None = None
        self._is_starting = True

    def update(self) -> None:
        """Measure, once a span has passed, and go to the interval that the budget allows."""
        now, spent = self._clock(), self._cpu_time()
        if self._since is None:
            self._since = now, spent
            return
        then, spent_then = self._since
        if now - then < SPAN:
            return
        self.cost = (spent - spent_then) / (now - then)
        self._since = now, spent
        if self._is_starting:
            # Building the window costs more than keeping it, and is paid once.
            self._is_starting = False
            return
        # An update costs about the same however many there are: this interval would just do.
        just_enough = self.interval * self.cost / self._budget
        step = min(self.interval * STEP, max(self.interval / STEP, just_enough))
        self.interval = min(SLOWEST, max(FASTEST, step))


class Pace:
    """Says when the next turn is due; what comes late does not make the one after it later.

    Steps end when they end: who counted the seconds from the last turn would always wait for a
    part of a step more than was meant.
    """

    def __init__(self) -> None:
        self._due = float("-inf")

    def is_due(self, now: float, interval: float) -> bool:
        """Return whether a turn is due; if it is, it is taken as had."""
        if now < self._due:
            return False
        self._due = max(self._due + interval, now)
        return True

    def restart(self, now: float, interval: float) -> None:
        """Count a turn that was had out of turn."""
        self._due = now + interval
