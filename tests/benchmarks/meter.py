"""The meter of a contender: it records the time of each step."""

from __future__ import annotations

import dataclasses
import json
import resource
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

from tests.benchmarks.measure import write_json

WARM_SECONDS = 1.5
WARM_STEPS = 3
EPOCH_IMAGES = 60_000


@dataclass(frozen=True, slots=True)
class Report:
    """The measurements of a slice; times are seconds of the machine's monotonic clock.

    Attributes:
        images_per_second: The speed between ``began`` and ``ended``.
        step_seconds: The median duration of a step.
        first_step: The end of the first step.
        began: The end of the warm-up.
        ended: The end of the slice.
        cpu_seconds: The CPU time of all threads between ``began`` and ``ended``.
        rss_mb: The process's peak resident memory, in MB.
        threads: Threads of torch.
        changes: The times and values of new learning rates.
    """

    images_per_second: float
    step_seconds: float
    first_step: float
    began: float
    ended: float
    cpu_seconds: float
    rss_mb: float
    threads: int
    changes: list[tuple[float, float]] = field(default_factory=list)

    @property
    def epoch_seconds(self) -> float:
        """The seconds for all 60,000 images at that speed."""
        return EPOCH_IMAGES / self.images_per_second

    @property
    def images_per_cpu_second(self) -> float:
        """The images per second of CPU time: other processes on the same cores hardly change it."""
        return self.images_per_second * (self.ended - self.began) / self.cpu_seconds

    @classmethod
    def read(cls, path: Path) -> Report:
        """Return a contender's report.

        Raises:
            OSError: If there is none.
        """
        fields = json.loads(path.read_text(encoding="utf-8"))
        changes = [(float(at), float(lr)) for at, lr in fields.pop("changes")]
        return cls(**fields, changes=changes)


class Meter:
    """Counts steps through a warm-up and then for a number of seconds.

    Args:
        seconds: The duration of the measurement.
        marker: A file to create when the warm-up ends.
        clock: A monotonic clock.
        gate: A file without which the warm-up does not end.

    Attributes:
        finished: Whether the time is up.
        threads: Threads of torch, set by the contender.
        changes: The times and values of new learning rates, set by the contender.
    """

    def __init__(
        self,
        seconds: float,
        marker: Path | None = None,
        clock: Callable[[], float] = time.monotonic,
        *,
        gate: Path | None = None,
    ) -> None:
        self.finished = False
        self.threads = 0
        self.changes: list[tuple[float, float]] = []
        self._seconds = seconds
        self._marker = marker
        self._gate = gate
        self._clock = clock
        self._first = 0.0
        self._steps = 0
        self._images = 0
        self._times: list[float] = []
        self._cpu_began = self._cpu_ended = 0.0

    def step(self, images: int) -> bool:
        """Record a step; return whether the time is up."""
        now = self._clock()
        self._steps += 1
        if self._times:
            self._times.append(now)
            self._images += images
            self.finished = now - self._times[0] >= self._seconds
            if self.finished:
                self._cpu_ended = time.process_time()
            return self.finished
        if self._steps == 1:
            self._first = now
        elif self._steps >= WARM_STEPS and now - self._first >= WARM_SECONDS and self._is_open():
            self._times.append(now)
            self._cpu_began = time.process_time()
            if self._marker is not None:
                self._marker.touch()
        return False

    def _is_open(self) -> bool:
        return self._gate is None or self._gate.exists()

    def report(self) -> Report:
        """Return the measurements.

        Raises:
            RuntimeError: If the training ended before the time was up.
        """
        if not self.finished:
            raise RuntimeError("the training ended before its time was up")
        began, ended = self._times[0], self._times[-1]
        return Report(
            images_per_second=self._images / (ended - began),
            step_seconds=statistics.median(b - a for a, b in pairwise(self._times)),
            first_step=self._first,
            began=began,
            ended=ended,
            cpu_seconds=self._cpu_ended - self._cpu_began,
            rss_mb=peak_rss_mb(),
            threads=self.threads,
            changes=self.changes,
        )

    def write(self, path: Path) -> None:
        """Write the report as JSON.

        Raises:
            RuntimeError: If the training ended before the time was up.
        """
        write_json(path, dataclasses.asdict(self.report()))


def peak_rss_mb() -> float:
    """Return this process's largest resident memory in MB (10⁶ bytes)."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak * (1 if sys.platform == "darwin" else 1_024) / 1e6  # macOS counts in bytes
