"""The learning rate finder: range tests from the live run, and taking over what they suggest."""

from __future__ import annotations

from typing import ClassVar

from textual.binding import BindingType

from tui_trainer.protocol.lr_range import NOW
from tui_trainer.text import fmt
from tui_trainer.ui.keys.keymap import FIND_LR_KEYS
from tui_trainer.ui.runs.limits import knob_limit
from tui_trainer.ui.runs.questions import ExhibitQuestions
from tui_trainer.ui.screens.exhibit_views import find_lr_view
from tui_trainer.ui.screens.trial_screen import TrialScreen
from tui_trainer.ui.widgets.exhibit_head import ExhibitView


class FindLrScreen(TrialScreen):
    """Shows the range tests; ``f`` sets the base learning rate to the suggestion."""

    BINDINGS: ClassVar[list[BindingType]] = [*FIND_LR_KEYS]

    @property
    def questions(self) -> ExhibitQuestions:
        """The questions about the learning rate."""
        return self.run.find_lr

    def exhibit_view(self) -> ExhibitView:
        """Return the tests."""
        return find_lr_view(self.run, self._control)

    def ask(self) -> None:
        """Ask for the first exhibit; keep a result that is there."""
        if not self.questions.has_result:
            super().ask()

    @property
    def suggested(self) -> float | None:
        """The base learning rate that can be taken over; None if there is none.

        One for new weights is no advice for a run that has begun.
        """
        exhibit, run = self.questions.exhibit, self.run
        history = run.history
        if exhibit is None or self.questions.is_waiting:
            return None
        if history.is_over or history.is_viewing or run.has_diverged:
            return None
        if knob_limit(history.started, "base_lr") or run.is_read_only:
            return None
        figures = exhibit.figures
        fits = figures.get("start") == NOW or not figures.get("step")
        base_lr = figures.get("base_lr")
        return base_lr if fits and isinstance(base_lr, float) else None

    def show_exhibit(self) -> None:
        """Show the tests."""
        super().show_exhibit()
        self.refresh_keys(self.questions.is_running, self.suggested)

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Hide the key of a suggestion that is not there."""
        if action == "take_over":
            return self.suggested is not None
        return super().check_action(action, parameters)

    def action_take_over(self) -> None:
        """Set the base learning rate to the suggestion, and leave."""
        base_lr = self.suggested
        if base_lr is None:
            return
        self.run.set_knob("base_lr", base_lr)
        self.app.notify(f"base learning rate: {fmt.learning_rate(base_lr)}")
        self.leave()
