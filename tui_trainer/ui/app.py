"""The window: themes, keys, and the run that it shows."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import ClassVar

from textual.actions import parse
from textual.app import SystemCommand
from textual.binding import BindingType
from textual.screen import Screen

from tui_trainer.run.config import RunConfig
from tui_trainer.run.events import CommandRejected
from tui_trainer.ui import themes
from tui_trainer.ui.actions import RunActions
from tui_trainer.ui.bridge import EventsArrived, RunRefused
from tui_trainer.ui.governor import Governor
from tui_trainer.ui.keymap import KEYMAP
from tui_trainer.ui.live_run import LiveRun, Start
from tui_trainer.ui.screens.text import FailureScreen, HelpScreen
from tui_trainer.ui.screens.train import TrainScreen


class MnistTui(RunActions):
    """A laboratory for one run at a time.

    Attributes:
        run_now: The run that is shown.
        refusal: Why the run could not begin, None if it could.
    """

    TITLE = "mnist-tui"
    BINDINGS: ClassVar[list[BindingType]] = [*KEYMAP]
    MODES: ClassVar = {"train": TrainScreen}
    DEFAULT_MODE = "train"

    def __init__(
        self,
        start: Start,
        config: RunConfig,
        *,
        theme: str | None = None,
        paused: bool = False,
        pictures: Path | None = None,
        governor: Governor | None = None,
    ) -> None:
        super().__init__()
        self.refusal: str | None = None
        self._start = start
        self._paused = paused
        self._pictures = pictures or Path.cwd()
        self._governor = governor or Governor()
        self._theme_problems = self._register_themes(theme)
        self.run_now = LiveRun(config, start, self.post_message)

    def _register_themes(self, wanted: str | None) -> list[str]:
        """Offer our themes alone: only they are made for the roles of this app."""
        ours, problems = themes.available()
        chosen = themes.find(wanted) if wanted else ours[themes.DEFAULT_THEME]
        for theme in {**ours, chosen.name: chosen}.values():
            self.register_theme(theme)
        self.theme = chosen.name
        for name in set(self.available_themes) - {*ours, chosen.name}:
            self.unregister_theme(name)
        return problems

    def get_theme_variable_defaults(self) -> dict[str, str]:
        """Give every role a colour in any theme."""
        return themes.role_defaults(self.current_theme)

    def on_mount(self) -> None:
        """Begin to train as soon as there is a window to show it."""
        for problem in self._theme_problems:
            self.notify(problem, title="theme left out", severity="warning", timeout=10)
        self.call_after_refresh(self.run_now.begin, paused=self._paused)

    def begin_run(self, config: RunConfig, *, paused: bool = False) -> None:
        """Start another run in place of one that is over."""
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
        self._governor.update()
        self.run_now.bridge.interval = self._governor.interval
        self._show(message)

    def _show(self, message: EventsArrived | None = None) -> None:
        for screen in self._train_screens():
            events = message.events if message else ()
            screen.show_run(self.run_now, self._governor.cost, events)

    def show_wishes(self) -> None:
        """Show at once where a knob is wanted to go: a batch may pass before the engine answers."""
        for screen in self._train_screens():
            screen.show_knobs(self.run_now, self._governor.cost)

    def _train_screens(self) -> list[TrainScreen]:
        return [screen for screen in self.screen_stack if isinstance(screen, TrainScreen)]

    def on_run_refused(self, message: RunRefused) -> None:
        """Leave with the reason: it is for the command line to tell."""
        self.refusal = message.reason
        self.exit()

    def get_system_commands(self, screen: Screen[object]) -> Iterable[SystemCommand]:
        """Offer every key's action by name."""
        for binding in KEYMAP:
            if binding.tooltip and self.check_action(*_parsed(binding.action)):
                name, action = binding.description.capitalize(), binding.action
                yield SystemCommand(
                    name, binding.tooltip, lambda a=action: self.call_later(self.run_action, a)
                )
        yield SystemCommand(
            "Choose a theme", "Pick a colour theme from the list", self.action_change_theme
        )

    def action_next_view(self) -> None:
        """Show the next panel of a small window."""
        if isinstance(self.screen, TrainScreen):
            self.screen.next_view()

    def action_next_theme(self) -> None:
        """Change to the next theme."""
        names = sorted(self.available_themes)
        self.theme = names[(names.index(self.theme) + 1) % len(names)]
        self.notify(f"theme: {self.theme}", timeout=2)

    def action_save_picture(self) -> None:
        """Save the window as an SVG."""
        try:
            self._pictures.mkdir(parents=True, exist_ok=True)
            path = self.save_screenshot(path=str(self._pictures))
        except OSError as error:
            reason = error.strerror or str(error)
            self.notify(f"{self._pictures}: {reason}", title="not saved", severity="error")
        else:
            self.notify(path, title="picture saved")

    def action_show_help(self) -> None:
        """Show the keys and the signs."""
        self.push_screen(HelpScreen())

    def action_show_failure(self) -> None:
        """Show the traceback of a failed run."""
        if self.run_now.history.failure is not None:
            self.push_screen(FailureScreen(self.run_now.history.failure.traceback))


def _parsed(action: str) -> tuple[str, tuple[object, ...]]:
    _, name, parameters = parse(action)
    return name, parameters
