"""The curves, layers and findings of a run, live or recorded."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Container

from tui_trainer.protocol.events import Event, StepDone
from tui_trainer.ui.keys.keymap import FINDING_KEYS, NEXT_PANEL
from tui_trainer.ui.overlay import chart_with_seeds
from tui_trainer.ui.pacing import Pace
from tui_trainer.ui.run_curves import ACCURACY, LOSS, LR, lr_chart
from tui_trainer.ui.runs.live_run import LiveRun
from tui_trainer.ui.runs.shown_run import ShownRun
from tui_trainer.ui.screens.base_screen import ViewScreen
from tui_trainer.ui.screens.dialogs import FindingScreen
from tui_trainer.ui.widgets.chart import Chart
from tui_trainer.ui.widgets.classes_panel import ClassPanel
from tui_trainer.ui.widgets.findings_panel import FindingLine, FindingsPanel, advice, headline
from tui_trainer.ui.widgets.layers_panel import LayerPanel
from tui_trainer.ui.widgets.status_lines import ProgressLine, TopLine, progress_cells, state_cells

CURVES_EVERY = 0.48
"""Seconds between two updates of the curves: they cost most, and change least."""


class RunScreen(ViewScreen):
    """Shows a run, using only its history."""

    CSS_PATH = ["views.tcss", "run.tcss"]  # noqa: RUF012
    BINDINGS: ClassVar[list[BindingType]] = [*FINDING_KEYS, NEXT_PANEL]
    AUTO_FOCUS = ""
    ALLOW_IN_MAXIMIZED_VIEW = "TopLine, FindingLine, ProgressLine, KeyFooter"
    VIEWS: ClassVar[tuple[str, ...]] = ("curves", "layers", "findings")

    def __init__(self) -> None:
        super().__init__()
        self._curves = Pace()

    def compose(self) -> ComposeResult:
        """The top line, the panels and the progress line."""
        yield TopLine(id="top")
        with Container(id="panels"):
            yield Chart("loss", LOSS, id="loss", link="run")
            yield Chart("accuracy %", ACCURACY, id="accuracy", link="run")
            yield Chart("learning rate", LR, id="lr", link="run")
            yield LayerPanel(id="layers")
            yield ClassPanel(id="classes")
            yield FindingsPanel(id="findings")
        yield FindingLine(id="finding-line")
        yield FindingLine(id="finding-advice")
        yield ProgressLine(id="progress")
        yield from self.compose_end()

    def _refresh_keys(self, run: ShownRun) -> None:
        history = run.history
        self.refresh_keys(
            history.started is None,
            history.is_over,
            history.failure is None,
            history.divergence is None,
            run.fixable() is None,
            len(run.selection.shown) > 1,
            bool(run.selection.shown),
            bool(run.selection.snoozed),
            "dropout" in history.settings,
        )

    def show_panels(self, run: ShownRun, events: Sequence[Event] = ()) -> None:
        """Show the run; after events that are all steps, update only the curves."""
        self.shown = run
        history = run.history
        is_step = bool(events) and all(isinstance(event, StepDone) for event in events)
        now = self._clock()
        if not is_step:
            self._curves.restart(now, CURVES_EVERY)
        if not is_step or self._curves.is_due(now, CURVES_EVERY):
            seeds = run.seeds_behind
            self.query_one("#loss", Chart).show(partial(chart_with_seeds, "loss", history, seeds))
            self.query_one("#accuracy", Chart).show(
                partial(chart_with_seeds, "accuracy", history, seeds)
            )
            self.query_one("#lr", Chart).show(partial(lr_chart, history))
        if not is_step:
            self._show_findings(run)
            self.query_one(ClassPanel).show(history)
            if history.started is not None:
                layers, budget = history.started.layers, history.started.budget
                self.query_one(LayerPanel).show(layers, budget)

    def _show_findings(self, run: ShownRun) -> None:
        self.query_one(FindingsPanel).show(run)
        self.query_one("#finding-line", FindingLine).show(headline(run))
        line, cells = self.query_one("#finding-advice", FindingLine), advice(run)
        line.show(cells)
        line.set_class(not cells, "-empty")
        self._refresh_keys(run)

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Hide the actions on findings if they have no effect."""
        selection = self.shown.selection if self.shown is not None else None
        match action:
            case "move_finding":
                return selection is not None and len(selection.shown) > 1
            case "snooze_finding" | "open_finding":
                return selection is not None and bool(selection.shown)
            case "unsnooze_findings":
                return selection is not None and bool(selection.snoozed)
        return super().check_action(action, parameters)

    def action_move_finding(self, direction: int) -> None:
        """Choose the finding below or above."""
        self.query_one(FindingsPanel).action_move_finding(direction)

    def action_open_finding(self) -> None:
        """Show the chosen finding with all its causes."""
        chosen = self.shown.selection.chosen if self.shown is not None else None
        if self.shown is not None and chosen is not None:
            self.app.push_screen(FindingScreen(self.shown, chosen))

    def action_snooze_finding(self) -> None:
        """Snooze the chosen finding."""
        if self.shown is not None:
            self.shown.selection.snooze()
            self._show_findings(self.shown)

    def action_unsnooze_findings(self) -> None:
        """Show all snoozed findings again."""
        if self.shown is not None:
            self.shown.selection.unsnooze()
            self._show_findings(self.shown)

    def on_findings_panel_chosen(self) -> None:
        """Show the newly chosen finding."""
        if self.shown is not None:
            self._show_findings(self.shown)
            self.query_one(FindingsPanel).show_chosen()


class TrainScreen(RunScreen):
    """Shows the live run."""

    def show_knobs(self, run: LiveRun, cost: float) -> None:
        """Show the settings and the requested ones."""
        self.query_one(TopLine).show(run, state_cells(run))
        self.query_one(ProgressLine).show(partial(progress_cells, run, cost))

    def show_run(self, run: LiveRun, cost: float, events: Sequence[Event] = ()) -> None:
        """Show the run; only changes are painted."""
        self.show_knobs(run, cost)
        self.show_panels(run, events)
