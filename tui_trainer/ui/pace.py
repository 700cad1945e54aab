"""How often something may happen, on average."""

from __future__ import annotations


class Pace:
    """Says when the next turn is due; what comes late does not make the one after it later.

    Steps end when they end: who counted the seconds from the last turn would always wait for a
    part of a step more than was meant.
    """

    def __init__(self) -> None:
        self._due = float("-inf")

    def is_due(self, now: float, interval: float) -> bool:
        """Return whether a turn is due; if it is, it is taken as had."""
        if now < self._due:
            return False
        self._due = max(self._due + interval, now)
        return True

    def restart(self, now: float, interval: float) -> None:
        """Count a turn that was had out of turn."""
        self._due = now + interval
