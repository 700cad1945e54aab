"""A worker: takes a trial, trains its runs, and reports what comes of them."""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tui_trainer.protocol.closing import closing
from tui_trainer.protocol.commands import Command, Inbox, Stop
from tui_trainer.protocol.config import RunConfig
from tui_trainer.protocol.errors import InputError
from tui_trainer.protocol.events import Event
from tui_trainer.recording.folder import RunFolder
from tui_trainer.recording.lock import this_process
from tui_trainer.recording.recorder import remove_unsaved
from tui_trainer.sweeps.corners import config_of
from tui_trainer.sweeps.errors import StorageError, TakenOverError
from tui_trainer.sweeps.heartbeat import Heartbeat
from tui_trainer.sweeps.state import SweepState, TrialState
from tui_trainer.sweeps.trial_run import Outcome, TrialRun, is_over, run_folder
from tui_trainer.text.fmt import clip, one_line

if TYPE_CHECKING:
    from tui_trainer.sweeps.study import Claim, Study

StartRun = Callable[[RunConfig, RunFolder, Inbox], Iterator[Event]]
"""Starts the run of a folder, or resumes it: the events of a resumed one begin with its past."""

POLL = 2.0
"""Seconds between two looks for a trial, while other workers train the last ones."""

MAX_FAILED = 5
"""A sweep ends if so many trials fail one after the other: no setting of the space may work."""

INTERRUPTS = ("interrupted", "terminated", "disconnected")
"""The reasons of a run's end that end its worker, too."""


@dataclass(frozen=True, slots=True)
class TrialStarted:
    """The worker begins a trial, or continues one.

    Attributes:
        number: Its place in the sweep, from 1.
        settings: The values of the searched settings.
        epoch: The epochs that it has been trained already.
    """

    number: int
    settings: Mapping[str, Any]
    epoch: int = 0


@dataclass(frozen=True, slots=True)
class RunEvent:
    """An event of a run.

    Attributes:
        number: The place of the trial.
        seed: Which of its seeds, from 0.
        folder: The folder of the run.
        event: The event.
    """

    number: int
    seed: int
    folder: Path
    event: Event


@dataclass(frozen=True, slots=True)
class TrialEnded:
    """A trial is completed, pruned or failed; or waits, because its worker ends.

    Attributes:
        trial: The trial.
        state: The sweep after it, without the importance of its settings.
    """

    trial: TrialState
    state: SweepState


@dataclass(frozen=True, slots=True)
class WorkEnded:
    """The worker ends.

    Attributes:
        reason: ``spent``, if the budget is spent; ``failing``, after trials that all failed; or
            the reason of an interrupt, as ``interrupted``.
        message: The same in one line.
    """

    reason: str
    message: str


WorkerEvent = TrialStarted | RunEvent | TrialEnded | WorkEnded


@dataclass(frozen=True, slots=True)
class RunPlace:
    """Which run of which trial, and its folder."""

    claim: Claim
    seed: int
    folder: Path


def this_worker() -> str:
    """Return the name of this process as a worker: ``host:process``."""
    process = this_process()
    return f"{process['host']}:{process['pid']}"


class Worker(Inbox):
    """Trains the trials of a study, one after the other.

    As an inbox it passes the commands of a front end to the run that is trained; a ``Stop`` whose
    reason is an interrupt, or of the user, also ends the worker.

    Args:
        study: The study.
        start: Starts a run.
        name: Its name.
    """

    def __init__(self, study: Study, start: StartRun, *, name: str = "") -> None:
        super().__init__()
        self.study = study
        self.name = name or this_worker()
        self._start = start
        self._run_inbox = Inbox()
        self._ended_by = ""
        self._is_stopped = threading.Event()

    def send(self, command: Command) -> None:
        """Pass a command to the current run; a ``Stop`` ends the worker after it."""
        if isinstance(command, Stop):
            self._ended_by = command.reason
            command = Stop(reason=command.reason, test=False, by=command.by)
            self._is_stopped.set()
        self._run_inbox.send(command)

    def work(self) -> Iterator[WorkerEvent]:
        """Train trials until the budget is spent or a ``Stop`` arrives; yield what happens.

        While other workers train the last trials, this one waits: it takes over those of a worker
        that dies.

        Raises:
            InputError: If the storage cannot be used.
        """
        failed = 0
        while not self._ended_by:
            claim = self.study.next_trial(self.name)
            if claim is None:
                state = self.study.state()
                if state.is_over:
                    yield WorkEnded("spent", state.ended)
                    return
                self._is_stopped.wait(POLL)
                continue
            yield TrialStarted(claim.number, claim.settings, max(claim.curve, default=0))
            yield from self._trial(claim)
            state = self.study.state()
            trial = next(each for each in state.trials if each.number == claim.number)
            yield TrialEnded(trial, state)
            failed = failed + 1 if trial.phase == "failed" else 0
            if failed == MAX_FAILED:
                yield WorkEnded("failing", f"{failed} trials in a row have failed: {trial.reason}")
                return
        yield WorkEnded(self._ended_by, self._ended_by)

    def _trial(self, claim: Claim) -> Iterator[WorkerEvent]:
        """Train the runs of a trial, and record how it ends."""
        is_recorded = False
        try:
            with Heartbeat(self.study, claim, self._abandon) as heartbeat:
                outcome = yield from self._runs(claim)
                if heartbeat.error is not None:
                    raise heartbeat.error
                is_recorded = True
                self._record(claim, outcome)
        except TakenOverError:
            is_recorded = True
        finally:
            # Closed by its front end, or the machine failed: this or another worker continues it.
            if not is_recorded:
                with suppress(TakenOverError, InputError):
                    self.study.release(claim)

    def _abandon(self) -> None:
        """End the current run: its trial is lost, or the storage is away."""
        self._run_inbox.send(Stop(reason="interrupted", test=False))

    def _record(self, claim: Claim, outcome: Outcome) -> None:
        if outcome.phase == "completed":
            self.study.complete(claim)
        elif outcome.phase == "pruned":
            self.study.prune(claim, outcome.reason, outcome.finding)
        elif outcome.phase == "failed":
            self.study.fail(claim, outcome.reason)
        else:
            self._ended_by = self._ended_by or outcome.reason
            self.study.release(claim)

    def _runs(self, claim: Claim) -> Generator[WorkerEvent, None, Outcome]:
        """Train the runs of a trial that are not finished yet."""
        for seed in range(len(claim.values), self.study.spec.seeds):
            run = yield from self._run(claim, seed)
            if run.outcome is None or run.outcome.phase != "completed" or run.value is None:
                return run.outcome or Outcome("failed", "the training ended without a result")
            if reason := self.study.finish_seed(claim, run.value):
                return Outcome("pruned", reason)
        return Outcome("completed")

    def _run(self, claim: Claim, seed: int) -> Generator[WorkerEvent, None, TrialRun]:
        """Train one run, or continue it; a run that is over already is only read.

        Raises:
            InputError: If it cannot be recorded or continued, which no other settings change.
        """
        spec = self.study.spec
        folder = RunFolder(run_folder(self.study.folder, claim.number, seed, spec, claim.copy))
        run = self._follow(claim, seed)
        try:
            config = config_of(spec, claim.settings, spec.base.seed + seed)
        except InputError as error:
            run.outcome = Outcome("failed", str(error))
            return run
        if is_over(run, folder, config.epochs):
            return run
        run = self._follow(claim, seed)
        self._run_inbox = inbox = Inbox()
        if self._ended_by:
            run.outcome = Outcome("released", self._ended_by)
            return run
        remove_unsaved(folder)  # killed before its first checkpoint, the run begins again
        events = self._start(config, folder, inbox)
        with closing(events):
            yield from self._trained(run, events, inbox, RunPlace(claim, seed, folder.path))
        return run

    def _trained(
        self, run: TrialRun, events: Iterator[Event], inbox: Inbox, place: RunPlace
    ) -> Iterator[WorkerEvent]:
        """Follow the events of a run to its end.

        Raises:
            StorageError: If the storage is away: after the run, which can be resumed.
            TakenOverError: If another worker has taken the trial over.
        """
        away: StorageError | None = None
        try:
            for event in events:
                try:
                    if away is None:
                        run.apply(event)
                except StorageError as error:
                    away = error
                    inbox.send(Stop(reason="interrupted", test=False))
                if run.should_stop:
                    inbox.send(Stop(test=False))
                yield RunEvent(place.claim.number, place.seed, place.folder, event)
        except (StorageError, TakenOverError):
            raise
        except Exception as error:
            # The settings of this trial, as a batch that does not fit into memory; others go on.
            text = (
                str(error) if isinstance(error, InputError) else f"{type(error).__name__}: {error}"
            )
            run.outcome = Outcome("failed", clip(one_line(text), 300))
        if away is not None:
            raise away

    def _follow(self, claim: Claim, seed: int) -> TrialRun:
        """Return what follows a run of a trial, and reports its epochs to the study."""
        epochs = self.study.spec.epochs_of(claim.settings)

        def report(epoch: int, value: float, val_images: int) -> str:
            self.study.report(claim, seed * epochs + epoch, value, val_images)
            # The seeds after the first are compared by their results, not by their curves.
            is_newest = seed == 0 and epoch == max(claim.curve) and epoch < epochs
            return self.study.should_prune(claim) if is_newest else ""

        return TrialRun(self.study.spec.objective, report)
