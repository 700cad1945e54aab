"""The check of the first steps, over the curves."""

from __future__ import annotations

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding
from textual.screen import ModalScreen

from tui_trainer.ui.runs.live_run import LiveRun
from tui_trainer.ui.screens.base_screen import ViewScreen
from tui_trainer.ui.widgets.check_panel import CheckPanel


class CheckScreen(ModalScreen[None]):
    """Shows what the check tells as it comes; what comes after it was put away is kept."""

    CSS_PATH = "check.tcss"
    BINDINGS: ClassVar = [
        Binding("escape,q,c", "dismiss", "close"),
        Binding("r", "again", "again"),
    ]
    HORIZONTAL_BREAKPOINTS = ViewScreen.HORIZONTAL_BREAKPOINTS

    def __init__(self, run: LiveRun) -> None:
        super().__init__()
        self._run = run

    def compose(self) -> ComposeResult:
        """The panel."""
        yield CheckPanel(self._run, id="check")

    def on_mount(self) -> None:
        """Ask, unless that was done before, and let the arrow keys choose at once."""
        self._run.ask_for_check()
        panel = self.query_one(CheckPanel)
        panel.show(self._run)
        panel.focus()

    def show_run(self, run: LiveRun) -> None:
        """Show what has come since; a run that was begun anew has not been checked."""
        if run is self._run:
            self.query_one(CheckPanel).show(run)

    def action_again(self) -> None:
        """Check once more, once the check is over."""
        self._run.ask_for_check(again=True)
        self.query_one(CheckPanel).show(self._run)
