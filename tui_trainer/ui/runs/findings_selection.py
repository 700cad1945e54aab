"""The active findings as the user sees them: sorted, one chosen, some snoozed."""

from __future__ import annotations

from tui_trainer.history.history import History
from tui_trainer.protocol.events import Event, FindingRaised


class FindingsSelection:
    """The active findings that are not snoozed, and which one is chosen.

    A snoozed finding comes back if it is cleared and raised again, or while it is more severe than
    it was. This is state of the viewer only: neither the run nor its record has it.
    """

    def __init__(self, history: History) -> None:
        self.history = history
        self._chosen: str | None = None
        self._snoozed: dict[str, tuple[int, int]] = {}

    def observe(self, event: Event) -> None:
        """Process an event, before the history applies it."""
        if isinstance(event, FindingRaised) and event.code not in self.history.findings:
            # A new finding that is more severe than the chosen one becomes the chosen one.
            chosen = self.chosen
            if chosen is None or event.rank < chosen.rank:
                self._chosen = None

    @property
    def shown(self) -> list[FindingRaised]:
        """The findings that are not snoozed: most severe first, then those that a knob can fix."""
        return [found for found in self.history.most_severe_first if not self._is_snoozed(found)]

    @property
    def warnings(self) -> int:
        """Number of shown warnings and errors."""
        return sum(found.severity != "note" for found in self.shown)

    @property
    def notes(self) -> int:
        """Number of shown notes."""
        return len(self.shown) - self.warnings

    @property
    def snoozed(self) -> int:
        """Number of active findings that are snoozed."""
        return sum(map(self._is_snoozed, self.history.findings.values()))

    @property
    def chosen(self) -> FindingRaised | None:
        """The finding that the keys act on: by default the first one."""
        shown = self.shown
        named = (found for found in shown if found.code == self._chosen)
        return next(named, shown[0] if shown else None)

    @property
    def is_picked(self) -> bool:
        """Whether the user chose the finding."""
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
        """Snooze the chosen finding."""
        chosen = self.chosen
        if chosen is not None:
            self._snoozed[chosen.code] = (self._times_cleared(chosen.code), chosen.rank)
            self._chosen = None

    def unsnooze(self) -> None:
        """Show all snoozed findings again."""
        self._snoozed.clear()

    def _is_snoozed(self, found: FindingRaised) -> bool:
        if found.code not in self._snoozed:
            return False
        cleared, rank = self._snoozed[found.code]
        return cleared == self._times_cleared(found.code) and found.rank >= rank

    def _times_cleared(self, code: str) -> int:
        return sum(episode.finding.code == code for episode in self.history.past_findings)
