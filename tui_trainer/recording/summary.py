"""The summary of a run: ``summary.json`` in its folder."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass
from typing import Any

from tui_trainer.history.run_state import RunState
from tui_trainer.history.target import Target, verdict_on
from tui_trainer.protocol.errors import InputError
from tui_trainer.protocol.events import EpochDone, RunStarted, TestEvaluated, plain
from tui_trainer.protocol.schema import SCHEMA, upgraded_summary
from tui_trainer.recording.journal import record_of

RUNNING, COMPLETED, KILLED = "running", "completed", "killed"

MAX_BYTES = 1 << 20
"""Room for the names of a thousand classes."""


@dataclass(slots=True, kw_only=True)
class Summary:
    """The summary of a run; accuracies are fractions of 1, intervals are 95 % Wilson intervals.

    Attributes:
        state: ``running``, or how the run ended: ``completed``, ``stopped``, ``interrupted``,
            ``terminated``, ``disconnected``, ``diverged`` or ``failed``. A killed process leaves
            ``running``, with a lock that is free.
        classes: The number of classes; 0 in older summaries.
        class_names: Their names; empty if they have only numbers, and in older summaries.
        processes: The number of processes that trained it together at its start.
        epochs: The number of epochs that the run is set to.
        epochs_done: The number of epochs that are done.
        val_accuracy: The validation accuracy of the last epoch.
        best_val_accuracy: The highest one so far; ``best_epoch`` is its (first) epoch.
        test_accuracy: The accuracy of the last test evaluation, after ``test_step`` steps.
        test_evaluations: The number of test evaluations.
        target_reached: Whether the run reached its target accuracy; None without a target, and
            before its end.
        seconds: Training time.
        started_at: The start of the run, as ISO 8601 in UTC.
        updated_at: The time of this summary.
        recorded_in: The absolute path of the run's folder when the paths of its settings were
            recorded; files that were moved together with the folder are found relative to it.
        script: The training script of a watched run; empty for a run of this program.
        settings: The settings at the start of the run, those without a value left out; None in
            older summaries.
    """

    format: int = SCHEMA
    version: str = ""
    state: str = RUNNING
    model: str = ""
    parameters: int = 0
    dataset: str = ""
    classes: int = 0
    class_names: tuple[str, ...] = ()
    train_size: int = 0
    val_size: int = 0
    seed: int = 0
    device: str = ""
    threads: int = 0
    processes: int = 1
    epochs: int = 0
    epochs_done: int = 0
    step: int = 0
    images: int = 0
    train_loss: float | None = None
    train_accuracy: float | None = None
    val_loss: float | None = None
    val_accuracy: float | None = None
    val_interval: tuple[float, float] | None = None
    best_val_accuracy: float | None = None
    best_val_interval: tuple[float, float] | None = None
    best_epoch: int | None = None
    test_loss: float | None = None
    test_accuracy: float | None = None
    test_correct: int | None = None
    test_total: int | None = None
    test_interval: tuple[float, float] | None = None
    test_step: int | None = None
    test_evaluations: int = 0
    target_reached: bool | None = None
    seconds: float = 0.0
    started_at: str = ""
    updated_at: str = ""
    recorded_in: str = ""
    script: str = ""
    settings: dict[str, Any] | None = None

    def to_json(self) -> str:
        """Return the file's text: strict JSON, one field per line, null for non-finite numbers."""
        return json.dumps(plain(dataclasses.asdict(self)), indent=2, allow_nan=False) + "\n"


def summary_of(run: RunState, **of_folder: Any) -> Summary:
    """Return the summary of a run; ``of_folder`` are the fields that no event has."""
    test, best = run.tests[-1] if run.tests else None, run.best_epoch
    found = Summary(state=_state(run), step=run.step, **of_folder)
    if run.last_step is not None:
        found.images, found.seconds = run.last_step.images, run.last_step.seconds
    if run.finished is not None:
        found.seconds = run.finished.seconds
    if run.epochs:
        found.epochs_done = run.epochs[-1].epoch
    if best is not None:
        found.best_val_accuracy, found.best_epoch = best.val_accuracy, best.epoch
        found.best_val_interval = best.val_interval
    if test is not None:
        found.test_step = test.step
        found.test_evaluations = max(reading.evaluation for reading in run.tests)
    target = Target.of(found.settings or {})
    if target is not None and run.finished is not None:
        found.target_reached = verdict_on(run, target).is_reached
    for event in (run.started, run.last_epoch, test):
        for name in _COPIED.get(type(event), ()):
            setattr(found, name, getattr(event, name))
    return found


_COPIED: dict[type, tuple[str, ...]] = {
    RunStarted: (
        *("model", "parameters", "dataset", "classes", "class_names"),
        *("train_size", "val_size", "seed", "device"),
        *("threads", "processes", "epochs", "script"),
    ),
    EpochDone: ("train_loss", "train_accuracy", "val_loss", "val_accuracy", "val_interval"),
    TestEvaluated: ("test_loss", "test_accuracy", "test_correct", "test_total", "test_interval"),
}
"""The fields that are copied from the latest event of a type."""


def _state(run: RunState) -> str:
    if run.failure is not None:
        return "failed"
    if run.finished is not None:
        return run.finished.reason
    if run.state == KILLED:
        return KILLED
    return RUNNING if run.divergence is None else "diverged"


def summary_from_json(text: str, name: str) -> Summary:
    """Parse the text of a summary; ``name`` is the name of the file, for messages.

    Raises:
        InputError: If it is no summary, or was written by a newer version.
    """
    try:
        record = json.loads(text)
    except (ValueError, RecursionError):
        raise InputError(f"{name}: not JSON; is the file damaged?") from None
    if not isinstance(record, dict) or not isinstance(record.get("format"), int):
        raise InputError(f"{name}: no summary of a run")
    if record["format"] > SCHEMA:
        raise InputError(f"{name}: written by a newer mnist-tui (format {record['format']})")
    try:
        summary: Summary = record_of(upgraded_summary(record), Summary)
    except (TypeError, ValueError, OverflowError) as error:
        raise InputError(f"{name}: no summary of a run ({error})") from None
    return summary
