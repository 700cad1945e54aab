"""Start a front end: the window, or a run without it."""

from __future__ import annotations

import gc
import os
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from tui_trainer.cli.loading import preload_libraries
from tui_trainer.cli.starts import Show, Start
from tui_trainer.cli.torchrun import check_front_end
from tui_trainer.history.target import Target
from tui_trainer.protocol.commands import Command, Inbox
from tui_trainer.protocol.config import RunConfig
from tui_trainer.protocol.errors import InputError
from tui_trainer.protocol.events import HookFailed
from tui_trainer.protocol.exit_codes import CODES_BY_REASON, ExitCode
from tui_trainer.recording.command_file import sender
from tui_trainer.terminal.capabilities import is_dumb, is_terminal, reported_size
from tui_trainer.terminal.signals import REASONS, handled
from tui_trainer.text.fmt import clip, printable

if TYPE_CHECKING:
    from tui_trainer.cli.seed_starts import SeedStarts
    from tui_trainer.headless.hooks import Hooks
    from tui_trainer.recording.folder import RunFolder
    from tui_trainer.recording.seed_group import SeedGroup
    from tui_trainer.ui.app import MnistTui
    from tui_trainer.ui.runs.attached_run import Attachment, StartedScript
    from tui_trainer.ui.terminal.output_log import OutputLog

MIN_COLUMNS, MIN_LINES = 60, 16
"""The smallest terminal for the window."""


def run_headless(
    start: Start,
    settings: RunConfig,
    *,
    json_lines: bool = False,
    debug: bool = False,
    resuming: bool = False,
    notify: str | None = None,
    inbox: Inbox | None = None,
) -> int:
    """Run without the window, and return the exit code."""
    from tui_trainer.headless import runner

    inbox = inbox or Inbox()
    return runner.run_headless(
        start(settings, inbox),
        inbox,
        json_lines=json_lines,
        target=Target.of(settings.as_dict()),
        debug=debug,
        resuming=resuming,
        notify=notify or "auto",
    )


def run_app(
    start: Start,
    settings: RunConfig,
    *,
    theme: str | None,
    paused: bool,
    notify: str | None = None,
    resuming: bool = False,
    pictures: Path | None = None,
    commands: tuple[Command, ...] = (),
    guided: bool = False,
) -> int:
    """Open the window, and return the exit code after it is closed."""
    gc.disable()  # until PyTorch is loaded, see finish_loading
    try:
        from tui_trainer.ui.terminal.graphics_protocol import detect_graphics

        with detect_graphics(), naming_textual_variables():
            from tui_trainer.ui.app import MnistTui
            from tui_trainer.ui.terminal.output_log import OutputLog

        preload_libraries()
        with OutputLog() as outputs:
            start.follow = partial(_follow, outputs)
            with naming_textual_variables():
                window = MnistTui(
                    start,
                    settings,
                    theme=theme,
                    paused=paused,
                    notify=notify or "auto",
                    resuming=resuming,
                    pictures=pictures,
                    first_commands=commands,
                    guided=guided,
                    by=sender(),
                )
            _show(window, outputs, start.hooks)
    finally:
        start.leave()
    return _leave(window, outputs, start.hooks)


def run_seeds_app(
    starts: SeedStarts, group: SeedGroup, *, theme: str | None, notify: str | None
) -> int:
    """Open the window on the training of several seeds; return the exit code after it is closed."""
    gc.disable()  # until PyTorch is loaded, see finish_loading
    from tui_trainer.ui.terminal.graphics_protocol import detect_graphics

    with detect_graphics(), naming_textual_variables():
        from tui_trainer.ui.seeds_app import SeedsApp
        from tui_trainer.ui.terminal.output_log import OutputLog

    preload_libraries()
    with OutputLog() as outputs:
        starts.follow = partial(_follow, outputs)
        with naming_textual_variables():
            window = SeedsApp(starts, group, theme=theme, notify=notify or "auto", by=sender())
        _show(window, outputs, starts.hooks)
    return _leave(window, outputs, starts.hooks)


@contextmanager
def naming_textual_variables() -> Iterator[None]:
    """Name the ``TEXTUAL…`` variables in the environment if the window cannot be created.

    Raises:
        InputError: In place of Textual's exception.
    """
    names = sorted(name for name in os.environ if name.startswith("TEXTUAL"))
    try:
        yield
    except InputError:
        raise
    except Exception as error:
        if not names:
            raise
        raise InputError(
            f"the window cannot start with {', '.join(names)} in the environment "
            f"({type(error).__name__}: {error}); unset the wrong variable"
        ) from error


def _follow(outputs: OutputLog, folder: RunFolder | None) -> None:
    outputs.follow(None if folder is None else folder.output)


def run_inspect(
    show: Show, settings: RunConfig, *, theme: str | None, view: str, screen: str
) -> int:
    """Open the window on a recorded run, and return the exit code after it is closed."""
    from tui_trainer.ui.terminal.graphics_protocol import detect_graphics

    with detect_graphics(), naming_textual_variables():
        from tui_trainer.ui.app import InspectApp
        from tui_trainer.ui.terminal.output_log import OutputLog

    with OutputLog() as outputs:
        _follow(outputs, show.folder)
        with naming_textual_variables():
            window = InspectApp(show, settings, theme=theme, view=view, screen=screen)
        _show(window, outputs)
    return _leave(window, outputs)


def run_attached(
    attachment: Attachment,
    settings: RunConfig,
    *,
    theme: str | None,
    notify: str | None,
    read_only: bool = False,
    hooks: Hooks | None = None,
    script: StartedScript | None = None,
) -> int:
    """Open the window on a run of another process, and return the exit code after it is closed."""
    from tui_trainer.ui.terminal.graphics_protocol import detect_graphics

    with detect_graphics(), naming_textual_variables():
        from tui_trainer.ui.attach_app import AttachApp
        from tui_trainer.ui.terminal.output_log import OutputLog

    with OutputLog() as outputs:
        with naming_textual_variables():
            window = AttachApp(
                attachment,
                settings,
                by=sender(),
                read_only=read_only,
                theme=theme,
                notify=notify or "auto",
                script=script,
            )
        _show(window, outputs, hooks)
    return _leave(window, outputs, hooks)


def _show(window: MnistTui, outputs: OutputLog, hooks: Hooks | None = None) -> None:
    window.draw_on(outputs)
    if hooks is not None:
        window.before_exit = hooks.finish
        hooks.report = window.post_hook_failure
    try:
        window.run()
    finally:
        # A disconnected terminal can end the window by itself; save the run in this case too.
        window.live_run.end()


def _leave(window: MnistTui, outputs: OutputLog, hooks: Hooks | None = None) -> int:
    """Print the exit message of the run, wait for its hooks, and return the exit code."""
    from tui_trainer.headless.streams import data_stream
    from tui_trainer.ui.exit_message import exit_message

    code, words = exit_message(window)
    if window.leaves_training:
        words = f"{words}\n{_leave_training(window, hooks.options if hooks else {})}"
    logs = [f"output of the model: {printable(path)}" for path in outputs.written]
    if words := "\n".join([*filter(None, [words]), *logs]):
        # The terminal may be gone after an interrupted run.
        with suppress(*[OSError] if code else []):
            print(words, file=sys.stderr if code else data_stream(), flush=True)
    if hooks is not None:
        _finish(hooks)
    if window.live_run.is_alive:
        # A thread that still loads, or works on a batch, must not block the shell.
        os._exit(code)
    return code


def _finish(hooks: Hooks) -> None:
    """Wait for the commands of the hooks; a signal ends the wait, and nothing else."""
    ended = threading.Event()
    hooks.report = _print_failure
    with handled(REASONS, lambda number, frame: ended.set()):
        hooks.finish(ended.is_set)


def _print_failure(failure: HookFailed) -> None:
    with suppress(OSError):
        print(f"mnist-tui: {failure.warning}", file=sys.stderr, flush=True)


def _leave_training(window: MnistTui, options: Mapping[str, object]) -> str:
    """Continue the training in the background, and return the message about it."""
    from tui_trainer.cli.detach import resume_in_background
    from tui_trainer.recording.folder import RunFolder

    place = window.live_run.history.folder or ""
    try:
        # The run may have ended by itself, or its last batch may take too long.
        if RunFolder(Path(place)).read_summary().state != "detached":
            return f"the training does not continue; it is recorded in {printable(place)}"
        trainer = resume_in_background(RunFolder(Path(place)), options)
    except InputError as error:
        return f"the training does not continue: {error}"
    return (
        f"the training continues in the background (process {trainer.number}); "
        f"watch it with: mnist-tui attach {printable(place)}"
    )


def run_replay(name: str | None, *, speed: float, theme: str | None) -> int:
    """Replay a recorded run in the window, and return the exit code after it is closed.

    Raises:
        InputError: If there is no such run, it cannot be shown, or the speed is out of range.
    """
    from tui_trainer.recording.folder import find_run

    with naming_textual_variables():
        from tui_trainer.ui.app import ReplayApp
        from tui_trainer.ui.runs.recorded_run import SPEEDS, open_run
        from tui_trainer.ui.terminal.output_log import OutputLog

    if not SPEEDS[0] <= speed <= SPEEDS[-1]:
        raise InputError(f"--speed {speed:g}: choose from {SPEEDS[0]} to {SPEEDS[-1]}")
    recorded = open_run(find_run(name), speed=speed)
    with OutputLog() as outputs:
        with naming_textual_variables():
            window = ReplayApp(recorded, theme=theme)
        window.draw_on(outputs)
        window.run()
    return CODES_BY_REASON.get(window.exit_reason or "", ExitCode.FINISHED)


def check_window(
    theme: str | None,
    *,
    no_ui: bool,
    json_lines: bool,
    paused: bool,
    guided: bool = False,
    detach: bool = False,
) -> None:
    """Refuse options that exclude each other, invalid user files, and an unsuitable terminal.

    Raises:
        InputError: In each of these cases.
    """
    check_front_end(no_ui=no_ui, detach=detach)
    if json_lines and not no_ui:
        raise InputError("--json: add --no-ui; the window needs the terminal for itself")
    for name, is_given in (("--json", json_lines), ("--paused", paused), ("--guide", guided)):
        if detach and is_given:
            raise InputError(f"{name}: cannot be used with --detach")
    if paused and no_ui:
        raise InputError("--paused: cannot be used with --no-ui; it opens the window paused")
    if guided and no_ui:
        raise InputError("--guide: cannot be used with --no-ui; the guided tour needs the window")
    check_user_files(theme, keys=not no_ui)
    if not no_ui:
        check_terminal()


def check_user_files(theme: str | None, *, keys: bool = True) -> None:
    """Refuse an unknown theme and an invalid keys file.

    Raises:
        InputError: If there is no such theme, or one of the files cannot be used.
    """
    if theme is not None:
        from tui_trainer.ui.theming.themes import find

        find(theme)
    if keys:
        from tui_trainer.ui.keys.keys_file import load_keymap

        load_keymap()


def check_terminal(instead: str = "add --no-ui") -> None:
    """Refuse to open the window without a terminal, or in one that is too small.

    Args:
        instead: The command or option that works without the window.

    Raises:
        InputError: In both cases.
    """
    if not (is_terminal(sys.stdin) and is_terminal(sys.stderr)):
        raise InputError(f"the window needs a terminal; in a script or a pipe, {instead}")
    if is_dumb():
        kind = os.environ.get("TERM", "").strip()
        what = f"TERM is {printable(clip(kind, 40))!r}" if kind else "TERM is not set"
        raise InputError(f"{what}: the window needs a terminal with cursor control; {instead}")
    size = reported_size(sys.stderr)
    # A pseudo-terminal without a size reports 0×0; do not refuse it.
    if 0 < size.columns < MIN_COLUMNS or 0 < size.lines < MIN_LINES:
        raise InputError(
            f"the terminal has {size.columns}×{size.lines} cells, the window needs "
            f"{MIN_COLUMNS}×{MIN_LINES}; enlarge it, or {instead}"
        )
