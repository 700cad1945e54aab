"""The list of views."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from textual.binding import BindingType

from tui_trainer.protocol.inspection import View
from tui_trainer.text.fmt import Cell
from tui_trainer.text.lines import Lines, paragraph
from tui_trainer.ui.keys.keymap import VIEW_LIST_KEYS
from tui_trainer.ui.widgets.choice_list import ChoiceList


class ViewList(ChoiceList):
    """The views by group; the chosen one with its description."""

    BINDINGS: ClassVar[list[BindingType]] = [*VIEW_LIST_KEYS]
    HINT = "{inspect.next} next · {inspect.previous} back"

    def __init__(self, views: Sequence[View], *, id: str) -> None:  # noqa: A002
        super().__init__("views", id=id)
        self._views = views

    def lines(self, width: int) -> Lines:
        """Return the groups and titles, and the description of the chosen view."""
        lines: Lines = []
        group = ""
        for place, view in enumerate(self._views):
            if view.group != group:
                group = view.group
                lines += [*([[]] if lines else []), [Cell(group, style="title bold")]]
            if place != self._place:
                lines += paragraph(view.title, "", width, indent=2, hanging=2)
                continue
            first = len(lines)
            lines.append([Cell("▸ ", style="title"), Cell(view.title, style="title bold")])
            lines += paragraph(view.about, "muted", width, indent=4)
            self._rows = range(first, len(lines))
        return lines
