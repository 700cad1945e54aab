"""The list of the views of what a network has learned."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from textual.binding import BindingType
from textual.content import Content
from textual.geometry import Region
from textual.message import Message

from tui_trainer.run.inspection import View
from tui_trainer.run.text import Cell
from tui_trainer.ui.inspect_keys import VIEW_LIST_KEYS
from tui_trainer.ui.widgets.finding_lines import Lines, paragraph
from tui_trainer.ui.widgets.painting import content_of
from tui_trainer.ui.widgets.panel import TextPanel


class ViewList(TextPanel):
    """The views by their groups; one of them is chosen, and said to be what it is."""

    DEFAULT_CSS = """
    ViewList { scrollbar-gutter: stable; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [*VIEW_LIST_KEYS]

    class Chosen(Message):
        """A person has chosen another view."""

        def __init__(self, by: int) -> None:
            super().__init__()
            self.by = by

    def __init__(self, views: Sequence[View], *, id: str) -> None:  # noqa: A002
        super().__init__("views", id=id)
        self.border_subtitle = "n next · b back"
        self._views = views
        self._place = 0
        self._rows = range(0)

    def show(self, place: int) -> None:
        """Show which view is chosen."""
        self._place = place
        self.fill()
        width = self.scrollable_content_region.width
        rows = Region(0, self._rows.start, width, len(self._rows))
        self.scroll_to_region(rows, animate=False)

    def text(self, width: int) -> Content:
        """Return the groups and titles; below the chosen one, what it shows."""
        lines: Lines = []
        group = ""
        for place, view in enumerate(self._views):
            if view.group != group:
                group = view.group
                lines += [*([[]] if lines else []), [Cell(group, style="title bold")]]
            if place != self._place:
                lines.append([Cell(f"  {view.title}")])
                continue
            begun = len(lines)
            lines.append([Cell("▸ ", style="title"), Cell(view.title, style="title bold")])
            lines += paragraph(view.about, "muted", width, indent=4)
            self._rows = range(begun, len(lines))
        return Content("\n").join(content_of(line) for line in lines)

    def action_move(self, by: int) -> None:
        """Choose the view above or below."""
        self.post_message(self.Chosen(by))
