"""The findings as whoever looks has them: in order, one of them chosen, some put off."""

from __future__ import annotations

from tui_trainer.history.history import History
from tui_trainer.protocol.events import Event, FindingRaised


class FindingsSelection:
    """The findings that stand, as far as they are on show.

    A finding that is snoozed comes back when it has been cleared and is raised anew, or while it is
    graver than it was. That is the viewer's alone: the run and its record know nothing of it.
    """

    def __init__(self, history: History) -> None:
        self.history = history
        self._chosen: str | None = None
        self._snoozed: dict[str, tuple[int, int]] = {}

    def observe(self, event: Event) -> None:
        """Take in an event, before the history does."""
        if isinstance(event, FindingRaised) and event.code not in self.history.findings:
            # What is graver than all that a person has chosen from is looked at first.
            chosen = self.chosen
            if chosen is None or event.rank < chosen.rank:
                self._chosen = None

    @property
    def shown(self) -> list[FindingRaised]:
        """The findings on show, the gravest first, of equals those first that a knob mends."""
        return [found for found in self.history.gravest_first if not self._is_snoozed(found)]

    @property
    def warnings(self) -> int:
        """How many of them are more than notes."""
        return sum(found.severity != "note" for found in self.shown)

    @property
    def notes(self) -> int:
        """How many of them are notes."""
        return len(self.shown) - self.warnings

    @property
    def snoozed(self) -> int:
        """How many findings stand and are put off."""
        return sum(map(self._is_snoozed, self.history.findings.values()))

    @property
    def chosen(self) -> FindingRaised | None:
        """The one that keys act on: the first, unless another one was chosen."""
        shown = self.shown
        named = (found for found in shown if found.code == self._chosen)
        return next(named, shown[0] if shown else None)

    @property
    def is_picked(self) -> bool:
        """Whether the chosen one is so because a person chose it."""
        return self._chosen is not None and self._chosen in self.history.findings

    def choose(self, direction: int) -> bool:
        """Choose the next finding below (1) or above (-1); return whether there is one."""
        shown, chosen = self.shown, self.chosen
        if chosen is None:
            return False
        place = shown.index(chosen) + direction
        if not 0 <= place < len(shown):
            return False
        self._chosen = shown[place].code
        return True

    def snooze(self) -> None:
        """Put the chosen finding off."""
        chosen = self.chosen
        if chosen is not None:
            self._snoozed[chosen.code] = (self._times_cleared(chosen.code), chosen.rank)
            self._chosen = None

    def unsnooze(self) -> None:
        """Bring back what was put off."""
        self._snoozed.clear()

    def _is_snoozed(self, found: FindingRaised) -> bool:
        if found.code not in self._snoozed:
            return False
        cleared, rank = self._snoozed[found.code]
        return cleared == self._times_cleared(found.code) and found.rank >= rank

    def _times_cleared(self, code: str) -> int:
        return sum(episode.finding.code == code for episode in self.history.past_findings)
