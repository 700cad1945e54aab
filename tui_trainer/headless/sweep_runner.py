"""A sweep without the window: a line for each trial that ends, and a summary."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable

from tui_trainer.headless.interrupts import ImmediateExit, interruptible
from tui_trainer.headless.streams import Console, DataOut, OutputError, data_stream
from tui_trainer.headless.sweep_text import print_sweep, trial_line, trial_record
from tui_trainer.protocol.commands import Stop
from tui_trainer.protocol.events import StepDone
from tui_trainer.protocol.exit_codes import CODES_BY_REASON, ExitCode
from tui_trainer.sweeps.state import SweepState
from tui_trainer.sweeps.worker import (
    RunEvent,
    TrialEnded,
    TrialStarted,
    WorkEnded,
    Worker,
    WorkerEvent,
)
from tui_trainer.text.fmt import Cell, plural, printable


def run_sweep(
    worker: Worker,
    with_importance: Callable[[SweepState], SweepState],
    *,
    json_lines: bool = False,
    notify: str = "off",
) -> ExitCode:
    """Train the trials of a sweep in this process, and print what comes of them.

    Args:
        worker: The worker.
        with_importance: Adds the importance of the settings, which needs numpy.
        json_lines: Whether stdout gets JSON lines: one for each trial, then one for the sweep.
        notify: How to notify the user of the end: ``auto``, ``bell`` or ``off``.

    Raises:
        InputError: If the storage or a folder cannot be used; what is trained stays.
    """
    console = Console(sys.stderr, time.monotonic)
    report = SweepReport(worker, DataOut(data_stream(), console), console, json_lines=json_lines)
    name = printable(worker.study.folder)

    def announce(why: str) -> None:
        console.print(f"{why}: finishing this batch; press Ctrl+C again to exit at once")

    try:
        with interruptible(worker, announce):
            report.follow()
    except ImmediateExit as left:
        console.print(f"exited at once; continue with: mnist-tui sweep --resume {name}")
        return left.code
    except OutputError as error:
        if isinstance(error.error, BrokenPipeError):
            return ExitCode.OUTPUT_CLOSED
        raise
    finally:
        console.clear()
    code = report.finish(with_importance)
    console.notify(f"{name}: {plural(len(worker.study.state().trials), 'trial')}", notify)
    return code


class SweepReport:
    """Prints a sweep: data to stdout, messages and the live line to stderr."""

    def __init__(
        self, worker: Worker, data: DataOut, console: Console, *, json_lines: bool
    ) -> None:
        self._worker = worker
        self._data = data
        self._console = console
        self._json_lines = json_lines
        self._ended: WorkEnded | None = None

    def follow(self) -> None:
        """Print the events of the worker to its end.

        Raises:
            InputError: If the storage cannot be used.
            OutputError: If stdout cannot be written to.
        """
        output_error: OutputError | None = None
        for event in self._worker.work():
            try:
                self._print(event)
            except OutputError as error:
                # The reader is gone. Stop in order, so that the weights are saved.
                output_error = output_error or error
                self._worker.send(Stop(reason="interrupted", test=False))
        if output_error is not None:
            raise output_error

    def _print(self, event: WorkerEvent) -> None:
        match event:
            case TrialStarted(number=number, epoch=epoch):
                after = f", after {plural(epoch, 'epoch')}" if epoch else ""
                self._console.draw([Cell(f"trial {number}{after}")])
            case RunEvent(number=number, event=StepDone() as step):
                if self._console.due():
                    self._console.draw(
                        [Cell(f"trial {number}  epoch {step.epoch}  loss {step.loss:.4f}")]
                    )
            case TrialEnded(trial=trial, state=state):
                if trial.phase in ("waiting", "running"):
                    return
                if self._json_lines:
                    record = {"event": "TrialEnded", **trial_record(state, trial)}
                    self._data.json_line(record)
                else:
                    self._data.line(trial_line(state, trial))
            case WorkEnded():
                self._ended = event

    def finish(self, with_importance: Callable[[SweepState], SweepState]) -> ExitCode:
        """Print the summary and return the exit code.

        Raises:
            OutputError: If stdout cannot be written to.
        """
        state, ended = self._worker.study.state(), self._ended
        state = with_importance(state)
        if not self._json_lines:
            self._data.line("")
        print_sweep(state, self._data, json_lines=self._json_lines)
        name = printable(state.folder)
        self._console.print(f"recorded in {name}")
        if ended is not None and ended.reason in CODES_BY_REASON:
            self._console.print(f"continue with: mnist-tui sweep --resume {name}")
            return CODES_BY_REASON[ended.reason]
        if ended is not None and ended.reason == "failing":
            self._console.print(f"mnist-tui: error: {ended.message}")
            return ExitCode.FAILED
        return ExitCode.FINISHED if state.completed else ExitCode.FAILED
