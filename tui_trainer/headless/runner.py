"""One run without a window, from its first event to its exit code."""

from __future__ import annotations

import sys
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import TextIO

from tui_trainer.headless.interrupts import interruptible
from tui_trainer.headless.report import Report
from tui_trainer.headless.streams import Console, DataOut, OutputLost
from tui_trainer.run import text
from tui_trainer.run.commands import Inbox
from tui_trainer.run.errors import InputError
from tui_trainer.run.events import Event, RunFailed, RunFinished
from tui_trainer.run.exit_codes import ExitCode

_OUT_OF_MEMORY = ("MemoryError", "out of memory", "can't allocate memory")

_INTERRUPTED = (
    "interrupted: finishing this batch, then reporting; press Ctrl+C again to leave at once"
)


def run_headless(
    events: Iterator[Event],
    inbox: Inbox,
    *,
    json_lines: bool = False,
    target_accuracy: float | None = None,
    debug: bool = False,
    stdout: TextIO | None = None,
    stderr: TextIO | None = None,
    clock: Callable[[], float] = time.monotonic,
) -> ExitCode:
    """Follow a run to its end: data to stdout, prose to stderr.

    Nothing that the run raises comes out of here; it becomes a line on stderr and a code. The
    iterator is closed in any case, so a generator's ``finally`` has run.

    Args:
        events: The run.
        inbox: The run's inbox; Ctrl+C puts a ``Stop`` in it.
        json_lines: Every event as a line of JSON on stdout, instead of the table and the summary.
        target_accuracy: The test accuracy, a fraction of 1, below which the run has failed its
            purpose.
        debug: Whether an unexpected error shows its traceback.
        stdout: Where the data go; ``sys.stdout`` if None.
        stderr: Where the prose and the live line go; ``sys.stderr`` if None.
        clock: Seconds, for the pace of the live line only.
    """
    console = Console(sys.stderr if stderr is None else stderr, clock)
    data = DataOut(sys.stdout if stdout is None else stdout, console)
    report = Report(data, console, rows=not json_lines)
    last: RunFinished | RunFailed | None = None
    try:
        with interruptible(inbox, lambda: console.say(_INTERRUPTED)), _closing(events):
            for event in events:
                if json_lines:
                    data.event(event)
                report.tell(event)
                if isinstance(event, RunFinished | RunFailed):
                    last = event
        return _verdict(last, target_accuracy, debug, console)
    except KeyboardInterrupt:
        console.say("interrupted: left at once, without a report")
        return ExitCode.INTERRUPTED
    except OutputLost as lost:
        return _output_lost(lost, console)
    except InputError as error:
        _complain(console, str(error))
        return ExitCode.BAD_INPUT
    except Exception as error:
        trace = "".join(traceback.format_exception(error))
        failure = RunFailed(message=f"{type(error).__name__}: {error}", traceback=trace)
        return _failed(failure, debug, console)
    finally:
        console.clear()


@contextmanager
def _closing(events: Iterator[Event]) -> Iterator[None]:
    """Close a generator whatever happens; what its clean-up raises hides no earlier error."""
    try:
        yield
    finally:
        close = getattr(events, "close", None)
        if close is not None:
            with suppress(Exception):
                close()


def _verdict(
    last: RunFinished | RunFailed | None, target: float | None, debug: bool, console: Console
) -> ExitCode:
    if last is None:
        _complain(console, "the training ended without a result")
        return ExitCode.FAILED
    if isinstance(last, RunFailed):
        return _failed(last, debug, console)
    if last.reason == "diverged":
        return ExitCode.DIVERGED
    if last.reason == "interrupted":
        return ExitCode.INTERRUPTED
    if target is None:
        return ExitCode.FINISHED
    # The tolerance is far below one image: in floats, 90.04 / 100 is more than 9004 / 10000.
    if last.test_accuracy is not None and last.test_accuracy >= target - 1e-9:
        return ExitCode.FINISHED
    if last.test_accuracy is None:
        missed = f"the test set was not read; the target is {text.percent(target)}"
    else:
        digits = 2 if text.percent(last.test_accuracy) != text.percent(target) else 5
        reached, wanted = (text.percent(x, digits) for x in (last.test_accuracy, target))
        missed = f"test {reached} is below the target of {wanted}"
    console.say(f"target missed: {missed}", glyph="✗", style="wrong")
    return ExitCode.TARGET_MISSED


def _failed(failure: RunFailed, debug: bool, console: Console) -> ExitCode:
    if debug:
        console.say(failure.traceback.rstrip())
    # torch's messages can be pages long; the whole text is in the traceback
    _complain(console, text.clip(f"training failed: {text.one_line(failure.message)}", 400))
    what = failure.message + failure.traceback.rstrip().rpartition("\n")[2]
    if any(sign in what for sign in _OUT_OF_MEMORY):
        console.say("there was not enough memory: try a smaller batch size or a smaller network")
    if not debug:
        console.say("run it again with --debug to see the traceback")
    return ExitCode.FAILED


def _output_lost(lost: OutputLost, console: Console) -> ExitCode:
    if isinstance(lost.error, BrokenPipeError):
        return ExitCode.OUTPUT_CLOSED  # the reader has what it wanted, as in `| head -1`
    _complain(console, f"cannot write to standard output: {lost.error.strerror or lost.error}")
    return ExitCode.FAILED


def _complain(console: Console, problem: str) -> None:
    console.say(f"mnist-tui: error: {text.one_line(problem)}")
