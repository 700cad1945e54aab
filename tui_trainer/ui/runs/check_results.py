"""The check of a run's first steps, as far as it has come."""

from __future__ import annotations

from tui_trainer.protocol.answers import ItemChecked
from tui_trainer.protocol.diagnosis import Diagnosis


class Checking:
    """What was asked of the check, and what it has told.

    Attributes:
        items: What it has found so far, in its order.
        done: How many items are behind it.
        total: How many there will be; 0 while that is not known.
        is_under_way: Whether more is to come.
        refusal: Why it could not be done; empty where it could.
    """

    def __init__(self, *, is_under_way: bool = False) -> None:
        self.items: list[Diagnosis] = []
        self.done = 0
        self.total = 0
        self.is_under_way = is_under_way
        self.refusal = ""
        self._chosen: int | None = None

    def take(self, answer: ItemChecked) -> None:
        """Take in one item."""
        self.items.append(answer.item)
        self.done, self.total = answer.done, answer.total
        self.is_under_way = answer.done < answer.total

    def refuse(self, reason: str) -> None:
        """Take in that there will be no more, and why."""
        self.is_under_way, self.refusal = False, reason

    @property
    def chosen(self) -> int | None:
        """The place of the item that is told in full: the first of the gravest if none was chosen.

        None where there is none.
        """
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
