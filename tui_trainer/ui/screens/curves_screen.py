"""A screen with the curves of several runs, of which some may grow."""

from __future__ import annotations

from typing import ClassVar

from tui_trainer.ui.overlay import METRICS
from tui_trainer.ui.pacing import Pace
from tui_trainer.ui.screens.base_screen import ViewScreen


class CurvesScreen(ViewScreen):
    """Draws its curves seldom while they only grow; a key chooses their metric.

    Attributes:
        CURVES_EVERY: Seconds between two drawings of curves that only grow.
    """

    CURVES_EVERY: ClassVar[float]

    def __init__(self) -> None:
        super().__init__()
        self._metric = next(iter(METRICS))
        self._pace = Pace()

    def update_curves(self, *, is_step: bool = False) -> None:
        """Draw the curves; after steps at most every :attr:`CURVES_EVERY` seconds."""
        now = self._clock()
        if is_step and not self._pace.is_due(now, self.CURVES_EVERY):
            return
        self._pace.restart(now, self.CURVES_EVERY)
        self.draw_curves()

    def draw_curves(self) -> None:
        """Draw the curves now; implemented by each screen."""
        raise NotImplementedError

    @property
    def metric(self) -> str:
        """The metric of the first chart."""
        return self._metric

    def action_next_metric(self) -> None:
        """Draw the next metric."""
        names = [*METRICS]
        self._metric = names[(names.index(self._metric) + 1) % len(names)]
        self.update_curves()
