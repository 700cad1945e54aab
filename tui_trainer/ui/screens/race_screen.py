"""A race: the arms' curves side by side, their paired differences, and the choice of one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import BindingType
from textual.widget import Widget

from tui_trainer.protocol import commands
from tui_trainer.protocol.events import Event, StepDone
from tui_trainer.protocol.exhibit import Exhibit, Table
from tui_trainer.ui.keys.keymap import RACE_KEYS
from tui_trainer.ui.runs.live_run import LiveRun
from tui_trainer.ui.runs.questions import ExhibitQuestions
from tui_trainer.ui.screens.dialogs import Answer, ConfirmScreen
from tui_trainer.ui.screens.exhibit_screen import ExhibitScreen
from tui_trainer.ui.screens.exhibit_views import race_view, unavailable_reason
from tui_trainer.ui.widgets.exhibit_panel import ExhibitPanel
from tui_trainer.ui.widgets.number_line import NumberLine
from tui_trainer.ui.widgets.status_lines import TopLine

KEYS = "abc"
"""The keys of the arms, as in the race's table."""


class RaceScreen(ExhibitScreen):
    """Asks what to race, shows the race, and lets the user choose an arm.

    A running run is paused while there is something to choose, and goes on afterwards.
    """

    CSS_PATH = "views.tcss"
    AUTO_FOCUS = "#race"
    BINDINGS: ClassVar[list[BindingType]] = [*RACE_KEYS]
    VIEWS: ClassVar[tuple[str, ...]] = ("race",)
    PANELS: ClassVar[Mapping[str, type[Widget]]] = {"race": ExhibitPanel}
    DEFAULT_CSS = """
    RaceScreen #race { height: 1fr; }
    RaceScreen.-too-small #race, RaceScreen.-too-small #number { display: none; }
    """

    def __init__(self, run: LiveRun) -> None:
        super().__init__()
        self._raced = run
        self._resumes = False

    def compose(self) -> ComposeResult:
        """The top line, the exhibit and the line for a number."""
        yield TopLine(id="top")
        yield ExhibitPanel(id="race")
        yield NumberLine(id="number")
        yield from self.compose_end()

    def on_mount(self) -> None:
        """Ask what could be raced."""
        super().on_mount()
        self.set_run(self._raced)
        if not unavailable_reason(self._raced):
            self._raced.race.open("")
        self.show_exhibit()

    @property
    def choosing(self) -> ExhibitQuestions | None:
        """The questions about the race."""
        return self._raced.race

    @property
    def arms(self) -> Mapping[str, str]:
        """The names of the arms that can be chosen, by key; none before the race has ended."""
        race = self._raced.race
        if race.exhibit is None or race.is_waiting or not race.has_result:
            return {}
        return arms_of(race.exhibit)

    def show_run(self, run: LiveRun, events: Sequence[Event] = ()) -> None:
        """Show the run's state; of a step only the top line."""
        if run is not self._raced:
            return
        self.set_run(run)
        if not events or any(not isinstance(event, StepDone) for event in events):
            self.show_exhibit()

    def show_exhibit(self) -> None:
        """Show the race."""
        self.query_one(ExhibitPanel).show(race_view(self._raced, self._control))
        race = self._raced.race
        self.refresh_keys(race.is_running, race.has_result, *self.arms)

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Hide the keys of arms that cannot be chosen."""
        if action == "choose_arm":
            return KEYS[int(str(parameters[0])) - 1] in self.arms
        return super().check_action(action, parameters)

    def on_exhibit_panel_confirmed(self) -> None:
        """Start the race; a running run pauses, and goes on when the screen is left."""
        if self.can_choose and not self._raced.race.is_running:
            if not self._raced.is_paused:
                self._resumes = True
                self._raced.send(commands.Pause())
            super().on_exhibit_panel_confirmed()

    def action_choose_arm(self, number: int) -> None:
        """Ask from where to go on with an arm; then leave."""
        name = self.arms[KEYS[number - 1]]

        def answer(chosen: Answer | None) -> None:
            if chosen:
                self._raced.send(commands.AdoptArm(number, at_end=chosen is True))
                self._leave()

        question = ConfirmScreen(
            f"Go on with {name}?",
            "From the end: its batches count as trained. From here: only the setting changes.",
            "from the end",
            other="from here",
        )
        self.app.push_screen(question, answer)

    def action_leave_race(self) -> None:
        """Stop a running race; without one, leave: nothing has changed."""
        if self._raced.race.is_running:
            self._raced.race.stop()
            self.show_exhibit()
        else:
            self._leave()

    def _leave(self) -> None:
        if self._resumes and not self._raced.history.is_over:
            self._raced.send(commands.Resume())
        self.dismiss()


def arms_of(exhibit: Exhibit) -> dict[str, str]:
    """Return the names of the arms with a key, by key."""
    for block in exhibit.blocks:
        if isinstance(block, Table) and block.heads[:1] == ("key",):
            return {row[0]: row[1] for row in block.rows if row[0]}
    return {}
