"""A screen with one exhibit about the live run, for which enter trains copies of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

from textual.app import ComposeResult
from textual.widget import Widget

from tui_trainer.protocol.events import Event, StepDone
from tui_trainer.ui.runs.live_run import LiveRun
from tui_trainer.ui.runs.questions import ExhibitQuestions
from tui_trainer.ui.screens.exhibit_screen import ExhibitScreen
from tui_trainer.ui.screens.exhibit_views import unavailable_reason
from tui_trainer.ui.widgets.exhibit_head import ExhibitView
from tui_trainer.ui.widgets.exhibit_panel import ExhibitPanel
from tui_trainer.ui.widgets.number_line import NumberLine
from tui_trainer.ui.widgets.status_lines import TopLine


class TrialScreen(ExhibitScreen):
    """Opens over the Train screen, and is left with escape.

    Args:
        run: The live run.

    Attributes:
        run: The live run.
    """

    CSS_PATH = "views.tcss"
    AUTO_FOCUS = "#trial"
    VIEWS: ClassVar[tuple[str, ...]] = ("trial",)
    PANELS: ClassVar[Mapping[str, type[Widget]]] = {"trial": ExhibitPanel}
    DEFAULT_CSS = """
    TrialScreen #trial { height: 1fr; }
    TrialScreen.-too-small #trial, TrialScreen.-too-small #number { display: none; }
    """

    def __init__(self, run: LiveRun) -> None:
        super().__init__()
        self.run = run

    def compose(self) -> ComposeResult:
        """The top line, the exhibit and the line for a number."""
        yield TopLine(id="top")
        yield ExhibitPanel(id="trial")
        yield NumberLine(id="number")
        yield from self.compose_end()

    def on_mount(self) -> None:
        """Ask what could be tried."""
        super().on_mount()
        self.set_run(self.run)
        if not unavailable_reason(self.run):
            self.ask()
        self.show_exhibit()

    @property
    def questions(self) -> ExhibitQuestions:
        """The questions of this screen."""
        raise NotImplementedError

    def exhibit_view(self) -> ExhibitView:
        """Return the content of the panel."""
        raise NotImplementedError

    def ask(self) -> None:
        """Ask for the first exhibit."""
        self.questions.open("")

    def leave(self) -> None:
        """Close the screen."""
        self.dismiss()

    @property
    def choosing(self) -> ExhibitQuestions | None:
        """The questions whose controls the screen shows."""
        return self.questions

    def show_run(self, run: LiveRun, events: Sequence[Event] = ()) -> None:
        """Show the run's state; of a step only the top line."""
        if run is not self.run:
            return
        self.set_run(run)
        if not events or any(not isinstance(event, StepDone) for event in events):
            self.show_exhibit()

    def show_exhibit(self) -> None:
        """Show the exhibit."""
        self.query_one(ExhibitPanel).show(self.exhibit_view())
        self.refresh_keys(self.questions.is_running, self.questions.has_result)

    def action_leave(self) -> None:
        """Stop what is running; if nothing is, leave."""
        if self.questions.is_running:
            self.questions.stop()
            self.show_exhibit()
        else:
            self.leave()
