"""The apps: train a run, inspect a recorded run, replay a recorded run."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import ClassVar

from textual.binding import BindingType
from textual.notifications import SeverityLevel

from tui_trainer.history.target import Target, verdict_on
from tui_trainer.protocol.commands import Command, Stop
from tui_trainer.protocol.config import RunConfig
from tui_trainer.protocol.events import (
    CommandApplied,
    CommandRejected,
    DatasetWarning,
    Event,
    FindingRaised,
    FolderNotLocked,
    HookFailed,
    RecordRead,
    RunFinished,
    SettingChanged,
)
from tui_trainer.recording.folder import RUNS
from tui_trainer.terminal.notifications import notification
from tui_trainer.ui.base_app import BaseApp
from tui_trainer.ui.bridge import EventsArrived, RunRejected
from tui_trainer.ui.keys.contexts import RUN_ACTIONS
from tui_trainer.ui.keys.keymap import KEYMAP, WINDOW_KEYS
from tui_trainer.ui.pacing import Governor
from tui_trainer.ui.runs.live_run import LiveRun, Start
from tui_trainer.ui.runs.recorded_run import RecordedRun
from tui_trainer.ui.screens.dialogs import CheckScreen, FindingScreen
from tui_trainer.ui.screens.inspect_screen import InspectScreen
from tui_trainer.ui.screens.learn_screen import LearnScreen
from tui_trainer.ui.screens.model_screen import ModelScreen
from tui_trainer.ui.screens.replay_screen import ReplayScreen
from tui_trainer.ui.screens.run_screen import TrainScreen
from tui_trainer.ui.screens.runs_screen import RunsScreen
from tui_trainer.ui.screens.trial_screen import TrialScreen
from tui_trainer.ui.tour_actions import TourActions

VERDICT_SECONDS = 15.0
"""Seconds that the verdict on the target is shown; the status line keeps it."""

SHOWN_IN_PLACE = ("lesson/", "view/", "race", "find-lr")
"""Questions of these topics show their rejection in place of the answer, not as a toast."""

APPLIED = {
    "Pause": "pauses the run",
    "Resume": "resumes the run",
    "RunStep": "trains one batch",
    "RunEpoch": "trains to the end of the epoch",
    "EvaluateTest": "evaluates the test set",
    "Rewind": "rewinds the run",
    "Stop": "stops the run",
}
"""What another user does to the run, by the command; a changed knob has another event."""


class MnistTui(TourActions):
    """Trains one run at a time, and shows everything about it.

    Attributes:
        live_run: The run that is shown.
        start_error: Why the run could not start; None if it did.
        leaves_training: Whether the training continues in the background after the window closes.
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
        notify: str = "off",
        resuming: bool = False,
        pictures: Path | None = None,
        first_commands: tuple[Command, ...] = (),
        governor: Governor | None = None,
        runs: Path = RUNS,
        guided: bool = False,
        by: str = "",
    ) -> None:
        super().__init__(theme=theme, pictures=pictures)
        self.start_error: str | None = None
        self.leaves_training = False
        self._start = start
        self._by = by
        self._paused = paused
        self._notify = notify
        self._first_commands = first_commands
        self._governor = governor or Governor()
        self.add_mode("runs", partial(RunsScreen, runs, lambda: self.live_run.history.folder))
        self._resuming = resuming
        self.live_run = self.new_run(config)
        if guided:
            self.begin_tour()

    def new_run(self, config: RunConfig) -> LiveRun:
        """Return a run that has not begun."""
        is_past, self._resuming = self._resuming, False
        return LiveRun(config, self._start, self.post_message, by=self._by, is_past=is_past)

    def on_mount(self) -> None:
        """Start training as soon as the window is visible."""
        self.call_after_refresh(
            self.live_run.begin, paused=self._paused, first_commands=self._first_commands
        )

    def begin_run(self, config: RunConfig, *, paused: bool = False) -> None:
        """Start another run in place of a finished one."""
        # A finished run still answers questions, and keeps its model in memory for that.
        self.live_run.send(Stop(test=False))
        self.live_run = self.new_run(config)
        self._show()
        self.live_run.begin(paused=paused)

    def on_events_arrived(self, message: EventsArrived) -> None:
        """Apply the engine's events, and show them."""
        if not self.live_run.is_source(message.source):
            return
        for text in self.live_run.apply(message.events):
            self.write_to_terminal(notification(text, self._notify))
        self.observe(message.events)
        for event in message.events:
            self._notify_of(event)
            # The finding follows the Diverged event, and has the checkpoint to rewind to.
            if isinstance(event, FindingRaised | RecordRead) and self.live_run.has_diverged:
                self.call_later(self.offer_rewind)
        if not self.live_run.has_diverged:
            self.dismiss_rewind()
        self._governor.update()
        self.live_run.bridge.interval = self._governor.interval
        self._show(message)

    def post_hook_failure(self, failure: HookFailed) -> None:
        """Show the failure of a hook; may be called on any thread."""
        self.post_message(EventsArrived((failure,), self.live_run.bridge))

    def _notify_of(self, event: Event) -> None:
        """Show a notification of what no panel shows."""
        match event:
            case CommandRejected() if event.command.startswith(SHOWN_IN_PLACE):
                pass
            case CommandRejected() if self.live_run.is_mine(event):
                self.notify(event.reason, title="not possible", severity="warning")
            case SettingChanged() if event.by not in ("", self._by):
                self.notify(event.words, title=event.by)
            case CommandApplied() if event.command in APPLIED and not self.live_run.is_mine(event):
                self.notify(APPLIED[event.command], title=event.by)
            case RunFinished() if event.reason == "completed":
                self._show_verdict()
            case FolderNotLocked():
                self.notify(event.warning, title="not locked", severity="warning", timeout=10)
            case HookFailed():
                self.notify(event.warning, title="command failed", severity="warning", timeout=10)
            case DatasetWarning():
                self.notify(event.warning, title="the data", severity="warning", timeout=10)

    def _show_verdict(self) -> None:
        """Show whether the run has reached its target, if it has one."""
        target = Target.of(self.live_run.config.as_dict())
        if target is not None:
            verdict = verdict_on(self.live_run.history, target)
            severity: SeverityLevel = "information" if verdict.is_reached else "warning"
            title = f"target {'reached' if verdict.is_reached else 'missed'}"
            self.notify(verdict.reason, title=title, severity=severity, timeout=VERDICT_SECONDS)

    def _show(self, message: EventsArrived | None = None) -> None:
        events = message.events if message else ()
        started = self.live_run.history.started
        if started is not None and any(isinstance(event, RecordRead) for event in events):
            events = (*events, started)  # for a screen the run starts when its record is read
        for screen in self.screen_stack:
            if isinstance(screen, TrainScreen):
                screen.show_run(self.live_run, self._governor.cost, events)
            elif isinstance(screen, ModelScreen | LearnScreen | InspectScreen | TrialScreen):
                screen.show_run(self.live_run, events)
            elif isinstance(screen, CheckScreen):
                screen.show_run(self.live_run)
            elif isinstance(screen, FindingScreen):
                screen.show()
            elif isinstance(screen, RunsScreen) and screen.is_current:
                screen.show_live(self.live_run)
        self.show_tour()

    def show_requested(self) -> None:
        """Show a requested setting at once: the engine confirms it after the current batch."""
        for screen in self.screen_stack:
            if isinstance(screen, TrainScreen):
                screen.show_knobs(self.live_run, self._governor.cost)
            elif isinstance(screen, LearnScreen):
                screen.show_knobs()

    async def action_show_mode(self, mode: str) -> None:
        """Switch to another screen."""
        await self.switch_mode(mode)
        self._show()

    async def action_open_lesson(self) -> None:
        """Show the lesson of the chosen finding or verdict."""
        topic = self.topic
        if topic is None:
            return
        self.note_lesson_opened()
        await self.switch_mode("learn")
        # Before _show(): there the screen requests the experiment of its current lesson.
        if isinstance(self.front, LearnScreen):
            self.front.open(topic)
        self._show()

    def on_run_rejected(self, message: RunRejected) -> None:
        """Quit with the reason; the command line prints it."""
        self.start_error = message.reason
        self.exit()


TRAINING_ACTIONS = (RUN_ACTIONS - {"check"}) | {"toggle_tour", "move_tour"}
"""Actions that train, and the tour, which needs a run to train."""


class InspectApp(MnistTui):
    """Inspects the model of a recorded run; nothing is trained."""

    DEFAULT_MODE = "inspect"

    def __init__(
        self,
        start: Start,
        config: RunConfig,
        *,
        theme: str | None,
        view: str,
        screen: str = "inspect",
    ) -> None:
        super().__init__(start, config, theme=theme)
        self._first_view, self._first_screen = view, screen

    def on_mount(self) -> None:
        """Choose the view before the run starts."""
        self.call_after_refresh(self._open_first_view)

    async def _open_first_view(self) -> None:
        if isinstance(self.front, InspectScreen):
            self.front.open(self._first_view)
        if self._first_screen != self.current_mode:
            await self.action_show_mode(self._first_screen)

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Hide the actions that train."""
        return action not in TRAINING_ACTIONS and super().check_action(action, parameters)

    async def action_quit(self) -> None:
        """Quit without a question: there is nothing to lose."""
        self.exit()


class ReplayApp(BaseApp):
    """Replays one recorded run; closing it quits the app."""

    BINDINGS: ClassVar[list[BindingType]] = [*WINDOW_KEYS]
    DEFAULT_MODE = "replay"

    def __init__(
        self, run: RecordedRun, *, theme: str | None = None, pictures: Path | None = None
    ) -> None:
        super().__init__(theme=theme, pictures=pictures)
        self.add_mode("replay", partial(ReplayScreen, run))
