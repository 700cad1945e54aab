"""The live run of one seed, in a window that trains several."""

from __future__ import annotations

from tui_trainer.protocol.events import Event, FindingRaised
from tui_trainer.ui.runs.live_run import LiveRun


class SeedRun(LiveRun):
    """The run of one seed.

    Attributes:
        part: Its place in the group: ``seed 3 · 4 of 5``.
    """

    part = ""

    @property
    def role(self) -> str:
        """The seed and its place in the group."""
        return self.part

    def apply(self, events: tuple[Event, ...]) -> list[str]:
        """Apply the events; only the end of the group is worth a notification."""
        super().apply(events)
        return []

    def fixable(self) -> FindingRaised | None:
        """Return None: all seeds are trained with the same settings."""
        return None
