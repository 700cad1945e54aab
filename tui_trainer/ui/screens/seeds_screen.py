"""The results of several seeds, as a dialog."""

from __future__ import annotations

from typing import ClassVar

from textual.binding import Binding

from tui_trainer.history.seed_results import SeedResults
from tui_trainer.history.seed_table import result_lines
from tui_trainer.text.lines import Lines
from tui_trainer.ui.screens.dialogs import PanelScreen
from tui_trainer.ui.widgets.panel import TextPanel


class SeedsPanel(TextPanel):
    """The results of the seeds: the table, its notes and the verdict."""

    def __init__(self, name: str, results: SeedResults) -> None:
        super().__init__(f"results of {name}", id="seeds")
        self._results = results
        self.border_subtitle = "esc closes"

    def lines(self, width: int) -> Lines:
        """Return the results."""
        return result_lines(self._results, width)


class SeedsScreen(PanelScreen):
    """Shows the results of the seeds."""

    CSS_PATH = "dialog.tcss"
    BINDINGS: ClassVar = [Binding("S", "dismiss", "close", id="seeds.results")]

    def __init__(self, name: str, results: SeedResults) -> None:
        super().__init__(SeedsPanel(name, results))
