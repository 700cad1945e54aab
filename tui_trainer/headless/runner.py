"""A run without the window, from its first event to its exit code."""

from __future__ import annotations

import sys
import time
import traceback
from collections.abc import Callable, Iterator
from typing import TextIO

from tui_trainer.headless.interrupts import ImmediateExit, interruptible
from tui_trainer.headless.run_report import Report
from tui_trainer.headless.streams import Console, DataOut, OutputError, data_stream
from tui_trainer.history.run_state import RunState
from tui_trainer.history.target import Target, verdict_on
from tui_trainer.protocol.closing import closing
from tui_trainer.protocol.commands import Inbox, Stop
from tui_trainer.protocol.errors import InputError
from tui_trainer.protocol.events import Event, RunFailed
from tui_trainer.protocol.exit_codes import CODES_BY_REASON, ExitCode
from tui_trainer.text import fmt

_OUT_OF_MEMORY = ("MemoryError", "out of memory", "can't allocate memory")


def run_headless(
    events: Iterator[Event],
    inbox: Inbox,
    *,
    json_lines: bool = False,
    target: Target | None = None,
    debug: bool = False,
    resuming: bool = False,
    notify: str = "off",
    is_part: bool = False,
    stdout: TextIO | None = None,
    stderr: TextIO | None = None,
    clock: Callable[[], float] = time.monotonic,
) -> ExitCode:
    """Print a run to its end: data to stdout, messages to stderr.

    An exception of the run becomes a line on stderr and an exit code. The iterator is always
    closed,
    so a generator's ``finally`` has run.

    Args:
        events: The run.
        inbox: The run's inbox; Ctrl+C, SIGTERM and SIGHUP put a ``Stop`` in it.
        json_lines: Print each event as a JSON line on stdout, instead of the table and the summary.
        target: The accuracy that the run should reach; its verdict decides the exit code.
        debug: Whether an unexpected error prints its traceback.
        resuming: Whether the events begin with earlier ones, up to a ``RunResumed``: they are
            processed, but not printed again.
        notify: How to notify the user: ``auto``, ``bell`` or ``off``.
        is_part: Whether the run is one of a group, which says how to resume it.
        stdout: The stream for data; the process's stdout if None.
        stderr: The stream for messages and the live line; ``sys.stderr`` if None.
        clock: A monotonic clock, in seconds, for the refresh rate of the live line.
    """
    console = Console(sys.stderr if stderr is None else stderr, clock)
    data = DataOut(data_stream() if stdout is None else stdout, console)
    report = Report(
        data, console, json_lines=json_lines, quiet=resuming, notify=notify, is_part=is_part
    )
    output_error: OutputError | None = None
    try:
        with (
            interruptible(
                inbox,
                lambda why: console.print(_stopping(report.run, why)),
                lambda: report.run.has_begun,
            ),
            closing(events),
        ):
            for event in events:
                try:
                    report.report(event)
                except OutputError as error:
                    # The reader is gone. Stop the run in order, so that its weights are saved.
                    output_error = output_error or error
                    inbox.send(Stop(reason="interrupted", test=False))
        if output_error is not None:
            return _output_failed(output_error, console)
        return _exit_code(report.run, target, debug, console)
    except ImmediateExit as left:
        if report.run.finished is None and report.run.has_begun:
            console.print("exited at once, without a report")
        return left.code
    except InputError as error:
        _print_error(console, str(error))
        return ExitCode.BAD_INPUT
    except Exception as error:
        trace = "".join(traceback.format_exception(error))
        failure = RunFailed(message=f"{type(error).__name__}: {error}", traceback=trace)
        report.notify(failure)
        return _failed(failure, debug, console)
    finally:
        console.clear()


def _stopping(run: RunState, why: str) -> str:
    """Return what the first signal does: after the end of the run, it ends the wait for a hook."""
    if run.finished is not None:
        return f"{why}: no longer waiting for the command of --on-end"
    if not run.has_begun:
        return f"{why} before the training began"
    return f"{why}: finishing this batch; press Ctrl+C again to exit at once"


def _exit_code(run: RunState, target: Target | None, debug: bool, console: Console) -> ExitCode:
    last = run.finished
    if run.failure is not None:
        return _failed(run.failure, debug, console)
    if last is None:
        _print_error(console, "the training ended without a result")
        return ExitCode.FAILED
    if last.reason in CODES_BY_REASON:
        return CODES_BY_REASON[last.reason]
    code = ExitCode.FINISHED if target is None else _check_target(run, target, console)
    return ExitCode.UNSAVED if run.unsaved else code


def _check_target(run: RunState, target: Target, console: Console) -> ExitCode:
    """Print the verdict on the target, and return its exit code."""
    verdict = verdict_on(run, target)
    glyph, style = ("✓", "ok") if verdict.is_reached else ("✗", "error")
    console.print(verdict.line, glyph=glyph, style=style)
    return ExitCode.FINISHED if verdict.is_reached else ExitCode.TARGET_MISSED


def _failed(failure: RunFailed, debug: bool, console: Console) -> ExitCode:
    if debug:
        console.print(failure.traceback.rstrip())
    # Messages of torch can be pages long; the traceback has the whole text.
    _print_error(console, fmt.clip(f"training failed: {fmt.one_line(failure.message)}", 400))
    what = failure.message + failure.traceback.rstrip().rpartition("\n")[2]
    if any(sign in what for sign in _OUT_OF_MEMORY):
        console.print("out of memory: use a smaller batch size or a smaller model")
    if not debug:
        console.print("run it again with --debug for the traceback")
    return ExitCode.FAILED


def _output_failed(output_error: OutputError, console: Console) -> ExitCode:
    if isinstance(output_error.error, BrokenPipeError):
        return ExitCode.OUTPUT_CLOSED  # the reader has all it needs, as in `| head -1`
    _print_error(
        console,
        f"cannot write to standard output: {output_error.error.strerror or output_error.error}",
    )
    return ExitCode.FAILED


def _print_error(console: Console, problem: str) -> None:
    console.print(f"mnist-tui: error: {fmt.one_line(problem)}")
