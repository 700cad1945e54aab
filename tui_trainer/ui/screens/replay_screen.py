"""The replay of a recorded run, at any speed."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import ClassVar

from textual.binding import BindingType
from textual.timer import Timer

from tui_trainer.protocol.events import Event
from tui_trainer.ui.keys.keymap import FINDING_KEYS, NEXT_PANEL, REPLAY_KEYS
from tui_trainer.ui.runs.recorded_run import RecordedRun
from tui_trainer.ui.screens.run_screen import RunScreen
from tui_trainer.ui.widgets.chart import Chart
from tui_trainer.ui.widgets.replay_lines import replay_cells, replay_progress_cells
from tui_trainer.ui.widgets.status_lines import ProgressLine, TopLine

TICK = 0.25
"""Seconds between two ticks."""

LONGEST = 1.0
"""The maximum time of a tick; a longer one means that the process was suspended."""

SEEKING = ("jump", "go_to_start", "go_to_end")
"""The actions whose keys have priority over those of a panel."""


class ReplayScreen(RunScreen):
    """Replays a run; its keys do not affect the live run."""

    BINDINGS: ClassVar[list[BindingType]] = [*REPLAY_KEYS, *FINDING_KEYS, NEXT_PANEL]
    IS_LIVE: ClassVar[bool] = False

    def __init__(self, run: RecordedRun, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._clock = clock
        self.run = run
        self._then = clock()
        self._ticks: Timer | None = None

    def on_mount(self) -> None:
        """Start playing."""
        self._ticks = self.set_interval(TICK, self.tick)

    def on_screen_resume(self) -> None:
        """Continue when the screen becomes active."""
        self._then = self._clock()
        if self._ticks is not None:
            self._ticks.resume()
        self.show()

    def on_screen_suspend(self) -> None:
        """Pause while another screen is active."""
        if self._ticks is not None:
            self._ticks.pause()

    def tick(self) -> None:
        """Advance by the time since the last tick."""
        now = self._clock()
        passed, self._then = min(LONGEST, now - self._then), now
        if not self.run.is_playing:
            return
        events = self.run.advance(passed)
        if self.run.is_at_end:
            self.show()
        elif events:
            self.show(events)
        else:
            self._show_lines()

    def show(self, events: Sequence[Event] = ()) -> None:
        """Show the run at its position."""
        self._show_lines()
        self.show_panels(self.run, events)

    def _show_lines(self) -> None:
        self.query_one(TopLine).show(self.run, replay_cells(self.run))
        self.query_one(ProgressLine).show(partial(replay_progress_cells, self.run))

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Leave the arrow keys, home and end to a focused chart."""
        if action in SEEKING and isinstance(self.focused, Chart):
            return False
        return super().check_action(action, parameters)

    def action_toggle_play(self) -> None:
        """Play or pause."""
        self.run.toggle()
        self._then = self._clock()
        self.show()

    def action_jump(self, direction: int) -> None:
        """Go forward (1) or back (-1) by a twentieth of the run."""
        self.run.jump(direction)
        self.show()

    def action_go_to_start(self) -> None:
        """Go to the start."""
        self.run.seek(0.0)
        self.show()

    def action_go_to_end(self) -> None:
        """Go to the end."""
        self.run.seek(self.run.total)
        self.show()

    def action_change_speed(self, direction: int) -> None:
        """Play faster or slower."""
        self.run.change_speed(direction)
        self._show_lines()

    def action_next_epoch(self) -> None:
        """Go to the end of this epoch."""
        self.run.next_epoch()
        self.show()

    def action_previous_epoch(self) -> None:
        """Go to the start of this epoch, or of the previous one."""
        self.run.previous_epoch()
        self.show()

    def action_close(self) -> None:
        """Close the replay; quit if it is the only screen."""
        if len(self.app.screen_stack) > 1:
            self.dismiss()
        else:
            self.app.exit()
