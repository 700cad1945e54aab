"""The guided tour in the window: the screens that show it, and its actions."""

from __future__ import annotations

from collections.abc import Iterable

from tui_trainer.course.guided_tour import LESSON_OPENED, GuidedTour
from tui_trainer.protocol.events import Event
from tui_trainer.ui.run_actions import RunActions
from tui_trainer.ui.screens.inspect_screen import InspectScreen
from tui_trainer.ui.screens.learn_screen import LearnScreen
from tui_trainer.ui.screens.run_screen import TrainScreen
from tui_trainer.ui.widgets.key_footer import KeyFooter
from tui_trainer.ui.widgets.tour_panel import TourPanel

TOUR_SCREENS = (TrainScreen, LearnScreen, InspectScreen)
"""The screens that the tour leads to; its panel is shown on them."""


class TourActions(RunActions):
    """A mixin with the actions of the guided tour.

    Attributes:
        tour: The tour; None while it is off.
    """

    tour: GuidedTour | None = None

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Hide the tour's keys on screens without its panel."""
        if action in ("toggle_tour", "move_tour"):
            is_here = isinstance(self.front, TOUR_SCREENS)
            return is_here and (action == "toggle_tour" or self.tour is not None)
        return super().check_action(action, parameters)

    def begin_tour(self) -> None:
        """Start the guided tour."""
        self.tour = GuidedTour()

    def observe(self, events: Iterable[Event]) -> None:
        """Pass events to the tour."""
        if self.tour is not None:
            for event in events:
                self.tour.notice(event)

    def note_lesson_opened(self) -> None:
        """Record in the tour that the lesson of a finding was opened."""
        if self.tour is not None:
            self.tour.record(LESSON_OPENED)

    def show_tour(self) -> None:
        """Show the current step on the front screen, or remove the panel."""
        front = self.front if self.screen_stack else None  # none is left while the app closes
        if not isinstance(front, TOUR_SCREENS) or not front.is_mounted:
            return
        panels = front.query_children(TourPanel)
        if self.tour is None:
            if panels:
                panels.remove()
            return
        history = self.live_run.history
        step = self.tour.advance(history)
        if not panels:
            panel = TourPanel()
            front.mount(panel, before=front.query_one(KeyFooter))
        else:
            panel = panels.first()
        panel.show(step, self.tour.progress, is_over=history.is_over)

    def action_toggle_tour(self) -> None:
        """Start or end the guided tour."""
        if self.tour is None:
            self.begin_tour()
        else:
            self.tour = None
        self.show_tour()
        self.refresh_bindings()

    def action_move_tour(self, direction: int) -> None:
        """Go to the next step (1), or to the previous one (-1)."""
        if self.tour is not None:
            (self.tour.skip if direction > 0 else self.tour.back)()
            self.show_tour()
