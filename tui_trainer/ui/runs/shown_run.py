"""What a screen of curves needs to know of the run that it shows, live or recorded."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from tui_trainer.history.history import History
from tui_trainer.protocol.config import RunConfig
from tui_trainer.protocol.events import FindingRaised
from tui_trainer.ui.runs.findings_selection import Standing


class ShownRun(Protocol):
    """A run on show."""

    @property
    def config(self) -> RunConfig:
        """The settings that it began with."""

    @property
    def history(self) -> History:
        """What is true of it now."""

    @property
    def wanted(self) -> Mapping[str, float]:
        """Where its knobs are wished to go, and have not gone yet."""

    @property
    def standing(self) -> Standing:
        """Its findings as they are on show."""

    @property
    def is_live(self) -> bool:
        """Whether keys act on it."""

    @property
    def is_probed(self) -> bool:
        """Whether gradients and activations are looked at."""

    def fixable(self) -> FindingRaised | None:
        """Return the finding that a key would mend now, None if there is none."""
