"""The command line: parse the arguments, connect the rooms, start the front end.

Nothing heavy is imported at the top: ``--help`` and ``--version`` answer at once, and the app's
first frame is on screen while torch loads on the training thread.
"""

from __future__ import annotations

import functools
import os
import sys
import time
import traceback
from collections.abc import Callable
from typing import Any

import typer

from tui_trainer.cli.attach import attach
from tui_trainer.cli.check import check
from tui_trainer.cli.compare_runs import compare_runs
from tui_trainer.cli.diagnose import diagnose
from tui_trainer.cli.evaluate import evaluate
from tui_trainer.cli.export import export
from tui_trainer.cli.find_lr import find_lr
from tui_trainer.cli.inspect import inspect
from tui_trainer.cli.keys import keys
from tui_trainer.cli.learn import learn
from tui_trainer.cli.manage import delete, note, rename, tag
from tui_trainer.cli.models import compare, model, review, zoo
from tui_trainer.cli.options import EPILOG, PlainCommand, SectionedGroup
from tui_trainer.cli.predict import predict
from tui_trainer.cli.replay import replay
from tui_trainer.cli.resume import resume
from tui_trainer.cli.run_script import SCRIPT_ARGUMENTS, run
from tui_trainer.cli.runs import runs
from tui_trainer.cli.seeds import seeds
from tui_trainer.cli.send import send
from tui_trainer.cli.sweep import sweep
from tui_trainer.cli.torchrun import PATIENCE, check_command, is_silent, prepare_process
from tui_trainer.cli.train import new_run
from tui_trainer.cli.verify import verify
from tui_trainer.headless.streams import Console, OutputError, redirect_to_devnull, stdout_for_data
from tui_trainer.protocol.errors import InputError
from tui_trainer.protocol.exit_codes import ExitCode
from tui_trainer.terminal.capabilities import use_fallback
from tui_trainer.text.fmt import one_line


def reserving_stdout(command: Callable[..., None]) -> Callable[..., None]:
    """Return a command that reserves stdout for its data; see :func:`stdout_for_data`."""

    @functools.wraps(command)
    def call(*arguments: Any, **options: Any) -> None:
        _check_current_folder()
        check_command(command.__name__)
        with stdout_for_data():
            command(*arguments, **options)

    return call


def _check_current_folder() -> None:
    """Refuse a current folder that was deleted: some libraries end the process there.

    Raises:
        InputError: If there is no current folder.
    """
    try:
        os.getcwd()
    except OSError as error:
        raise InputError(
            f"the current folder cannot be used: {error.strerror}; change to another folder"
        ) from None


app = typer.Typer(
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
app.callback(cls=SectionedGroup, invoke_without_command=True, epilog=EPILOG)(
    reserving_stdout(new_run)
)
for command in (
    *(check, find_lr, resume, seeds, sweep, attach, send, replay, diagnose),
    *(runs, compare_runs, rename, note, tag, delete),
    *(export, model, review, compare, zoo),
    verify,
    learn,
    inspect,
    evaluate,
    predict,
    keys,
):
    app.command(cls=PlainCommand)(reserving_stdout(command))
app.command(cls=PlainCommand, context_settings=SCRIPT_ARGUMENTS)(reserving_stdout(run))


def main() -> None:
    """Run the command line; each input error is one line and its exit code."""
    _open_closed_streams()
    for stream in (sys.stdout, sys.stderr):
        use_fallback(stream)
    prepare_process()
    try:
        code = app(standalone_mode=False, prog_name="mnist-tui")
    except InputError as error:
        code = _print_error(str(error), error.code)
    except (KeyboardInterrupt, typer.Abort):
        code = ExitCode.INTERRUPTED
    except SystemExit:
        # Typer exits by itself, without a message, when its output pipe is closed.
        code = ExitCode.OUTPUT_CLOSED
    except Exception as error:
        # Newer versions of Typer contain their own copy of click: recognize its errors by this
        # method.
        if hasattr(error, "format_message"):
            code = _print_error(f"{error.format_message().rstrip('.')}; see --help")
        else:
            code = _unexpected_error(error)
    sys.exit(int(code or 0))


def _open_closed_streams() -> None:
    """Open standard streams that are closed as /dev/null.

    Otherwise the next opened file, for example one of a run, gets a stream's descriptor, and the
    output of a library goes into it. Python's own streams are None then; a model's code may use
    them.
    """
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)
            stream = open(  # noqa: SIM115 (it is a standard stream from now on)
                number, "w" if number else "r", encoding="utf-8", closefd=False
            )
            setattr(sys, name, stream)
            setattr(sys, f"__{name}__", stream)


def _print_error(problem: str, code: ExitCode = ExitCode.BAD_INPUT) -> ExitCode:
    """Print an error on stderr, and nowhere if stderr is closed or a follower's."""
    if is_silent():
        time.sleep(PATIENCE)  # or torchrun would end the first one before it has printed it
    Console(sys.stderr, time.monotonic).print(f"mnist-tui: error: {one_line(problem)}")
    return code


def _unexpected_error(error: Exception) -> ExitCode:
    """Report an unexpected error: a full disk behind stdout, or a bug."""
    if isinstance(error, OutputError):
        error = error.error
        if isinstance(error, BrokenPipeError):
            return ExitCode.OUTPUT_CLOSED
    if isinstance(error, OSError) and sys.stdout is not None:
        # Otherwise the interpreter flushes it again at exit, and prints an error.
        redirect_to_devnull(sys.stdout)
    if "--debug" in sys.argv:
        traceback.print_exception(error)
    return _print_error(f"{type(error).__name__}: {error}", ExitCode.FAILED)
