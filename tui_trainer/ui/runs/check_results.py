"""The items of the preflight check, as they arrive."""

from __future__ import annotations

from collections.abc import Callable

from tui_trainer.protocol.answers import Answered
from tui_trainer.protocol.commands import Ask, Command
from tui_trainer.protocol.diagnosis import Diagnosis
from tui_trainer.ui.runs.questions import Questions


class CheckResults(Questions):
    """Asks for the preflight check, and keeps its items.

    Attributes:
        items: The items so far, in the order of the check.
    """

    def __init__(self, send: Callable[[Command], None]) -> None:
        super().__init__(send, "check")
        self.items: list[Diagnosis] = []
        self._chosen: int | None = None

    def begin(self, *, again: bool = False) -> None:
        """Start the check, unless it has items already."""
        if not self.is_waiting and (again or not self.items):
            self.items, self.answer, self._chosen = [], None, None
            self.submit(Ask("check"))

    @property
    def done(self) -> int:
        """Number of items that are done."""
        return self.answer.done if self.answer else 0

    @property
    def total(self) -> int:
        """Number of items in total; 0 while it is unknown."""
        return self.answer.total if self.answer else 0

    def receive(self, answer: Answered) -> bool:
        """Store an item; return False if it belongs to an older check."""
        counts = super().receive(answer)
        if counts and isinstance(answer.content, Diagnosis):
            self.items.append(answer.content)
        return counts

    @property
    def chosen(self) -> int | None:
        """The index of the item shown in full: by default the first of the most severe ones."""
        if self._chosen is not None or not self.items:
            return self._chosen
        ranks = [item.rank for item in self.items]
        return ranks.index(min(ranks))

    def choose(self, direction: int) -> bool:
        """Choose the next item below (1) or above (-1); return whether there is one."""
        place = (self.chosen or 0) + direction
        if not 0 <= place < len(self.items):
            return False
        self._chosen = place
        return True
