"""A dialog in which several of many names are selected."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import ClassVar

from rich.segment import Segment
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.screen import ModalScreen
from textual.strip import Strip
from textual.widgets import SelectionList, Static
from textual.widgets.selection_list import Selection


class NameList(SelectionList[str]):
    """Textual marks selected names by a color alone; here only they have the mark."""

    def render_line(self, y: int) -> Strip:
        """Render a line; without the mark if its name is not selected."""
        strip = super().render_line(y)
        place = self.scroll_offset.y + y
        if place >= self.option_count or self.get_option_at_index(place).value in self.selected:
            return strip
        left, mark, *rest = strip
        return Strip([left, Segment(" " * mark.cell_length, mark.style), *rest])


class SelectScreen(ModalScreen[tuple[str, ...] | None]):
    """Asks for some of several names; returns None after escape.

    Args:
        question: The question.
        names: The names, each with a description.
        selected: The names that are selected at first.
    """

    CSS_PATH = "dialog.tcss"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "accept", "apply", priority=True),
        Binding("escape,q", "dismiss(None)", "close"),
    ]

    def __init__(
        self, question: str, names: Sequence[tuple[str, str]], selected: Collection[str]
    ) -> None:
        super().__init__()
        self._question, self._names, self._selected = question, names, selected

    def compose(self) -> ComposeResult:
        """The question and the names; the selected ones first."""
        width = max((len(name) for name, _ in self._names), default=0)
        first = [entry for entry in self._names if entry[0] in self._selected]
        rest = [entry for entry in self._names if entry[0] not in self._selected]
        with Vertical(classes="dialog"):
            yield Static(self._question, classes="dialog-title", markup=False)
            yield NameList(
                *(
                    Selection(
                        Content(f"{name.ljust(width)}  {about}"), name, name in self._selected
                    )
                    for name, about in (*first, *rest)
                ),
            )
            yield Static("space selects · enter applies · esc cancels", classes="dialog-hint")

    def on_mount(self) -> None:
        """Focus the list."""
        self.query_one(NameList).focus()

    def action_accept(self) -> None:
        """Return the selected names, in the order of the list."""
        selected = self.query_one(NameList).selected
        self.dismiss(tuple(name for name, _ in self._names if name in selected))
