"""``mnist-tui run``: the window on a training script that records itself with ``watch``."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Annotated

import typer

from tui_trainer.cli import options as opt
from tui_trainer.cli.attach import Attached
from tui_trainer.cli.detach import BackgroundProcess, release_folder, reserve_folder
from tui_trainer.cli.options import option
from tui_trainer.headless.streams import Console
from tui_trainer.protocol.errors import InputError
from tui_trainer.recording.folder import RUN_VARIABLE, RunFolder
from tui_trainer.text.fmt import printable

INTERVAL = 0.1
"""Seconds between two reads of the output of the script."""

TRACEBACK = b"Traceback (most recent call last)"
LONGEST_TRACEBACK = 16_384
"""The longest traceback that is printed after the window, in bytes."""

WHAT_TO_ADD = (
    "add `run = tui_trainer.watch(model, optimizer)` before its loop and "
    "`run.step(loss, logits, labels)` after each optimizer step"
)

SCRIPT_ARGUMENTS = {"ignore_unknown_options": False, "allow_interspersed_args": False}
"""Everything after the script belongs to the script, also what looks like an option of ours."""


def run(
    script: Annotated[
        str,
        typer.Argument(
            help="Training script that calls tui_trainer.watch",
            metavar="SCRIPT",
            show_default=False,
        ),
    ],
    arguments: Annotated[
        list[str] | None,
        typer.Argument(help="Its arguments", metavar="ARGS", show_default=False),
    ] = None,
    is_module: Annotated[
        bool, option("SCRIPT is the name of a module, as for python -m", "-m")
    ] = False,
    out: Annotated[Path | None, option("Folder for the run (runs/TIME-SCRIPT)")] = None,
    no_ui: Annotated[
        bool, option("Print the folder of the run, and return to the shell", "--no-ui", "--detach")
    ] = False,
    theme: opt.Theme = None,
    notify: opt.Notify = None,
) -> None:
    """Run a training script in the background, and open the window on its run."""
    from tui_trainer.cli.front_ends import check_terminal, check_user_files
    from tui_trainer.cli.train import expanded

    if not is_module and not Path(script).exists():
        raise InputError(f"{printable(script)}: no such file; name a script, or use -m MODULE")
    check_user_files(theme, keys=not no_ui)
    if not no_ui:
        check_terminal()
    name = f"{script}.py" if is_module else script
    folder, new = reserve_folder(name, expanded(out))
    process: Script | None = None
    try:
        process = Script(folder, [script, *(arguments or [])], is_module=is_module)
        raise typer.Exit(_watched(process, theme=theme, notify=notify, no_ui=no_ui))
    finally:
        if process is None or not process.is_running:
            release_folder(folder, new)


def _watched(script: Script, *, theme: str | None, notify: str | None, no_ui: bool) -> int:
    """Attach to the run of a script, and return the exit code."""
    from tui_trainer.cli.front_ends import run_attached

    script.relay(until=lambda: script.folder.is_run)
    if not script.folder.is_run:
        _console().print(f"mnist-tui: {script.end_without_run}")
        return script.exit_code
    attachment = Attached(script.folder, script)
    if no_ui:
        return attachment.announce(is_resumed=False)
    script.skip_output()
    settings = script.folder.read_config()
    code = run_attached(attachment, settings, theme=theme, notify=notify, script=script)
    if script.is_ended:
        if script.is_running:
            _console().print("the script is still running; Ctrl+C interrupts it")
        script.relay()
    elif script.exit_code:
        script.print_traceback()
    return script.exit_code or code


def _console() -> Console:
    return Console(sys.stderr, time.monotonic)


class Script(BackgroundProcess):
    """A training script in another process.

    Args:
        folder: The folder for its first run.
        words: The script and its arguments.
        is_module: Whether the script is the name of a module.

    Attributes:
        folder: The folder for its first run.
        is_ended: Whether it was started for a window that ends it; otherwise it is left running.

    Raises:
        InputError: If the process cannot be started.
    """

    def __init__(self, folder: RunFolder, words: Sequence[str], *, is_module: bool) -> None:
        self.folder = folder
        self.is_ended = False
        self._name = printable(words[0])
        self._position = 0
        self._is_line_open = False
        command = [sys.executable, *(["-m"] if is_module else []), *words]
        # A script whose output goes to a file would keep it for long in a buffer.
        variables = {RUN_VARIABLE: os.path.abspath(folder.path), "PYTHONUNBUFFERED": "1"}
        super().__init__(folder.train_log, command, variables)

    @property
    def problem(self) -> str:
        """Why it has no run; empty while it runs, and once it has recorded one."""
        return "" if self.is_running or self.folder.is_run else self.end_without_run

    @property
    def exit_code(self) -> int:
        """Its exit code, as a shell reports it; 0 while it runs."""
        code = self._process.poll() or 0
        return code if code >= 0 else 128 - code

    @property
    def end_without_run(self) -> str:
        """What to do about a script that has ended without a run."""
        if self.exit_code:
            return f"{self._name}: exit code {self.exit_code} before it called tui_trainer.watch"
        return f"{self._name}: ended without a call of tui_trainer.watch; {WHAT_TO_ADD}"

    def interrupt(self) -> None:
        """Interrupt the script and its processes, as Ctrl+C in a terminal does."""
        self._send(signal.SIGINT)

    def _send(self, number: signal.Signals) -> None:
        with suppress(OSError):
            os.killpg(self.number, number)

    def relay(self, until: Callable[[], bool] = lambda: False) -> None:
        """Print the output of the script until it ends, or something has happened.

        Ctrl+C interrupts the script; a second one kills it.

        Raises:
            KeyboardInterrupt: After the end of a script that was interrupted.
        """
        interrupts = 0
        while True:
            try:
                is_last = not self.is_running or until()
                self._print_output()
                if is_last:
                    break
                time.sleep(INTERVAL)
            except KeyboardInterrupt:
                interrupts += 1
                self._send(signal.SIGINT if interrupts == 1 else signal.SIGKILL)
        if self._is_line_open:
            _print(b"\n")
        if interrupts:
            raise KeyboardInterrupt

    def skip_output(self) -> None:
        """Do not print what was written until now."""
        with suppress(OSError):
            self._position = self.folder.train_log.stat().st_size

    def print_traceback(self) -> None:
        """Print the last traceback in the output of the script."""
        with suppress(OSError), self.folder.train_log.open("rb") as log:
            log.seek(max(0, log.seek(0, os.SEEK_END) - LONGEST_TRACEBACK))
            _, mark, lines = log.read().rpartition(TRACEBACK)
            if mark:
                _print(mark + lines)

    def _print_output(self) -> None:
        with suppress(OSError), self.folder.train_log.open("rb") as log:
            log.seek(self._position)
            while content := log.read(1 << 16):
                self._position += len(content)
                self._is_line_open = not content.endswith(b"\n")
                _print(content)


def _print(content: bytes) -> None:
    with suppress(OSError, ValueError, AttributeError):  # closed, or a stream in memory
        sys.stderr.flush()
        sys.stderr.buffer.write(content)
        sys.stderr.flush()
