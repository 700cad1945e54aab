"""One run of a trial: its objective, and the reasons to end it early."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from tui_trainer.protocol.events import (
    EpochDone,
    Event,
    FindingRaised,
    RunFailed,
    RunFinished,
    SettingChanged,
)
from tui_trainer.recording.folder import RunFolder
from tui_trainer.sweeps.spec import Objective, SweepSpec

FATAL: frozenset[str] = frozenset(
    {"divergence", "not_learning", "dead_units", "vanishing_gradients"}
)
"""The codes of the findings that end a trial, if they are errors: such a run does not recover, and
other settings can avoid them. Errors in the data or in the code of a model do not end a trial:
other settings do not avoid them."""

Phase = Literal["completed", "pruned", "failed", "released"]


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a run, or a trial, has ended.

    Attributes:
        phase: ``completed``, ``pruned``, ``failed``; or ``released``: its worker was interrupted.
        reason: Why, in one line; for ``released`` the reason of the interrupt.
        finding: The code of the finding that ended it; empty if none did.
    """

    phase: Phase
    reason: str = ""
    finding: str = ""


def value_of(objective: Objective, epochs: list[EpochDone]) -> float | None:
    """Return the objective after these epochs; None without a finite validation result."""
    if objective == "val_loss":
        values = [epoch.val_loss for epoch in epochs]
    else:
        values = [epoch.val_accuracy for epoch in epochs]
    found = [value for value in values if value is not None and math.isfinite(value)]
    if not found or len(found) < len(values):
        return None
    return max(found) if objective == "best_val_accuracy" else found[-1]


class TrialRun:
    """Follows the events of one run of a trial.

    Args:
        objective: What is compared.
        report: Gets the epoch of the run, the objective after it and the number of validation
            images; returns why the trial should end there, or an empty text.

    Attributes:
        outcome: How the run has ended, or why it should end now; None as long as it goes on.
        value: The objective so far; None before the first epoch.
    """

    def __init__(self, objective: Objective, report: Callable[[int, float, int], str]) -> None:
        self._objective = objective
        self._report = report
        self._epochs: list[EpochDone] = []
        self.outcome: Outcome | None = None
        self.value: float | None = None
        self._stop_sent = self._is_ended = False

    @property
    def should_stop(self) -> bool:
        """Whether the run is to be stopped now; true once."""
        is_early = self.outcome is not None and self.outcome.phase in ("pruned", "failed")
        if not is_early or self._is_ended or self._stop_sent:
            return False
        self._stop_sent = True
        return True

    def apply(self, event: Event) -> None:
        """Apply an event."""
        match event:
            case EpochDone():
                self._epoch(event)
            case FindingRaised(code=code, severity="error", title=title) if code in FATAL:
                self._end(Outcome("pruned", title, code))
            case SettingChanged():
                # By `send` or an attached window: these are no longer the settings of the trial.
                self._end(Outcome("failed", f"a setting was changed in the run: {event.words}"))
            case RunFailed():
                self._end(Outcome("failed", event.message))
            case RunFinished():
                self._finished(event)

    def is_trained(self, epochs: int) -> bool:
        """Whether so many epochs are done."""
        return bool(self._epochs) and self._epochs[-1].epoch >= epochs

    def _epoch(self, event: EpochDone) -> None:
        # A resumed run repeats the epochs of its past: the same numbers again.
        self._epochs = [epoch for epoch in self._epochs if epoch.epoch < event.epoch]
        self._epochs.append(event)
        self.value = value_of(self._objective, self._epochs)
        if self.value is None:
            what = "has no validation result"
            if event.val_loss is not None and not math.isfinite(event.val_loss):
                what = "the validation loss is not finite"
            self._end(Outcome("pruned" if "finite" in what else "failed", what))
        elif reason := self._report(event.epoch, self.value, event.val_total or 0):
            self._end(Outcome("pruned", reason))

    def _finished(self, event: RunFinished) -> None:
        self._is_ended = True
        if event.reason == "completed" and self.value is not None:
            self._end(Outcome("completed"))
        elif event.reason == "diverged":
            self._end(Outcome("pruned", "the loss is not finite", "divergence"))
        elif event.reason in ("completed", "stopped"):
            self._end(Outcome("pruned", f"stopped in epoch {len(self._epochs) + 1} by a command"))
        else:
            self._end(Outcome("released", event.reason))

    def _end(self, outcome: Outcome) -> None:
        # An interrupt ends the run before what the sweep has decided meanwhile is applied.
        if self.outcome is None or self.outcome.phase == "completed":
            self.outcome = outcome


def is_over(run: TrialRun, folder: RunFolder, epochs: int) -> bool:
    """Apply the record of a run, and return whether the run is over.

    It is over if it has trained all its epochs, diverged, or ended early for another reason of the
    sweep: its process may have been killed before that was written into the study.

    Raises:
        InputError: If the record cannot be read.
    """
    if not folder.is_run or not folder.events.exists():
        return False
    for event in folder.read_events().events:
        if not (isinstance(event, RunFinished) and event.reason != "completed"):
            run.apply(event)
    if run.outcome is not None:
        return True
    if not run.is_trained(epochs):
        return False
    run.outcome = Outcome("completed")
    return True


def run_folder(folder: Path, number: int, seed: int, spec: SweepSpec, copy: int = 0) -> Path:
    """Return the folder of a run.

    Args:
        folder: That of the sweep.
        number: The place of the trial.
        seed: Which of its seeds, from 0.
        spec: The sweep.
        copy: How many folders of the trial are left to workers that hang.
    """
    name = f"trial-{number:03d}"
    if spec.seeds > 1:
        name += f"-seed-{spec.base.seed + seed}"
    return folder / (f"{name}-again-{copy}" if copy else name)


def last_folder(folder: Path, number: int, seed: int, spec: SweepSpec, copies: int) -> Path:
    """Return the last folder of a run that exists; the first one if none does."""
    found = [run_folder(folder, number, seed, spec, copy) for copy in range(copies + 1)]
    return next((path for path in reversed(found) if RunFolder(path).is_run), found[0])
