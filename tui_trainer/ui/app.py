"""The windows: a run in training, a recorded run to inspect, and one to replay."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import ClassVar

from textual.binding import BindingType

from tui_trainer.protocol.commands import Command, Stop
from tui_trainer.protocol.config import RunConfig
from tui_trainer.protocol.events import (
    CommandRejected,
    DatasetDoubted,
    FindingRaised,
    FolderNotLocked,
)
from tui_trainer.recording.folder import RUNS
from tui_trainer.ui.base_app import BaseApp
from tui_trainer.ui.bridge import EventsArrived, RunRejected
from tui_trainer.ui.keys.contexts import RUN_ACTIONS
from tui_trainer.ui.keys.keymap import KEYMAP, WINDOW_KEYS
from tui_trainer.ui.pacing import Governor
from tui_trainer.ui.runs.live_run import LiveRun, Start
from tui_trainer.ui.runs.recorded_run import RecordedRun
from tui_trainer.ui.screens.dialogs import CheckScreen
from tui_trainer.ui.screens.inspect_screen import InspectScreen
from tui_trainer.ui.screens.learn_screen import LearnScreen
from tui_trainer.ui.screens.model_screen import ModelScreen
from tui_trainer.ui.screens.replay_screen import ReplayScreen
from tui_trainer.ui.screens.run_screen import TrainScreen
from tui_trainer.ui.screens.runs_screen import RunsScreen
from tui_trainer.ui.tour_actions import TourActions

SHOWN_IN_PLACE = ("lesson/", "view/")
"""Why a question of these topics got no answer stands where the answer would."""


class MnistTui(TourActions):
    """A laboratory for one run at a time.

    Attributes:
        run_now: The run that is shown.
        refusal: Why the run could not begin, None if it could.
    """

    BINDINGS: ClassVar[list[BindingType]] = [*KEYMAP]
    KEYS = KEYMAP
    MODES: ClassVar = {
        "train": TrainScreen,
        "model": ModelScreen,
        "inspect": InspectScreen,
        "learn": LearnScreen,
    }
    DEFAULT_MODE = "train"

    def __init__(
        self,
        start: Start,
        config: RunConfig,
        *,
        theme: str | None = None,
        paused: bool = False,
        pictures: Path | None = None,
        first_commands: tuple[Command, ...] = (),
        governor: Governor | None = None,
        runs: Path = RUNS,
        guided: bool = False,
    ) -> None:
        super().__init__(theme=theme, pictures=pictures)
        self.start_error: str | None = None
        self._start = start
        self._paused = paused
        self._first_commands = first_commands
        self._governor = governor or Governor()
        self.add_mode("runs", partial(RunsScreen, runs, lambda: self.live_run.history.folder))
        self.live_run = LiveRun(config, start, self.post_message)
        if guided:
            self.begin_tour()

    def on_mount(self) -> None:
        """Begin to train as soon as there is a window to show it."""
        self.call_after_refresh(
            self.live_run.begin, paused=self._paused, first_commands=self._first_commands
        )

    def begin_run(self, config: RunConfig, *, paused: bool = False) -> None:
        """Start another run in place of one that is over."""
        # One that is over may still be answering questions, and keeps its network for that.
        self.live_run.send(Stop(test=False))
        self.live_run = LiveRun(config, self._start, self.post_message)
        self._show()
        self.live_run.begin(paused=paused)

    def on_events_arrived(self, message: EventsArrived) -> None:
        """Take in what the engine says, and show it."""
        if message.source is not self.live_run.bridge:
            return
        self.live_run.apply(message.events)
        self.observe(message.events)
        for event in message.events:
            if isinstance(event, CommandRejected) and not event.command.startswith(SHOWN_IN_PLACE):
                self.notify(event.reason, title="not possible", severity="warning")
            if isinstance(event, FolderNotLocked):
                self.notify(event.warning, title="not locked", severity="warning", timeout=10)
            if isinstance(event, DatasetDoubted):
                self.notify(event.warning, title="the data", severity="warning", timeout=10)
            # The finding comes after the divergence, and says what to go back to.
            if isinstance(event, FindingRaised) and self.live_run.has_diverged:
                self.call_later(self.offer_rewind)
        if not self.live_run.has_diverged:
            self.dismiss_rewind()
        self._governor.update()
        self.live_run.bridge.interval = self._governor.interval
        self._show(message)

    def _show(self, message: EventsArrived | None = None) -> None:
        events = message.events if message else ()
        for screen in self.screen_stack:
            if isinstance(screen, TrainScreen):
                screen.show_run(self.live_run, self._governor.cost, events)
            elif isinstance(screen, ModelScreen | LearnScreen | InspectScreen):
                screen.show_run(self.live_run, events)
            elif isinstance(screen, CheckScreen):
                screen.show_run(self.live_run)
            elif isinstance(screen, RunsScreen) and screen.is_current:
                screen.show_live(self.live_run)
        self.show_tour()

    def show_requested(self) -> None:
        """Show at once where a knob is wanted to go: a batch may pass before the engine answers."""
        for screen in self.screen_stack:
            if isinstance(screen, TrainScreen):
                screen.show_knobs(self.live_run, self._governor.cost)
            elif isinstance(screen, LearnScreen):
                screen.show_knobs()

    async def action_show_mode(self, mode: str) -> None:
        """Show the run, its network, what that has learned, the lessons, or the recorded runs."""
        await self.switch_mode(mode)
        self._show()

    async def action_open_lesson(self) -> None:
        """Show the lesson of what is chosen on the screen in front."""
        topic = self.topic
        if topic is None:
            return
        self.note_lesson_opened()
        await self.switch_mode("learn")
        # Before the screen is shown the run: it asks what the experiment of its lesson shows.
        if isinstance(self.front, LearnScreen):
            self.front.open(topic)
        self._show()

    def on_run_rejected(self, message: RunRejected) -> None:
        """Leave with the reason: it is for the command line to tell."""
        self.start_error = message.reason
        self.exit()


TRAINING_ACTIONS = (RUN_ACTIONS - {"check"}) | {"toggle_tour", "move_tour"}
"""The actions that train, or lead to what is to be trained."""


class InspectApp(MnistTui):
    """Shows what the network of a recorded run has learned; nothing is trained."""

    DEFAULT_MODE = "inspect"

    def __init__(self, start: Start, config: RunConfig, *, theme: str | None, view: str) -> None:
        super().__init__(start, config, theme=theme)
        self._first_view = view

    def on_mount(self) -> None:
        """Choose the view before there is a run to ask about."""
        self.call_after_refresh(self._open_first_view)

    def _open_first_view(self) -> None:
        if isinstance(self.front, InspectScreen):
            self.front.open(self._first_view)

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Hide what would train."""
        return action not in TRAINING_ACTIONS and super().check_action(action, parameters)

    async def action_quit(self) -> None:
        """Quit: nothing is lost."""
        self.exit()


class ReplayApp(BaseApp):
    """Shows one recorded run; closing it leaves the app."""

    BINDINGS: ClassVar[list[BindingType]] = [*WINDOW_KEYS]
    DEFAULT_MODE = "replay"

    def __init__(
        self, run: RecordedRun, *, theme: str | None = None, pictures: Path | None = None
    ) -> None:
        super().__init__(theme=theme, pictures=pictures)
        self.add_mode("replay", partial(ReplayScreen, run))
