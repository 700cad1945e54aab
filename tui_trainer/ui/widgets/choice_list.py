"""The base of the lists of lessons and views: one entry is chosen."""

from __future__ import annotations

from typing import ClassVar

from textual.message import Message

from tui_trainer.ui.keys.keymap import with_keys
from tui_trainer.ui.widgets.panel import TextPanel


class ChoiceList(TextPanel):
    """Scrolls to the chosen entry; a subclass sets ``_rows`` to its lines in ``lines``."""

    DEFAULT_CSS = """
    ChoiceList { scrollbar-gutter: stable; }
    """

    HINT: ClassVar[str]

    class Chosen(Message):
        """The user has chosen another entry, ``by`` places further down."""

        def __init__(self, by: int) -> None:
            super().__init__()
            self.by = by

    def __init__(self, title: str, *, id: str) -> None:  # noqa: A002
        super().__init__(title, id=id)
        self.border_subtitle = with_keys(self.HINT)
        self._place = 0
        self._rows = range(0)

    def show(self, place: int) -> None:
        """Mark the chosen entry."""
        self._place = place
        self.fill()
        self.show_rows(self._rows)

    def action_move(self, by: int) -> None:
        """Choose the entry above (-1) or below (1)."""
        self.post_message(self.Chosen(by))
