"""Two networks side by side."""

from __future__ import annotations

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding
from textual.content import Content
from textual.screen import ModalScreen

from tui_trainer.render.layer_comparison import Comparison
from tui_trainer.ui.screens.base_screen import ViewScreen
from tui_trainer.ui.widgets.comparison_panel import comparison_lines
from tui_trainer.ui.widgets.painting import content_of
from tui_trainer.ui.widgets.panel import TextPanel


class ComparisonPanel(TextPanel):
    """The figures of both, then their stages in rows."""

    DEFAULT_CSS = """
    ComparisonPanel { scrollbar-gutter: stable; }
    """

    def __init__(self, names: tuple[str, str], comparison: Comparison) -> None:
        super().__init__(f"{names[0]} and {names[1]}", id="comparison")
        self._names, self._comparison = names, comparison
        self.border_subtitle = "esc closes"

    def text(self, width: int) -> Content:
        """Return the comparison."""
        lines = comparison_lines(self._names, self._comparison, width - 1)
        return Content("\n").join(content_of(line) for line in lines)


class CompareScreen(ModalScreen[None]):
    """Shows a comparison until it is put away."""

    CSS_PATH = "dialog.tcss"
    BINDINGS: ClassVar = [Binding("escape,q,c,enter", "dismiss", "close")]
    HORIZONTAL_BREAKPOINTS = ViewScreen.HORIZONTAL_BREAKPOINTS

    def __init__(self, names: tuple[str, str], comparison: Comparison) -> None:
        super().__init__()
        self._names, self._comparison = names, comparison

    def compose(self) -> ComposeResult:
        """The panel."""
        yield ComparisonPanel(self._names, self._comparison)

    def on_mount(self) -> None:
        """Let the arrow keys scroll at once."""
        self.query_one(ComparisonPanel).focus()
