"""Which workers of a sweep are alive: by their heartbeats, and on this machine by their process.

Each worker writes a heartbeat into the record of its trial. Clocks of machines differ, so no times
of two machines are compared: a worker counts as dead when an observer has seen the same heartbeat
for :data:`GRACE` seconds by its clock. Time in which the observer could not read the storage, or
was suspended, does not count: the others may have had the same trouble.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

from tui_trainer.recording.lock import lives, this_process

BEAT = 15.0
"""Seconds between two heartbeats."""

GRACE = 8 * BEAT
"""Seconds without a heartbeat after which a worker on another machine counts as dead.

A process of another machine that ends while it writes to the journal keeps all others waiting for
half of that.
"""


class Liveness:
    """Observes heartbeats, and decides which are too old.

    Args:
        beat: Seconds between two heartbeats.
        grace: Seconds without one after which a worker counts as dead.
        clock: A monotonic clock, in seconds.
    """

    def __init__(
        self,
        beat: float = BEAT,
        grace: float = GRACE,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.beat = beat
        self.grace = grace
        self._clock = clock
        self._observed_at: float | None = None
        self._beats: dict[int, object] = {}
        self._ages: dict[int, float] = {}

    def observe(self, beats: Mapping[int, object]) -> None:
        """Take the last heartbeats of all running trials, by the ids of their records."""
        now = self._clock()
        passed = 0.0 if self._observed_at is None else now - self._observed_at
        self._observed_at = now
        passed = min(passed, 2 * self.beat)
        for record, beat in beats.items():
            is_same = record in self._beats and self._beats[record] == beat
            self._ages[record] = self._ages[record] + passed if is_same else 0.0
        self._beats = dict(beats)

    def is_alive(self, record: int, process: Mapping[str, Any]) -> bool:
        """Return whether the worker of a running trial is alive.

        Args:
            record: The id of the record of the trial.
            process: What :func:`this_process` returned in the worker.
        """
        is_here = process.get("machine") == this_process()["machine"]
        if is_here and not lives({**process, "beat": time.time()}):
            return False
        return self._ages.get(record, 0.0) < self.grace
