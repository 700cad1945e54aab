"""What became of a run, in a few numbers: the run folder's ``summary.json``."""

from __future__ import annotations

import dataclasses
import json
import math
from dataclasses import dataclass
from typing import Any

from tui_trainer.protocol.errors import InputError
from tui_trainer.protocol.events import (
    Diverged,
    EpochDone,
    Event,
    Rewound,
    RunFailed,
    RunFinished,
    RunResumed,
    RunStarted,
    SettingChanged,
    StepDone,
    TestEvaluated,
)

FORMAT = 1
"""The version of the file: it goes up when a field changes its meaning or goes."""

RUNNING, COMPLETED = "running", "completed"

MAX_BYTES = 65_536


@dataclass(slots=True, kw_only=True)
class Summary:
    """A run as far as it has come; accuracies are fractions of 1, intervals Wilson's of 95 %.

    Attributes:
        state: ``running``, or how it ended: ``completed``, ``stopped``, ``interrupted``,
            ``terminated``, ``hung up``, ``diverged``, ``failed``. A process that was killed had no
            time to say so and leaves ``running``; its lock is free then.
        epochs: How many it is to have.
        epochs_done: How many are behind it.
        val_accuracy: That of the last epoch.
        best_val_accuracy: The highest so far, the earliest of equals; ``best_epoch`` is its epoch.
        test_accuracy: That of the latest reading of the test set, after ``test_step`` steps.
        test_looks: How often the test set was read.
        seconds: Training time.
        started_at: When it began, as ISO 8601 in UTC.
        updated_at: When this was written.
        recorded_in: The run's folder, as an absolute path, when the paths of its settings were
            recorded: what has moved together with it is found again from there.
    """

    format: int = FORMAT
    version: str = ""
    state: str = RUNNING
    model: str = ""
    parameters: int = 0
    dataset: str = ""
    train_size: int = 0
    val_size: int = 0
    seed: int = 0
    device: str = ""
    threads: int = 0
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
    test_looks: int = 0
    seconds: float = 0.0
    started_at: str = ""
    updated_at: str = ""
    recorded_in: str = ""

    def apply(self, event: Event) -> bool:
        """Take in one event; return whether it is one that the file should tell at once."""
        match event:
            case StepDone():
                self.step, self.images, self.seconds = event.step, event.images, event.seconds
                return False
            case RunStarted():
                for name in _FROM_START:
                    setattr(self, name, getattr(event, name))
            case EpochDone():
                self._epoch(event)
            case SettingChanged(setting="epochs"):
                self.epochs = int(event.new)
            case TestEvaluated():
                self._test(event)
            case Diverged():
                self.state = "diverged"
            case RunResumed() | Rewound():
                self.state = RUNNING
                self.step, self.images = event.step, event.images
            case RunFailed():
                self.state = "failed"
            case RunFinished():
                self.state, self.seconds = event.reason, event.seconds
            case _:
                return False
        return True

    def _epoch(self, event: EpochDone) -> None:
        self.epochs_done, self.step = event.epoch, event.step
        for name in ("train_loss", "train_accuracy", "val_loss", "val_accuracy", "val_interval"):
            setattr(self, name, getattr(event, name))
        best = self.best_val_accuracy
        if event.val_accuracy is not None and (best is None or event.val_accuracy > best):
            self.best_val_accuracy, self.best_epoch = event.val_accuracy, event.epoch
            self.best_val_interval = event.val_interval

    def _test(self, event: TestEvaluated) -> None:
        self.test_loss, self.test_accuracy = event.test_loss, event.test_accuracy
        self.test_correct, self.test_total = event.test_correct, event.test_total
        self.test_interval = event.test_interval
        self.test_step, self.test_looks = event.step, max(self.test_looks, event.look)

    def to_json(self) -> str:
        """Return the file's text: strict JSON, a field a line; what is not finite is null."""
        plain = {
            name: None if isinstance(value, float) and not math.isfinite(value) else value
            for name, value in dataclasses.asdict(self).items()
        }
        return json.dumps(plain, indent=2, allow_nan=False) + "\n"


_FROM_START = (
    *("model", "parameters", "dataset", "train_size", "val_size", "seed", "device"),
    *("threads", "epochs"),
)

_HINTS = {field.name: str(field.type) for field in dataclasses.fields(Summary)}


def summary_from_json(text: str, name: str) -> Summary:
    """Return the summary that :meth:`Summary.to_json` wrote; ``name`` is the file's, for messages.

    Raises:
        InputError: If it is another thing, or one of a newer version.
    """
    try:
        record = json.loads(text)
    except (ValueError, RecursionError):
        raise InputError(f"{name}: no JSON; is the file damaged?") from None
    if not isinstance(record, dict) or not isinstance(record.get("format"), int):
        raise InputError(f"{name}: no summary of a run")
    if record["format"] > FORMAT:
        raise InputError(f"{name}: written by a newer mnist-tui (format {record['format']})")
    summary = Summary()
    for field, hint in _HINTS.items():
        value = record.get(field, getattr(summary, field))
        if not _fits(value, hint):
            raise InputError(f"{name}: {field} cannot be {str(value)[:40]!r}")
        setattr(summary, field, tuple(value) if isinstance(value, list) else value)
    return summary


def _fits(value: Any, hint: str) -> bool:
    if value is None:
        return "None" in hint
    if isinstance(value, bool):
        return False
    if hint.startswith("tuple"):
        is_pair = isinstance(value, list | tuple) and len(value) == 2
        return is_pair and all(_fits(part, "float") for part in value)
    kinds: dict[str, tuple[type, ...]] = {"str": (str,), "int": (int,), "float": (int, float)}
    return isinstance(value, kinds[hint.split(" ")[0]])
