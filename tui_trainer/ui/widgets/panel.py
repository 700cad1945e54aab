"""A framed text that scrolls."""

from __future__ import annotations

from textual.app import ComposeResult
from textual.containers import VerticalScroll
from textual.content import Content
from textual.geometry import Region
from textual.widgets import Static

from tui_trainer.text.lines import Lines
from tui_trainer.ui.widgets.painting import content_of_lines


class TextPanel(VerticalScroll):
    """Shows one text; subclasses return it from :meth:`lines` for a width."""

    DEFAULT_CSS = """
    TextPanel {
        border: round $role-border;
        border-title-color: $role-title;
        border-subtitle-color: $role-muted;
        padding: 0 1;
        scrollbar-size-vertical: 1;
    }
    TextPanel:focus { border: round $primary; }
    TextPanel > Static { width: 1fr; height: auto; }
    """

    def __init__(self, title: str, *, id: str) -> None:  # noqa: A002
        super().__init__(id=id)
        self.border_title = title
        self._shown = Content("")

    def compose(self) -> ComposeResult:
        """The text."""
        yield Static()

    def lines(self, width: int) -> Lines:
        """Return the text in lines of ``width`` columns."""
        raise NotImplementedError

    def text(self, width: int) -> Content:
        """Return the text as content with the colors of the theme."""
        return content_of_lines(self.lines(width))

    def fill(self) -> None:
        """Update the text for the current width, if it changed."""
        content = self.text(max(20, self.scrollable_content_region.width))
        if content.markup != self._shown.markup:
            self._shown = content
            self.query_one(Static).update(content)

    def show_rows(self, rows: range) -> None:
        """Scroll to a range of lines."""
        region = Region(0, rows.start, self.scrollable_content_region.width, len(rows))
        self.scroll_to_region(region, animate=False)

    def on_resize(self) -> None:
        """Fill the new width."""
        self.fill()
