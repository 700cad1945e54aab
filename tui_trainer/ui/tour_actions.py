"""The guided path in the window: where its strip stands, and the keys that move it."""

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
"""The screens that the path leads to: its strip stands on them."""


class TourActions(RunActions):
    """Actions of the guided path, for the app to inherit.

    Attributes:
        guide: The path; None while nobody walks it.
    """

    tour: GuidedTour | None = None

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Hide the path's keys where its strip is not."""
        if action in ("toggle_tour", "move_tour"):
            is_here = isinstance(self.front, TOUR_SCREENS)
            return is_here and (action == "toggle_tour" or self.tour is not None)
        return super().check_action(action, parameters)

    def begin_tour(self) -> None:
        """Begin the guided path."""
        self.tour = GuidedTour()

    def observe(self, events: Iterable[Event]) -> None:
        """Let the path take in what has happened."""
        if self.tour is not None:
            for event in events:
                self.tour.notice(event)

    def note_lesson_opened(self) -> None:
        """Let the path take in that the lesson of a finding was opened."""
        if self.tour is not None:
            self.tour.record(LESSON_OPENED)

    def show_tour(self) -> None:
        """Show the step that is due on the screen in front, or take the strip away."""
        front = self.front if self.screen_stack else None  # none is left while the app closes
        if not isinstance(front, TOUR_SCREENS) or not front.is_mounted:
            return
        strips = front.query_children(TourPanel)
        if self.tour is None:
            if strips:
                strips.remove()
            return
        history = self.live_run.history
        step = self.tour.advance(history)
        if not strips:
            strip = TourPanel()
            front.mount(strip, before=front.query_one(KeyFooter))
        else:
            strip = strips.first()
        strip.show(step, self.tour.progress, is_over=history.is_over)

    def action_toggle_tour(self) -> None:
        """Begin the guided path, or end it."""
        if self.tour is None:
            self.begin_tour()
        else:
            self.tour = None
        self.show_tour()
        self.refresh_bindings()

    def action_move_tour(self, direction: int) -> None:
        """Go to the next step of the path, or to the one before."""
        if self.tour is not None:
            (self.tour.skip if direction > 0 else self.tour.back)()
            self.show_tour()
