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
from tui_trainer.ui.widgets.tour_panel import GuideStrip

WALKED = (TrainScreen, LearnScreen, InspectScreen)
"""The screens that the path leads to: its strip stands on them."""


class Guided(RunActions):
    """Actions of the guided path, for the app to inherit.

    Attributes:
        guide: The path; None while nobody walks it.
    """

    guide: GuidedTour | None = None

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Hide the path's keys where its strip is not."""
        if action in ("toggle_guide", "move_guide"):
            is_here = isinstance(self.front, WALKED)
            return is_here and (action == "toggle_guide" or self.guide is not None)
        return super().check_action(action, parameters)

    def begin_guide(self) -> None:
        """Begin the guided path."""
        self.guide = GuidedTour()

    def notice(self, events: Iterable[Event]) -> None:
        """Let the path take in what has happened."""
        if self.guide is not None:
            for event in events:
                self.guide.notice(event)

    def notice_lesson(self) -> None:
        """Let the path take in that the lesson of a finding was opened."""
        if self.guide is not None:
            self.guide.record(LESSON_OPENED)

    def show_guide(self) -> None:
        """Show the step that is due on the screen in front, or take the strip away."""
        front = self.front if self.screen_stack else None  # none is left while the app closes
        if not isinstance(front, WALKED) or not front.is_mounted:
            return
        strips = front.query_children(GuideStrip)
        if self.guide is None:
            if strips:
                strips.remove()
            return
        history = self.run_now.history
        step = self.guide.advance(history)
        if not strips:
            strip = GuideStrip()
            front.mount(strip, before=front.query_one(KeyFooter))
        else:
            strip = strips.first()
        strip.show(step, self.guide.progress, is_over=history.is_over)

    def action_toggle_guide(self) -> None:
        """Begin the guided path, or end it."""
        if self.guide is None:
            self.begin_guide()
        else:
            self.guide = None
        self.show_guide()
        self.refresh_bindings()

    def action_move_guide(self, direction: int) -> None:
        """Go to the next step of the path, or to the one before."""
        if self.guide is not None:
            (self.guide.skip if direction > 0 else self.guide.back)()
            self.show_guide()
