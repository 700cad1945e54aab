"""The curves, the network and the findings of a run, live or recorded."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import ClassVar

from textual.app import ComposeResult
from textual.containers import Container

from tui_trainer.run.events import Event, StepDone
from tui_trainer.ui.pace import Pace
from tui_trainer.ui.pictures import (
    ACCURACY,
    LOSS,
    RATE,
    accuracy_picture,
    loss_picture,
    rate_picture,
)
from tui_trainer.ui.screens.views import ViewScreen
from tui_trainer.ui.shown_run import ShownRun
from tui_trainer.ui.widgets.chart import Chart
from tui_trainer.ui.widgets.classes import ClassPanel
from tui_trainer.ui.widgets.findings import FindingLine, FindingsPanel
from tui_trainer.ui.widgets.layers import LayerPanel
from tui_trainer.ui.widgets.lines import ProgressLine, TopLine

CURVES_EVERY = 0.48
"""Seconds between two paintings of the curves: they cost most, and move least."""


class RunScreen(ViewScreen):
    """Shows a run. What it shows comes from the run's history alone."""

    CSS_PATH = ["views.tcss", "run.tcss"]  # noqa: RUF012
    AUTO_FOCUS = ""
    VIEWS: ClassVar[tuple[str, ...]] = ("curves", "layers", "findings")

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._clock = clock
        self._curves = Pace()
        self._keys: tuple[bool, ...] = ()

    def compose(self) -> ComposeResult:
        """Two lines that never move, the panels between them."""
        yield TopLine(id="top")
        with Container(id="panels"):
            yield Chart("loss", LOSS, id="loss")
            yield Chart("accuracy %", ACCURACY, id="accuracy")
            yield Chart("learning rate", RATE, id="rate")
            yield LayerPanel(id="layers")
            yield ClassPanel(id="classes")
            yield FindingsPanel(id="findings", is_live=self.IS_LIVE)
        yield FindingLine(id="finding-line", is_live=self.IS_LIVE)
        yield ProgressLine(id="progress")
        yield from self.compose_end()

    def _refresh_keys(self, run: ShownRun) -> None:
        """Let the footer build its keys anew, but only when one has come or gone."""
        history = run.history
        keys = (
            history.started is None,
            history.is_over,
            history.failure is None,
            history.lost is None,
            run.fixable() is None,
            "dropout" in history.settings,
        )
        if keys != self._keys:
            self._keys = keys
            self.refresh_bindings()

    def show_panels(self, run: ShownRun, events: Sequence[Event] = ()) -> None:
        """Show the run as it is now; where only steps were added, only what they change."""
        self.shown = run
        history = run.history
        is_step = bool(events) and all(isinstance(event, StepDone) for event in events)
        now = self._clock()
        if not is_step:
            self._curves.restart(now, CURVES_EVERY)
        if not is_step or self._curves.is_due(now, CURVES_EVERY):
            self.query_one("#loss", Chart).show(partial(loss_picture, history))
            self.query_one("#accuracy", Chart).show(partial(accuracy_picture, history))
            self.query_one("#rate", Chart).show(partial(rate_picture, history))
        if not is_step:
            self.query_one(FindingsPanel).show(history)
            self.query_one(FindingLine).show(history)
            self.query_one(ClassPanel).show(history)
            if history.started is not None:
                layers, budget = history.started.layers, history.started.budget
                self.query_one(LayerPanel).show(layers, budget)
            self._refresh_keys(run)
