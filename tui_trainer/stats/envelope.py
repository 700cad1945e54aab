"""The first steps of healthy runs on MNIST, measured as a reference for the preflight check."""

from __future__ import annotations

import functools
import json
import math
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tui_trainer.stats.means import student_quantile

DATA_FILE = Path(__file__).with_name("envelope.json")
"""Written by ``python -m tests.benchmarks.envelope``."""

STEPS = 100
"""The number of first steps that are compared."""

LAST_STEPS = 20
"""The number of batches that a training loss is averaged over."""

GUESSING = math.log(10)
"""The chance-level loss for ten classes."""

HEALTHY = 2.0
"""The training loss after an epoch above which a run has hardly learned and is no reference."""

LEAST = 1e-3
"""Nats below the chance-level loss that are at least counted, for the logarithm."""

FEWEST = 3
"""The smallest number of runs for a reference range."""

LIKE_SIZE = 5.0
"""Models are comparable if their parameters differ by at most this factor, …"""

LIKE_RATE = 3.0
"""… their learning rates by at most this factor, …"""

LIKE_BATCH = 1.5
"""… and their batch sizes by at most this factor."""


@dataclass(frozen=True, slots=True)
class Reached:
    """The losses and the accuracy of a run at some step.

    Attributes:
        train_loss: The mean loss of the last :data:`LAST_STEPS` batches.
        val_loss: The loss on the 5,000 validation images.
        val_accuracy: The accuracy on them.
    """

    train_loss: float
    val_loss: float
    val_accuracy: float


@dataclass(frozen=True, slots=True, kw_only=True)
class HealthyRun:
    """One reference run, on the 55,000 training images of MNIST.

    Attributes:
        parameters: The number of parameters of its model.
        has_norm: Whether the model has normalization layers; without, the loss may plateau first.
        first_steps: Its values after :data:`STEPS` steps.
        first_epoch: Its values after one epoch.
    """

    model: str
    parameters: int
    has_norm: bool
    optimizer: str
    base_lr: float
    schedule: str
    batch_size: int
    seed: int
    first_steps: Reached
    first_epoch: Reached


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """The run that is compared with the reference."""

    dataset: str
    train_size: int
    classes: int
    parameters: int
    has_norm: bool
    optimizer: str
    base_lr: float
    schedule: str
    batch_size: int


@functools.cache
def healthy_runs() -> tuple[HealthyRun, ...]:
    """Return the reference runs, without those that did not learn in the whole epoch."""
    return tuple(run for run in all_runs() if run.first_epoch.train_loss < HEALTHY)


@functools.cache
def all_runs() -> tuple[HealthyRun, ...]:
    """Return all measured runs."""
    records = json.loads(DATA_FILE.read_text(encoding="utf-8"))["runs"]
    return tuple(_run(record) for record in records)


def _run(record: dict[str, Any]) -> HealthyRun:
    reached = {key: Reached(**record[key]) for key in ("first_steps", "first_epoch")}
    return HealthyRun(**{**record, **reached})


def alike(asked: Asked, runs: Sequence[HealthyRun]) -> tuple[list[HealthyRun], str]:
    """Return the comparable reference runs; if there are none, the reason.

    A constant learning rate represents all schedules that begin at their maximum.
    """
    if (asked.dataset, asked.classes) != ("mnist", 10):
        return [], f"there is no reference for {asked.dataset}"
    if asked.train_size < 40_000:
        return [], f"the reference has 55,000 training images, not {asked.train_size:,}"
    steps: dict[str, Callable[[HealthyRun], bool]] = {
        "batch size": lambda run: _within(run.batch_size, asked.batch_size, LIKE_BATCH),
        "optimizer": lambda run: run.optimizer == asked.optimizer.removesuffix("w"),
        "kind of schedule": lambda run: _rises(run.schedule) == _rises(asked.schedule),
        "learning rate": lambda run: _within(run.base_lr, asked.base_lr, LIKE_RATE),
        "size": lambda run: _within(run.parameters, asked.parameters, LIKE_SIZE),
        "kind (with a norm, or without)": lambda run: run.has_norm == asked.has_norm,
    }
    left = list(runs)
    for what, fits in steps.items():
        left = [run for run in left if fits(run)]
        if len(left) < FEWEST:
            return [], f"there is no reference of this {what}"
    return left, ""


def most_expected(runs: Sequence[HealthyRun]) -> float:
    """Return the upper limit of the training loss of a healthy run after the first steps.

    It is the upper end of Student's 95 % prediction interval, on the logarithm of the loss
    reduction below chance level: the range of a few runs alone would exclude every third healthy
    run. The training loss is used, not the validation accuracy, which depends on how far the
    running statistics of batch norm lag behind: with two seeds of one model it was 96 and 57 %
    after an epoch.
    """
    come = [math.log(max(LEAST, GUESSING - run.first_steps.train_loss)) for run in runs]
    reach = student_quantile(len(come) - 1) * statistics.stdev(come) * math.sqrt(1 + 1 / len(come))
    return GUESSING - math.exp(statistics.fmean(come) - reach)


def _within(first: float, second: float, most: float) -> bool:
    return abs(math.log(first / second)) <= math.log(most) + 1e-9


def _rises(schedule: str) -> bool:
    """Whether a schedule begins with a low learning rate."""
    return schedule == "one-cycle"
