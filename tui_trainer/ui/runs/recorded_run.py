"""A recorded run on a time axis: it plays, stands still, and jumps."""

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
"""Times as fast as it was trained."""

JUMP = 1 / 20
"""The share of the whole run that a jump goes."""

BREATH = 1.0
"""Real seconds after the end of an epoch in which "back" means the epoch before it."""


class RecordedRun:
    """The events of a run that is over, and the history as of one moment of it.

    The time axis is that of the steps: training time. What is told between two steps has the time
    of the first of them.

    Attributes:
        name: What it is called.
        config: The settings that it began with.
        history: What was true at :attr:`position`.
        standing: Its findings at that moment, as they are on show.
        is_probed: Whether gradients and activations were looked at.
        wanted: No wishes: nobody can turn its knobs.
        position: Seconds on the axis, from 0 to :attr:`total`.
        total: The seconds of the whole run.
        speed: Times as fast as it was trained.
        is_paused: Whether it stands still because a person wants it to.
    """

    is_live = False

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
        """Whether there is nothing more to come."""
        return self.position >= self.total

    @property
    def is_playing(self) -> bool:
        """Whether it moves by itself."""
        return not self.is_paused and not self.is_at_end

    def fixable(self) -> FindingRaised | None:
        """Return None: no key mends what is past."""
        return None

    def toggle(self) -> None:
        """Play, or stand still; from the end, play again from the start."""
        if self.is_at_end:
            self.seek(0.0)
            self.is_paused = False
        else:
            self.is_paused = not self.is_paused

    def advance(self, seconds: float) -> Sequence[Event]:
        """Go on by that many real seconds, and return the events of that time."""
        if not self.is_playing or seconds <= 0:
            return ()
        return self._apply_to(self.position + seconds * self.speed)

    def seek(self, seconds: float) -> None:
        """Go to a moment of the run; the nearest one that it has."""
        target = min(self.total, max(0.0, seconds))
        if target < self.position:
            self.history, self._next = History(), 0
            self.selection.history = self.history
        self._apply_to(target)

    def jump(self, direction: int) -> None:
        """Go a twentieth of the run on (1) or back (-1)."""
        self.seek(self.position + direction * JUMP * self.total)

    def next_epoch(self) -> None:
        """Go to the end of this epoch; in the last one, to the end of the run."""
        place = bisect.bisect_right(self._epoch_ends, self.position)
        self.seek(self._epoch_ends[place] if place < len(self._epoch_ends) else self.total)

    def previous_epoch(self) -> None:
        """Go to the start of this epoch; shortly after it, to that of the one before."""
        breath = BREATH * self.speed if self.is_playing else 0.0
        place = bisect.bisect_left(self._epoch_ends, self.position - breath)
        self.seek(self._epoch_ends[place - 1] if place else 0.0)

    def change_speed(self, direction: int) -> None:
        """Take the next higher (1) or lower (-1) speed; at an end nothing happens."""
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
    """Return the time of each event in seconds of training; it never goes back.

    A run that went back to an earlier state counts its seconds from there again: the axis goes on.
    """
    times: list[float] = []
    now, last = 0.0, 0.0
    for event in events:
        if isinstance(event, StepDone):
            # Not a number compares as neither: such a step takes no time.
            if event.seconds > last:
                now += event.seconds - last
            if event.seconds >= 0:
                last = event.seconds
        times.append(now)
    return times


def open_run(folder: RunFolder, *, speed: float = 10.0) -> RecordedRun:
    """Read a run to show it.

    Raises:
        InputError: If it cannot be read, or nothing was trained in it.
    """
    config, recorded = folder.read_config(), folder.read_events()
    if not any(isinstance(event, StepDone) for event in recorded.events):
        raise InputError(f"{folder.name}: no batch was trained in it, so there is nothing to show")
    return RecordedRun(folder.name, config, recorded.events, speed=speed)
