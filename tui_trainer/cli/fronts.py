"""The two front ends, from the command line's side: the window, and the run without one."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from tui_trainer.cli.starts import Show, Start
from tui_trainer.run.commands import Command, Inbox
from tui_trainer.run.config import RunConfig
from tui_trainer.run.errors import InputError
from tui_trainer.run.exit_codes import ENDINGS, ExitCode

if TYPE_CHECKING:
    from tui_trainer.ui.app import MnistTui

LEAST_COLUMNS, LEAST_LINES = 60, 16
"""The smallest terminal that the window opens in."""


def run_headless(
    start: Start,
    settings: RunConfig,
    *,
    json_lines: bool = False,
    debug: bool = False,
    resuming: bool = False,
    inbox: Inbox | None = None,
) -> int:
    """Follow a run without a window, and return the exit code."""
    from tui_trainer import headless

    inbox = inbox or Inbox()
    return headless.run_headless(
        start(settings, inbox),
        inbox,
        json_lines=json_lines,
        target_accuracy=settings.target_accuracy,
        debug=debug,
        resuming=resuming,
    )


def run_app(
    start: Start,
    settings: RunConfig,
    *,
    theme: str | None,
    paused: bool,
    pictures: Path | None = None,
    wishes: tuple[Command, ...] = (),
    guided: bool = False,
) -> int:
    """Open the window, and return the exit code when it is closed."""
    from tui_trainer.ui.real_pictures import found_meanwhile

    with found_meanwhile():
        from tui_trainer.ui.app import MnistTui

    return _show(
        MnistTui(
            start,
            settings,
            theme=theme,
            paused=paused,
            pictures=pictures,
            wishes=wishes,
            guided=guided,
        )
    )


def run_inspect(show: Show, settings: RunConfig, *, theme: str | None, view: str) -> int:
    """Open the window on a recorded run, and return the exit code when it is closed."""
    from tui_trainer.ui.real_pictures import found_meanwhile

    with found_meanwhile():
        from tui_trainer.ui.inspect_app import InspectApp

    return _show(InspectApp(show, settings, theme=theme, view=view))


def _show(window: MnistTui) -> int:
    from tui_trainer.headless.streams import data_stream
    from tui_trainer.ui.farewell import farewell

    try:
        window.run()
    finally:
        # A terminal that is gone can end the window by itself; the run is saved all the same.
        window.run_now.end()
    code, words = farewell(window)
    if words:
        print(words, file=sys.stderr if code else data_stream(), flush=True)
    if window.run_now.bridge.is_alive:
        # A thread that is still loading or in the middle of a batch must not hold up the shell.
        os._exit(code)
    return code


def run_replay(name: str | None, *, speed: float, theme: str | None) -> int:
    """Show a recorded run in a window of its own, and return the exit code when it is closed.

    Raises:
        InputError: If there is no such run, it cannot be shown, or the speed is out of range.
    """
    from tui_trainer.run.folder import find_run
    from tui_trainer.ui.recorded_run import SPEEDS, open_run
    from tui_trainer.ui.replay_app import ReplayApp

    if not SPEEDS[0] <= speed <= SPEEDS[-1]:
        raise InputError(f"--speed {speed:g}: choose from {SPEEDS[0]} to {SPEEDS[-1]}")
    window = ReplayApp(open_run(find_run(name), speed=speed), theme=theme)
    window.run()
    return ENDINGS.get(window.ended_by or "", ExitCode.FINISHED)


def check_window(
    theme: str | None, *, no_ui: bool, json_lines: bool, paused: bool, guided: bool = False
) -> None:
    """Refuse options that do not go together, an unknown theme, and a terminal that will not do.

    Raises:
        InputError: In all these cases.
    """
    if json_lines and not no_ui:
        raise InputError("--json: needs --no-ui; the window has the terminal to itself")
    if paused and no_ui:
        raise InputError("--paused: opens the window paused; it does not go with --no-ui")
    if guided and no_ui:
        raise InputError("--guide: walks through the window; it does not go with --no-ui")
    check_theme(theme)
    if not no_ui:
        check_terminal()


def check_theme(theme: str | None) -> None:
    """Refuse an unknown theme.

    Raises:
        InputError: If there is no such theme, or it cannot be used.
    """
    if theme is not None:
        from tui_trainer.ui.themes import find

        find(theme)


def check_terminal(instead: str = "add --no-ui") -> None:
    """Refuse to open a window where there is no terminal, or too small a one.

    Args:
        instead: What does the same without a window.

    Raises:
        InputError: In both cases.
    """
    from tui_trainer.run.terminal import is_terminal

    if not (is_terminal(sys.stdin) and is_terminal(sys.stderr)):
        raise InputError(f"the window needs a terminal; in a script or a pipe, {instead}")
    size = os.get_terminal_size(sys.stderr.fileno())
    # A pseudo-terminal that nobody has sized says 0×0: that is no reason to refuse.
    if 0 < size.columns < LEAST_COLUMNS or 0 < size.lines < LEAST_LINES:
        raise InputError(
            f"the terminal is {size.columns}×{size.lines}, the window needs "
            f"{LEAST_COLUMNS}×{LEAST_LINES}; enlarge it, or {instead}"
        )
