"""A race: the arms' curves side by side, their paired differences, and the choice of one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from textual.binding import BindingType

from tui_trainer.protocol import commands
from tui_trainer.protocol.exhibit import Exhibit, Table
from tui_trainer.ui.keys.keymap import RACE_KEYS
from tui_trainer.ui.runs.live_run import LiveRun
from tui_trainer.ui.runs.questions import ExhibitQuestions
from tui_trainer.ui.screens.dialogs import Answer, ConfirmScreen
from tui_trainer.ui.screens.exhibit_views import race_view
from tui_trainer.ui.screens.trial_screen import TrialScreen
from tui_trainer.ui.widgets.exhibit_head import ExhibitView

KEYS = "abc"
"""The keys of the arms, as in the race's table."""


class RaceScreen(TrialScreen):
    """Asks what to race, shows the race, and lets the user choose an arm.

    A running run is paused while there is something to choose, and goes on afterwards.
    """

    BINDINGS: ClassVar[list[BindingType]] = [*RACE_KEYS]

    def __init__(self, run: LiveRun) -> None:
        super().__init__(run)
        self._resumes = False

    @property
    def questions(self) -> ExhibitQuestions:
        """The questions about the race."""
        return self.run.race

    def exhibit_view(self) -> ExhibitView:
        """Return the race."""
        return race_view(self.run, self._control)

    @property
    def arms(self) -> Mapping[str, str]:
        """The names of the arms that can be chosen, by key; none before the race has ended."""
        race = self.questions
        if race.exhibit is None or race.is_waiting or not race.has_result:
            return {}
        return arms_of(race.exhibit)

    def show_exhibit(self) -> None:
        """Show the race."""
        super().show_exhibit()
        self.refresh_keys(self.questions.is_running, self.questions.has_result, *self.arms)

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Hide the keys of arms that cannot be chosen."""
        if action == "choose_arm":
            return KEYS[int(str(parameters[0])) - 1] in self.arms
        return super().check_action(action, parameters)

    def on_exhibit_panel_confirmed(self) -> None:
        """Start the race; a running run pauses, and goes on when the screen is left."""
        if self.can_choose and not self.questions.is_running:
            if not self.run.is_paused:
                self._resumes = True
                self.run.send(commands.Pause())
            super().on_exhibit_panel_confirmed()

    def action_choose_arm(self, number: int) -> None:
        """Ask from where to go on with an arm; then leave."""
        name = self.arms[KEYS[number - 1]]

        def answer(chosen: Answer | None) -> None:
            if chosen:
                self.run.send(commands.AdoptArm(number, at_end=chosen is True))
                self.leave()

        question = ConfirmScreen(
            f"Go on with {name}?",
            "From the end: its batches count as trained. From here: only the setting changes.",
            "from the end",
            other="from here",
        )
        self.app.push_screen(question, answer)

    def leave(self) -> None:
        """Close the screen; a run that it has paused goes on."""
        if self._resumes and not self.run.history.is_over:
            self.run.send(commands.Resume())
        super().leave()


def arms_of(exhibit: Exhibit) -> dict[str, str]:
    """Return the names of the arms with a key, by key."""
    for block in exhibit.blocks:
        if isinstance(block, Table) and block.heads[:1] == ("key",):
            return {row[0]: row[1] for row in block.rows if row[0]}
    return {}
