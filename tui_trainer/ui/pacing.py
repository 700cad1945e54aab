"""The update interval of the window: longer if painting costs more than its budget."""

from __future__ import annotations

import time
from collections.abc import Callable

BUDGET = 0.02
"""The share of one core's time that painting and event handling may take."""

FASTEST, SLOWEST = 0.24, 2.0
"""The shortest and the longest interval between two updates, in seconds."""

STEP = 1.5
"""The largest factor by which the interval grows or shrinks at once."""

SPAN = 2.0
"""Seconds over which the cost is measured."""


class Governor:
    """Measures the CPU time of the app's thread, and sets the interval between two updates.

    Call it on the app's thread: it reads the CPU time of the calling thread.

    Attributes:
        cost: Share of one core that the app used during the last span, 0 to 1.
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
        """Measure once per span, and move towards the interval that the budget allows."""
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
            # Building the window costs more than updating it, but only once.
            self._is_starting = False
            return
        # The cost per update is roughly constant: this interval would just meet the budget.
        just_enough = self.interval * self.cost / self._budget
        step = min(self.interval * STEP, max(self.interval / STEP, just_enough))
        self.interval = min(SLOWEST, max(FASTEST, step))


class Pace:
    """A rate limit without drift: a late update does not delay the next one.

    Updates can happen only at the end of a step. Counting from the last update would add the rest
    of a step to every interval.
    """

    def __init__(self) -> None:
        self._due = float("-inf")

    def is_due(self, now: float, interval: float) -> bool:
        """Return whether an update is due; if so, count it as done."""
        if now < self._due:
            return False
        self._due = max(self._due + interval, now)
        return True

    def restart(self, now: float, interval: float) -> None:
        """Count an update that was made out of schedule."""
        self._due = now + interval
