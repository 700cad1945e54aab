"""The Train screen: the run that is being trained, and where every knob of it stands."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from tui_trainer.protocol.events import Event
from tui_trainer.ui.runs.live_run import LiveRun
from tui_trainer.ui.screens.run_screen import RunScreen
from tui_trainer.ui.widgets.status_lines import ProgressLine, TopLine, progress_cells, state_cells


class TrainScreen(RunScreen):
    """Shows the live run."""

    def show_knobs(self, run: LiveRun, cost: float) -> None:
        """Show where the knobs stand, and where they are wanted to go."""
        self.query_one(ProgressLine).show(partial(progress_cells, run, cost))

    def show_run(self, run: LiveRun, cost: float, events: Sequence[Event] = ()) -> None:
        """Show the run as it is now; only what has changed is painted."""
        self.query_one(TopLine).show(run, state_cells(run.history))
        self.show_knobs(run, cost)
        self.show_panels(run, events)
