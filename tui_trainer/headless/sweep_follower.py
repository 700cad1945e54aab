"""A sweep without the window: worker processes train it, a line is printed for each ended trial."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence
from typing import Protocol

from tui_trainer.headless.interrupts import ImmediateExit, interruptible
from tui_trainer.headless.streams import Console, DataOut, OutputError, data_stream
from tui_trainer.headless.sweep_text import print_sweep, trial_line, trial_record
from tui_trainer.protocol.commands import Command, Inbox, Stop
from tui_trainer.protocol.exit_codes import CODES_BY_REASON, ExitCode
from tui_trainer.sweeps.figures import objective_text
from tui_trainer.sweeps.progress import limits_of, seconds_left
from tui_trainer.sweeps.state import SweepState, TrialPhase
from tui_trainer.text.fmt import Cell, duration, listed, plural

EVERY = 0.5
"""Seconds between two readings of the sweep …"""

SHARE = 0.005
"""… which take at most this share of a core: the workers need it."""

STEP = 0.1
"""Seconds between two checks whether a worker runs."""

ENDED: tuple[TrialPhase, ...] = ("completed", "pruned", "failed")
"""The phases of trials that are not trained any more."""


class EndedWorker(Protocol):
    """A worker process that has ended."""

    @property
    def name(self) -> str:
        """Its name, ``host:process``."""

    @property
    def code(self) -> int:
        """Its exit code; negative for the number of the signal that killed it."""

    @property
    def problem(self) -> str:
        """Why it failed, in one line; empty after an orderly end."""


class WorkerProcesses(Protocol):
    """The worker processes of a sweep that this process has started."""

    @property
    def running(self) -> Sequence[str]:
        """The names of those that run."""

    @property
    def problems(self) -> Sequence[EndedWorker]:
        """Those that failed."""

    def poll(self) -> Sequence[EndedWorker]:
        """Return those that have ended since the last call."""

    def stop(self, why: str) -> None:
        """Ask all to save their runs and to end."""

    def kill(self) -> None:
        """End all at once."""


class _Interrupts(Inbox):
    """Passes an interrupt to the workers."""

    def __init__(self, workers: WorkerProcesses) -> None:
        super().__init__()
        self.reason = ""
        self._workers = workers

    def send(self, command: Command) -> None:
        if isinstance(command, Stop):
            self.reason = command.reason
            self._workers.stop(command.reason)


class SweepFollower:
    """Prints a sweep while worker processes train it: data to stdout, messages to stderr.

    Args:
        read: Reads the state of the sweep; raises InputError if it cannot.
        workers: The processes.
        resume: The command that goes on with an interrupted sweep.
        json_lines: Whether stdout gets JSON lines: one for each trial, then one for the sweep.
        has_window: Whether a window has shown the trials: only the summary is printed.
        sleep: Waits for a number of seconds.
        used: The CPU time of this process, in seconds.
    """

    def __init__(
        self,
        read: Callable[[], SweepState],
        workers: WorkerProcesses,
        *,
        resume: str,
        json_lines: bool = False,
        has_window: bool = False,
        sleep: Callable[[float], object] = time.sleep,
        used: Callable[[], float] = time.process_time,
    ) -> None:
        self._read, self._workers, self._resume = read, workers, resume
        self._json_lines, self._has_window = json_lines, has_window
        self._sleep, self._used = sleep, used
        self._console = Console(sys.stderr, time.monotonic)
        self._data = DataOut(data_stream(), self._console)
        self._reported: set[int] | None = None
        self._interrupts = _Interrupts(workers)

    def run(
        self, with_importance: Callable[[SweepState], SweepState], notify: str = "off"
    ) -> ExitCode:
        """Follow the sweep to the end of its workers, and return the exit code.

        Args:
            with_importance: Adds the importance of the settings.
            notify: How to notify the user of the end: ``auto``, ``bell`` or ``off``.

        Raises:
            InputError: If the sweep cannot be read; the workers are asked to end first.
            OutputError: If stdout cannot be written to; the workers have ended then.
        """
        try:
            with interruptible(self._interrupts, self._announce):
                self._follow()
                state = with_importance(self._read())
        except ImmediateExit as left:
            self._workers.kill()
            self._console.print(f"exited at once; continue with: {self._resume}")
            return left.code
        except BaseException:
            self._workers.stop("interrupted")
            raise
        finally:
            self._console.clear()
        code = self._finish(state)
        self._console.notify(f"{state.name}: {plural(len(state.trials), 'trial')}", notify)
        return code

    def _announce(self, why: str) -> None:
        each = "each worker finishes its batch" if len(self._workers.running) > 1 else ""
        self._console.print(
            f"{why}: {each or 'finishing this batch'}; press Ctrl+C again to exit at once"
        )

    def _follow(self) -> None:
        output_error: OutputError | None = None
        while True:
            self._poll()
            is_last = not self._workers.running
            began = self._used()
            try:
                self._print(self._read())
            except OutputError as error:
                # The reader is gone. Stop in order, so that the weights are saved.
                output_error = output_error or error
                if not self._interrupts.reason:
                    self._interrupts.send(Stop(reason="interrupted", test=False))
            if is_last:
                break
            self._wait(max(EVERY, (self._used() - began) / SHARE))
        if output_error is not None:
            raise output_error

    def _poll(self) -> None:
        """Print which workers have failed."""
        for worker in self._workers.poll():
            if worker.problem:
                self._console.print(f"worker {worker.name}: {worker.problem}")

    def _wait(self, seconds: float) -> None:
        """Wait until the next reading, or until the last worker has ended."""
        for _ in range(max(1, round(seconds / STEP))):
            self._sleep(STEP)
            self._poll()
            if not self._workers.running:
                return

    def _print(self, state: SweepState) -> None:
        if self._has_window:
            return
        ended = [trial for trial in state.trials if trial.phase in ENDED]
        if self._reported is None:  # a resumed sweep
            self._reported = {trial.number for trial in ended}
            if ended:
                self._console.print(f"{state.name}: {plural(len(ended), 'trial')} ended already")
        for trial in ended:
            if trial.number not in self._reported:
                self._reported.add(trial.number)
                if self._json_lines:
                    self._data.json_line({"event": "TrialEnded", **trial_record(state, trial)})
                else:
                    self._data.line(trial_line(state, trial))
        if self._console.live:
            self._console.draw(_live_cells(state))

    def _finish(self, state: SweepState) -> ExitCode:
        """Print the summary, and return the exit code."""
        if not self._json_lines and not self._has_window:
            self._data.line("")
        print_sweep(state, self._data, json_lines=self._json_lines)
        if not state.is_over:
            self._console.print(f"continue with: {self._resume}")
        if why := self._interrupts.reason:
            return CODES_BY_REASON[why]
        if not state.is_over and (problems := self._workers.problems):
            self._console.print(f"mnist-tui: error: {problems[-1].problem}")
            is_input = all(worker.code == ExitCode.BAD_INPUT for worker in problems)
            return ExitCode.BAD_INPUT if is_input else ExitCode.FAILED
        is_left = self._has_window and not state.is_over  # by the user, as a run that is stopped
        return ExitCode.FINISHED if state.completed or is_left else ExitCode.FAILED


def _live_cells(state: SweepState) -> list[Cell]:
    """Return the live line: what is trained, how far the sweep is, and the best so far."""
    running = [trial for trial in state.trials if trial.phase == "running"]
    parts = [
        f"{trial.number} (epoch {trial.epoch} of {trial.epochs})"
        if trial.epochs
        else f"{trial.number}"
        for trial in running
    ]
    noun = "trial" if len(running) == 1 else "trials"
    cells = [Cell(f"{noun} {listed(parts)}" if running else "starting", style="train")]
    cells += [Cell(f"  {limit.text}", rank=2) for limit in limits_of(state)[:1]]
    if (best := state.best) is not None:
        cells.append(Cell(f"  best {objective_text(state.spec, best.value)}", rank=1))
    if (left := seconds_left(state)) is not None:
        cells.append(Cell(f"  {duration(left)} left", rank=3))
    return cells
