"""The base of the apps: themes, screenshots, help, signals and output redirection."""

from __future__ import annotations

import shlex
import subprocess
import sys
from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import ClassVar, TextIO

from rich.console import Console
from textual.actions import parse
from textual.app import App, SuspendNotSupported, SystemCommand
from textual.binding import Binding
from textual.notifications import SeverityLevel
from textual.screen import ModalScreen, Screen

from tui_trainer.protocol.errors import reason
from tui_trainer.protocol.events import RunFailed
from tui_trainer.ui.chart_view import ChartView
from tui_trainer.ui.keys.binding import use_keymap
from tui_trainer.ui.keys.keymap import WINDOW_KEYS, with_keys
from tui_trainer.ui.keys.keys_file import load_keymap
from tui_trainer.ui.screens.base_screen import ViewScreen, WindowRequested
from tui_trainer.ui.screens.help_screen import FailureScreen, HelpScreen
from tui_trainer.ui.terminal import signal_handlers
from tui_trainer.ui.terminal.output_log import CHECK_SECONDS, OutputLog, driver_on
from tui_trainer.ui.theming import themes


class BaseApp(App[None]):
    """An app with our themes and keys.

    Attributes:
        KEYS: The app's bindings that the command palette offers by name.
        chart_views: The view of each chart by its id, kept from run to run.
        exit_reason: The reason of the signal that ended the app; None if the user quit.
        run_program: Runs a program on the terminal, and returns its exit code.
        before_exit: Called before a signal ends the process, after the run was stopped.
    """

    TITLE = "mnist-tui"
    KEYS: ClassVar[list[Binding]] = WINDOW_KEYS

    def __init__(self, *, theme: str | None = None, pictures: Path | None = None) -> None:
        super().__init__()
        self.chart_views: dict[str, ChartView] = {}
        self.exit_reason: str | None = None
        self.before_exit: Callable[[], object] = lambda: None
        self.run_program = run_program
        self._signals = ExitStack()
        self._pictures = pictures or Path.cwd()
        self._theme_problems = self._register_themes(theme)
        keymap = load_keymap()
        use_keymap(keymap)
        self.set_keymap(keymap)
        self._outputs: OutputLog | None = None

    def notify(
        self,
        message: str,
        *,
        title: str = "",
        severity: SeverityLevel = "information",
        timeout: float | None = None,
        markup: bool = False,
    ) -> None:
        """Show a notification as plain text: names of files in it could have any markup."""
        super().notify(message, title=title, severity=severity, timeout=timeout, markup=False)

    def draw_on(self, outputs: OutputLog) -> None:
        """Draw on the terminal while all other output is redirected; call this before ``run``."""
        if outputs.terminal is not None:
            self._outputs = outputs
            self.driver_class = driver_on(self.driver_class, outputs.terminal)
            self.error_console = Console(file=outputs.terminal, markup=False, highlight=False)

    def _log_prints(self) -> None:
        """Send Python's prints to descriptors 1 and 2; Textual would swallow them."""
        if self._outputs is not None:
            sys.stdout, sys.stderr = sys.__stdout__, sys.__stderr__
            self.set_interval(CHECK_SECONDS, self._outputs.check)

    def _register_themes(self, wanted: str | None) -> list[str]:
        """Register our themes, and only them: Textual's lack the roles of this app."""
        ours, problems = themes.available()
        name = wanted or themes.DEFAULT_THEME
        # Only a search reports an unknown name, or a broken file that has the wanted one.
        is_searched = wanted and (problems or name not in ours)
        chosen = themes.find(name) if is_searched else ours[name]
        for theme in {**ours, chosen.name: chosen}.values():
            self.register_theme(theme)
        self.theme = chosen.name
        for name in set(self.available_themes) - {*ours, chosen.name}:
            self.unregister_theme(name)
        return problems

    def get_theme_variable_defaults(self) -> dict[str, str]:
        """Derive a color for every role in any theme; ours define them all."""
        theme = self.current_theme
        return {} if isinstance(theme, themes.LabTheme) else themes.role_defaults(theme)

    def on_mount(self) -> None:
        """Report broken theme files, and handle signals."""
        self._log_prints()
        for problem in self._theme_problems:
            self.notify(problem, title="theme ignored", severity="warning", timeout=10)
        self._signals.enter_context(signal_handlers.quit_on_signals(self._on_signal))

    def on_unmount(self) -> None:
        """Restore the previous signal handlers."""
        self._signals.close()

    def _on_signal(self, reason: str) -> None:
        """Quit without a question; called on a separate thread."""
        self.exit_reason = self.exit_reason or reason
        self.stop_now(reason)
        self.call_later(self.exit)
        self.before_exit()

    def on_window_requested(self, message: WindowRequested) -> None:
        """Give the terminal to another window of this program until that is closed.

        Threads of this process go on; this window shows their events when it is back.
        """
        arguments = message.arguments
        command = shlex.join(["mnist-tui", *arguments])
        terminal = self._outputs.terminal if self._outputs is not None else None
        try:
            with self.suspend():
                code = self.run_program([sys.executable, "-m", "tui_trainer", *arguments], terminal)
        except SuspendNotSupported:
            self.notify(f"type in another terminal: {command}", timeout=15)
            return
        self.refresh(layout=True)
        if code:
            words = f"{command} has ended with exit code {code}; type it to see why"
            self.notify(words, title="not opened", severity="warning", timeout=15)

    def write_to_terminal(self, sequence: str) -> None:
        """Write an escape sequence to the terminal, past the screen that Textual draws."""
        if sequence and self._driver is not None and not self.is_headless:
            self._driver.write(sequence)

    def stop_now(self, reason: str) -> None:
        """Stop the run and wait for it; an app without a run does nothing."""

    @property
    def front(self) -> Screen[object]:
        """The topmost screen below dialogs and the palette."""
        screens = reversed(self.screen_stack)
        return next((s for s in screens if not isinstance(s, ModalScreen)), self.screen)

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Dim actions that have no effect yet (None), hide those that have none here (False)."""
        front = self.front
        match action:
            case "next_view":
                return isinstance(front, ViewScreen) and front.is_small and len(front.VIEWS) > 1
            case "show_failure":
                return True if _failure_of(front) else None
        return True

    def limit(self, action: str) -> str:
        """Return why the key of an action is dimmed, if the run has a reason; an app has no run."""
        return ""

    def get_system_commands(self, screen: Screen[object]) -> Iterable[SystemCommand]:
        """Offer the action of every key by name."""
        nodes = [screen] if screen.focused is None else [screen.focused, screen]
        keys = [(key, node) for node in nodes for key in node.BINDINGS if isinstance(key, Binding)]
        offered: set[str] = set()
        for binding, node in [*keys, *((binding, self) for binding in self.KEYS)]:
            name, action = binding.description.capitalize(), binding.action
            is_new = bool(binding.tooltip) and action not in offered
            if is_new and node.check_action(*parsed_action(action)):
                offered.add(action)
                yield SystemCommand(
                    name,
                    with_keys(binding.tooltip),
                    lambda a=action, n=node: self.call_later(self.run_action, a, n),
                )
        yield SystemCommand(
            "Choose a theme", "Pick a color theme from the list", self.action_change_theme
        )

    async def action_quit(self) -> None:
        """Quit."""
        self.exit()

    def action_next_view(self) -> None:
        """Show the next view of a small window."""
        if isinstance(self.screen, ViewScreen):
            self.screen.next_view()

    def action_next_theme(self) -> None:
        """Switch to the next theme."""
        names = sorted(self.available_themes)
        self.theme = names[(names.index(self.theme) + 1) % len(names)]
        self.notify(f"theme: {self.theme}", timeout=2)

    def action_save_picture(self) -> None:
        """Save a screenshot as SVG."""
        try:
            self._pictures.mkdir(parents=True, exist_ok=True)
            path = self.save_screenshot(path=str(self._pictures))
        except OSError as error:
            self.notify(f"{self._pictures}: {reason(error)}", title="not saved", severity="error")
        else:
            self.notify(path, title="screenshot saved")

    def action_show_help(self) -> None:
        """Show the help."""
        self.push_screen(HelpScreen())

    def action_show_failure(self) -> None:
        """Show the traceback of a failed run."""
        failure = _failure_of(self.front)
        if failure is not None:
            self.push_screen(FailureScreen(failure.traceback))


def run_program(command: Sequence[str], terminal: TextIO | None) -> int:
    """Run a program on a terminal, and return its exit code when it has ended."""
    return subprocess.run(command, stdout=terminal, stderr=terminal, check=False).returncode


def _failure_of(screen: Screen[object]) -> RunFailed | None:
    """Return the failure of the run that a screen shows, if it failed."""
    if not isinstance(screen, ViewScreen) or screen.shown is None:
        return None
    return screen.shown.history.failure


def parsed_action(action: str) -> tuple[str, tuple[object, ...]]:
    """Return an action's name and parameters, without its namespace."""
    _, name, parameters = parse(action)
    return name, parameters
