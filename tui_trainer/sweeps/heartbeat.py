"""Heartbeats: how workers of a sweep know of each other that they are alive.

Each worker writes a heartbeat into the record of its trial. Clocks of machines differ, so no times
of two machines are compared: a worker counts as dead when an observer has seen the same heartbeat
for :data:`GRACE` seconds by its clock. Time in which the observer could not read the storage,
or was suspended, does not count: the others may have had the same trouble.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Any

from tui_trainer.recording.lock import lives, this_process
from tui_trainer.sweeps.errors import TakenOverError, StorageError

if TYPE_CHECKING:
    from tui_trainer.sweeps.study import Claim, Study

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


class Heartbeat:
    """Records heartbeats on a thread while a trial is trained, also between two batches.

    Args:
        study: The study.
        claim: The trial.
        ended: Called on the thread when the trial is lost to another worker, or the storage is
            away for too long; the worker must end its run.

    Attributes:
        error: Why it ended; None as long as all is well.
    """

    def __init__(self, study: Study, claim: Claim, ended: Callable[[], object]) -> None:
        self.error: TakenOverError | StorageError | None = None
        self._study = study
        self._claim = claim
        self._ended = ended
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._beat, name="heartbeat", daemon=True)

    def __enter__(self) -> Heartbeat:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._is_over.set()

    def _beat(self) -> None:
        while not self._is_over.wait(self._study.liveness.beat):
            try:
                self._study.heartbeat(self._claim)
            except (TakenOverError, StorageError) as error:
                if not self._is_over.is_set():  # otherwise the trial has ended meanwhile
                    self.error = error
                    self._ended()
                return
