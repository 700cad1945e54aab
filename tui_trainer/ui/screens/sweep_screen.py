"""The screen of a sweep: its trials, how they lie in the space, their curves, what they say."""

from __future__ import annotations

import os
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Container, Vertical
from textual.events import Resize
from textual.geometry import Size
from textual.widgets import Static
from textual.worker import Worker, WorkerState

from tui_trainer.history.history import History
from tui_trainer.recording.folder import RunFolder
from tui_trainer.recording.lock import Lock
from tui_trainer.sweeps.figures import best_first
from tui_trainer.sweeps.state import SweepState, TrialState
from tui_trainer.text.fmt import Cell
from tui_trainer.ui.keys.keymap import SWEEP_KEYS
from tui_trainer.ui.overlay import METRICS, RunStyle
from tui_trainer.ui.run_curves import ACCURACY
from tui_trainer.ui.runs.recorded_run import RecordedRun
from tui_trainer.ui.runs.run_reader import RunGrew, RunRead, RunReader
from tui_trainer.ui.screens.base_screen import WindowRequested
from tui_trainer.ui.screens.curves_screen import CurvesScreen
from tui_trainer.ui.screens.dialogs import ChooseScreen
from tui_trainer.ui.screens.replay_screen import ReplayScreen
from tui_trainer.ui.screens.run_management import opened
from tui_trainer.ui.sweep_curves import (
    CHOSEN,
    styles_of,
    sweep_chart,
    wanted_folders,
    wanted_trials,
)
from tui_trainer.ui.widgets.cell_line import ShownLine
from tui_trainer.ui.widgets.chart import Chart
from tui_trainer.ui.widgets.parallel_panel import ParallelPanel
from tui_trainer.ui.widgets.status_lines import ProgressLine
from tui_trainer.ui.widgets.sweep_lines import (
    SweepLine,
    best_cells,
    budget_cells,
    chosen_cells,
    searched_cells,
)
from tui_trainer.ui.widgets.sweep_panels import AdvicePanel, TrialsTable

REST = 0.15
"""Seconds that the cursor rests on a trial before its curve is read."""


class SweepScreen(CurvesScreen):
    """Shows a sweep; its app sets the state that it shows."""

    CSS_PATH = ["views.tcss", "sweep.tcss"]  # noqa: RUF012
    BINDINGS: ClassVar[list[BindingType]] = [*SWEEP_KEYS]
    VIEWS: ClassVar[tuple[str, ...]] = ("trials", "parallel", "curves", "advice")
    PANELS: ClassVar = {
        "trials": TrialsTable,
        "parallel": ParallelPanel,
        "curves": Chart,
        "advice": AdvicePanel,
    }
    CURVES_EVERY = 3.0  # some of them grow all the time
    ALLOW_IN_MAXIMIZED_VIEW = "SweepLine, ProgressLine, KeyFooter"

    def __init__(self) -> None:
        super().__init__()
        self.state: SweepState | None = None
        self.reader = RunReader(self.post_message)
        self.is_best_first = True
        self._phase: Sequence[Cell] = ()
        self._shown: tuple[object, ...] = ()
        self._shown_size = Size()
        self._styles: dict[int, RunStyle] = {}
        self._wanted: list[TrialState] = []

    def compose(self) -> ComposeResult:
        """The lines, the table, the parallel coordinates, the curves and the advice."""
        yield SweepLine(id="sweep-line")
        yield ProgressLine(id="budget")
        yield ShownLine(id="best")
        with Container(id="sweep-panels"):
            with Vertical(id="trials"):
                yield TrialsTable(id="trials-table")
                yield Static(id="no-trials", markup=False)
            yield AdvicePanel(id="advice")
            yield ParallelPanel(id="parallel")
            yield Chart("", ACCURACY, id="curves")
        yield ShownLine(id="chosen")
        yield from self.compose_end()

    def on_mount(self) -> None:
        """Repaint when the theme changes."""
        self.app.theme_changed_signal.subscribe(self, lambda _: self._show_all())
        self.query_one(TrialsTable).focus()
        self._show_all()

    def on_unmount(self) -> None:
        """End the reading thread."""
        self.reader.close()

    def on_screen_resume(self) -> None:
        """Follow the runs again."""
        self._show_all()

    def on_screen_suspend(self) -> None:
        """Follow no run while another screen is active."""
        self.reader.want(())

    def on_resize(self, event: Resize) -> None:
        """Paint the lines in the new width."""
        if event.size != self._shown_size:
            self._shown_size = event.size
            self._show_all()

    # --- the state

    def show_state(self, state: SweepState | None, phase: Sequence[Cell]) -> None:
        """Show a state of the sweep; panels change only where it differs from the one before.

        Args:
            state: The state; None before the first reading.
            phase: The right part of the first line.
        """
        self.state, self._phase = state, phase
        if self.is_mounted and self.is_current:
            self._show_lines()
            self._show_panels()

    def _show_all(self) -> None:
        self._shown = ()
        if self.is_mounted:
            self._show_lines()
            self._show_panels()

    def _show_lines(self) -> None:
        state = self.state
        self.query_one(SweepLine).show(searched_cells(state), self._phase)
        self.query_one(ProgressLine).show(partial(budget_cells, state))
        self.query_one("#best", ShownLine).show(best_cells(state))

    def _show_panels(self) -> None:
        state = self.state
        table = self.query_one(TrialsTable)
        empty = self.query_one("#no-trials", Static)
        table.display = state is not None and bool(state.trials)
        empty.display = not table.display
        empty.update("reading the sweep …" if state is None else "No trial has begun yet.")
        if state is None:
            return
        trials = best_first(state) if self.is_best_first else list(reversed(state.trials))
        table.show_trials(state, trials)
        # While trials only grow, nothing but their rows and curves changes.
        shown = ([(each.number, each.phase) for each in trials], state.importance, state.is_over)
        if shown != self._shown:
            self._shown = shown
            self.query_one(AdvicePanel).show(state)
            self._show_chosen()
        elif (chosen := self.chosen) is not None and chosen.phase == "running":
            self._show_line(state, chosen)

    @property
    def chosen(self) -> TrialState | None:
        """The trial under the cursor."""
        number = self.query_one(TrialsTable).number
        trials = self.state.trials if self.state is not None else ()
        return next((trial for trial in trials if trial.number == number), None)

    def on_data_table_row_highlighted(self) -> None:
        """Show the trial under the cursor in all panels."""
        self._show_chosen()

    def _show_chosen(self) -> None:
        state, chosen = self.state, self.chosen
        if state is None:
            return
        styles = self._styles = styles_of(state, chosen.number if chosen else None)
        marks = {str(n): Cell(style.glyph, style=style.role) for n, style in styles.items()}
        self.query_one(TrialsTable).show_marks(marks)
        self.query_one(ParallelPanel).show(state, styles)
        self._show_line(state, chosen)
        self._wanted = wanted_trials(state, styles)
        if self.is_current:
            self.reader.want(wanted_folders(self._wanted))
        self.update_curves()

    def _show_line(self, state: SweepState, chosen: TrialState | None) -> None:
        style = self._styles[chosen.number] if chosen is not None else CHOSEN
        line = chosen_cells(state, chosen, style.glyph, style.role)
        self.query_one("#chosen", ShownLine).show(line)

    # --- the curves

    def on_run_read(self, message: RunRead) -> None:
        """Draw a run that was read, unless others are being read: then all of them at once."""
        self.reader.take(message)
        unread = [f for f in wanted_folders(self._wanted) if self.reader.get(f) is None]
        self.update_curves(is_step=bool(unread))

    def on_run_grew(self, message: RunGrew) -> None:
        """Draw new events of a run that a worker trains."""
        self.reader.take(message)
        is_step = message.has_only_steps
        if not is_step or METRICS[self._metric].is_training:
            self.update_curves(is_step=is_step)

    def draw_curves(self) -> None:
        """Draw the curves of the best trials and of the chosen one."""
        content = partial(sweep_chart, self._wanted, self._styles, self._history, self._metric)
        self.query_one("#curves", Chart).show(content)

    def _history(self, path: Path) -> History | None:
        found = self.reader.get(RunFolder(path))
        return found.history if found is not None else None

    # --- the keys

    def next_view(self) -> None:
        """Show the next view of a small window."""
        super().next_view()
        self._show_chosen()

    def action_move_trial(self, direction: int) -> None:
        """Choose the trial below (1) or above (-1)."""
        table = self.query_one(TrialsTable)
        table.move_cursor(row=table.cursor_row + direction)

    def action_sort_trials(self) -> None:
        """Sort the trials by their objective, or the latest first."""
        self.is_best_first = not self.is_best_first
        self.notify("the best first" if self.is_best_first else "the latest first", timeout=2)
        self._show_all()

    def on_data_table_row_selected(self) -> None:
        """Open the chosen trial."""
        self.action_open_trial()

    def action_open_trial(self) -> None:
        """Open a run of the chosen trial; ask which one, if it has several."""
        trial = self.chosen
        if trial is None:
            return
        if trial.is_elsewhere:
            self.notify(f"the runs of trial {trial.number} lie on the machine {trial.host}")
        elif not trial.runs:
            self.notify(f"trial {trial.number} has not begun a run yet")
        elif len(trial.runs) == 1:
            self._open(trial.runs[0])
        else:
            paths = {path.name: path for path in trial.runs}

            def answer(name: str | None) -> None:
                if name is not None:
                    self._open(paths[name])

            self.app.push_screen(
                ChooseScreen(f"Open a run of trial {trial.number}", [*paths]), answer
            )

    def _open(self, path: Path) -> None:
        """Replay a run; one that is trained now is watched in another window."""
        folder = RunFolder(path)
        if Lock.is_held(folder.lock):
            # Changing a setting of the run would make it a trial of other settings.
            self.post_message(WindowRequested("attach", os.path.abspath(path), "--read-only"))
            return
        self.run_worker(partial(opened, folder), thread=True, exclusive=True, group="open")

    def on_worker_state_changed(self, event: Worker.StateChanged) -> None:
        """Show a run that was read for its replay."""
        if event.worker.group != "open" or event.state != WorkerState.SUCCESS:
            return
        result = event.worker.result
        if self.is_current and isinstance(result, RecordedRun):
            self.app.push_screen(ReplayScreen(result))
        elif isinstance(result, str):
            self.notify(result, title="cannot replay the run", severity="warning", timeout=10)
