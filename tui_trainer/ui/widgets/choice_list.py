"""A list of which one thing is chosen: what the lists of lessons and of views share."""

from __future__ import annotations

from typing import ClassVar

from textual.message import Message

from tui_trainer.ui.keys.keymap import with_keys
from tui_trainer.ui.widgets.panel import TextPanel


class ChoiceList(TextPanel):
    """Keeps the chosen thing in sight; whoever inherits writes its rows while it makes the text."""

    DEFAULT_CSS = """
    ChoiceList { scrollbar-gutter: stable; }
    """

    HINT: ClassVar[str]

    class Chosen(Message):
        """A person has chosen another one, so many places further down."""

        def __init__(self, by: int) -> None:
            super().__init__()
            self.by = by

    def __init__(self, title: str, *, id: str) -> None:  # noqa: A002
        super().__init__(title, id=id)
        self.border_subtitle = with_keys(self.HINT)
        self._place = 0
        self._rows = range(0)

    def show(self, place: int) -> None:
        """Show which one is chosen."""
        self._place = place
        self.fill()
        self.show_rows(self._rows)

    def action_move(self, by: int) -> None:
        """Choose the one above or below."""
        self.post_message(self.Chosen(by))
