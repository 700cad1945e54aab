"""The window: the run in training, its network, and the runs of before."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import ClassVar

from textual.binding import BindingType

from tui_trainer.run.commands import Command, Stop
from tui_trainer.run.config import RunConfig
from tui_trainer.run.events import CommandRejected, FindingRaised
from tui_trainer.run.folder import RUNS
from tui_trainer.ui.actions import RunActions
from tui_trainer.ui.bridge import EventsArrived, RunRefused
from tui_trainer.ui.governor import Governor
from tui_trainer.ui.keymap import KEYMAP
from tui_trainer.ui.live_run import LiveRun, Start
from tui_trainer.ui.screens.check import CheckScreen
from tui_trainer.ui.screens.model import ModelScreen
from tui_trainer.ui.screens.runs import RunsScreen
from tui_trainer.ui.screens.train import TrainScreen


class MnistTui(RunActions):
    """A laboratory for one run at a time.

    Attributes:
        run_now: The run that is shown.
        refusal: Why the run could not begin, None if it could.
    """

    BINDINGS: ClassVar[list[BindingType]] = [*KEYMAP]
    KEYS = KEYMAP
    MODES: ClassVar = {"train": TrainScreen, "model": ModelScreen}
    DEFAULT_MODE = "train"

    def __init__(
        self,
        start: Start,
        config: RunConfig,
        *,
        theme: str | None = None,
        paused: bool = False,
        pictures: Path | None = None,
        wishes: tuple[Command, ...] = (),
        governor: Governor | None = None,
        runs: Path = RUNS,
    ) -> None:
        super().__init__(theme=theme, pictures=pictures)
        self.refusal: str | None = None
        self._start = start
        self._paused = paused
        self._wishes = wishes
        self._governor = governor or Governor()
        self.add_mode("runs", partial(RunsScreen, runs, lambda: self.run_now.history.folder))
        self.run_now = LiveRun(config, start, self.post_message)

    def on_mount(self) -> None:
        """Begin to train as soon as there is a window to show it."""
        self.call_after_refresh(self.run_now.begin, paused=self._paused, wishes=self._wishes)

    def begin_run(self, config: RunConfig, *, paused: bool = False) -> None:
        """Start another run in place of one that is over."""
        # One that is over may still be answering questions, and keeps its network for that.
        self.run_now.send(Stop(test=False))
        self.run_now = LiveRun(config, self._start, self.post_message)
        self._show()
        self.run_now.begin(paused=paused)

    def on_events_arrived(self, message: EventsArrived) -> None:
        """Take in what the engine says, and show it."""
        if message.source is not self.run_now.bridge:
            return
        self.run_now.apply(message.events)
        for event in message.events:
            if isinstance(event, CommandRejected):
                self.notify(event.reason, title="not possible", severity="warning")
            # The finding comes after the divergence, and says what to go back to.
            if isinstance(event, FindingRaised) and self.run_now.is_lost:
                self.call_later(self.offer_rewind)
        if not self.run_now.is_lost:
            self.withdraw_rewind()
        self._governor.update()
        self.run_now.bridge.interval = self._governor.interval
        self._show(message)

    def _show(self, message: EventsArrived | None = None) -> None:
        events = message.events if message else ()
        for screen in self.screen_stack:
            if isinstance(screen, TrainScreen):
                screen.show_run(self.run_now, self._governor.cost, events)
            elif isinstance(screen, ModelScreen):
                screen.show_run(self.run_now, events)
            elif isinstance(screen, CheckScreen):
                screen.show_run(self.run_now)
            elif isinstance(screen, RunsScreen) and screen.is_current:
                screen.show_live(self.run_now)

    def show_wishes(self) -> None:
        """Show at once where a knob is wanted to go: a batch may pass before the engine answers."""
        for screen in self.screen_stack:
            if isinstance(screen, TrainScreen):
                screen.show_knobs(self.run_now, self._governor.cost)

    async def action_show_mode(self, mode: str) -> None:
        """Show the run in training, its network, or the recorded runs."""
        await self.switch_mode(mode)
        self._show()

    def on_run_refused(self, message: RunRefused) -> None:
        """Leave with the reason: it is for the command line to tell."""
        self.refusal = message.reason
        self.exit()
