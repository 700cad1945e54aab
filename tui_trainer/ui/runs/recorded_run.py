"""A recorded run on a time axis: play, pause and seek."""

from __future__ import annotations

import bisect
from collections.abc import Mapping, Sequence
from types import MappingProxyType

from tui_trainer.history.history import History
from tui_trainer.protocol.config import RunConfig
from tui_trainer.protocol.errors import InputError
from tui_trainer.protocol.events import EpochDone, Event, FindingRaised, StepDone
from tui_trainer.protocol.probed import SampleProbed, UpdateProbed
from tui_trainer.recording.folder import RunFolder
from tui_trainer.ui.runs.findings_selection import FindingsSelection

SPEEDS = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000)
"""Playback speeds, as multiples of the training speed."""

JUMP = 1 / 20
"""The share of the whole run that a jump covers."""

GRACE = 1.0
"""Real seconds after an epoch ended in which "epoch back" goes to the epoch before it."""


class RecordedRun:
    """The events of a finished run, and its history at one position.

    The time axis is training time, from the steps. An event between two steps has the time of the
    first one.

    Attributes:
        name: The name of the run.
        config: The settings that it started with.
        history: The state of the run at :attr:`position`.
        selection: The findings at that position: which are shown, which is chosen.
        is_probed: Whether gradients and activations were sampled.
        wanted: Empty: nobody can set its knobs.
        seeds_behind: Empty: it is shown alone.
        position: Seconds on the axis, from 0 to :attr:`total`.
        total: Seconds of the whole run.
        speed: Multiple of the training speed.
        is_paused: Whether the user paused it.
    """

    is_live = False
    seeds_behind: tuple[History, ...] = ()
    role = by = ""

    def __init__(
        self, name: str, config: RunConfig, events: Sequence[Event], *, speed: float = 10.0
    ) -> None:
        self.name = name
        self.config = config
        self.history = History()
        self.selection = FindingsSelection(self.history)
        self.is_probed = any(isinstance(e, UpdateProbed | SampleProbed) for e in events)
        self.requested: Mapping[str, float] = MappingProxyType({})
        self.speed = speed
        self.is_paused = False
        self.position = 0.0
        self._events = events
        self._times = time_axis(events)
        self.total = self._times[-1] if self._times else 0.0
        pairs = zip(events, self._times, strict=True)
        self._epoch_ends = [time for event, time in pairs if isinstance(event, EpochDone)]
        self._next = 0
        self.seek(0.0)

    @property
    def is_at_end(self) -> bool:
        """Whether the position is the end of the run."""
        return self.position >= self.total

    @property
    def is_playing(self) -> bool:
        """Whether the position advances with time."""
        return not self.is_paused and not self.is_at_end

    def fixable(self) -> FindingRaised | None:
        """Return None: a recorded run cannot be fixed."""
        return None

    def toggle(self) -> None:
        """Play or pause; at the end, play again from the start."""
        if self.is_at_end:
            self.seek(0.0)
            self.is_paused = False
        else:
            self.is_paused = not self.is_paused

    def advance(self, seconds: float) -> Sequence[Event]:
        """Advance by that many real seconds, and return the events in between."""
        if not self.is_playing or seconds <= 0:
            return ()
        return self._apply_to(self.position + seconds * self.speed)

    def seek(self, seconds: float) -> None:
        """Go to a position, clamped to the run."""
        target = min(self.total, max(0.0, seconds))
        if target < self.position:
            self.history, self._next = History(), 0
            self.selection.history = self.history
        self._apply_to(target)

    def jump(self, direction: int) -> None:
        """Go forward (1) or back (-1) by a twentieth of the run."""
        self.seek(self.position + direction * JUMP * self.total)

    def next_epoch(self) -> None:
        """Go to the end of this epoch, or of the run in the last epoch."""
        place = bisect.bisect_right(self._epoch_ends, self.position)
        self.seek(self._epoch_ends[place] if place < len(self._epoch_ends) else self.total)

    def previous_epoch(self) -> None:
        """Go to the start of this epoch; shortly after its start, to that of the previous epoch."""
        grace = GRACE * self.speed if self.is_playing else 0.0
        place = bisect.bisect_left(self._epoch_ends, self.position - grace)
        self.seek(self._epoch_ends[place - 1] if place else 0.0)

    def change_speed(self, direction: int) -> None:
        """Choose the next higher (1) or lower (-1) speed, if there is one."""
        if direction > 0:
            self.speed = next((speed for speed in SPEEDS if speed > self.speed), self.speed)
        else:
            lower = (speed for speed in reversed(SPEEDS) if speed < self.speed)
            self.speed = next(lower, self.speed)

    def _apply_to(self, position: float) -> Sequence[Event]:
        self.position = min(self.total, position)
        end = bisect.bisect_right(self._times, self.position, lo=self._next)
        passed = self._events[self._next : end]
        for event in passed:
            self.selection.observe(event)
            self.history.apply(event)
        self._next = end
        return passed


def time_axis(events: Sequence[Event]) -> list[float]:
    """Return the time of each event in seconds of training; it never decreases.

    After a rewind the seconds of a run start again from the checkpoint; the axis continues.
    """
    times: list[float] = []
    now, last = 0.0, 0.0
    for event in events:
        if isinstance(event, StepDone):
            # NaN compares as False: such a step takes no time.
            if event.seconds > last:
                now += event.seconds - last
            if event.seconds >= 0:
                last = event.seconds
        times.append(now)
    return times


def open_run(folder: RunFolder, *, speed: float = 10.0) -> RecordedRun:
    """Read a run for a replay.

    Raises:
        InputError: If the run cannot be read, or has no step.
    """
    config, recorded = folder.read_config(), folder.read_events()
    if not any(isinstance(event, StepDone) for event in recorded.events):
        raise InputError(
            f"{folder.name}: the run has no training step, so there is nothing to replay"
        )
    return RecordedRun(folder.name, config, recorded.events, speed=speed)
