"""How healthy runs on MNIST go at first: measured, to set a run's first steps beside them."""

from __future__ import annotations

import functools
import json
import math
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

DATA_FILE = Path(__file__).with_name("envelope.json")
"""Written by ``python -m tests.benchmarks.envelope``, which says how."""

STEPS = 100
"""The first steps that are looked at."""

LAST_STEPS = 20
"""The batches over which a training loss is a mean."""

T_95 = (12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179)
"""Student's t for a two-sided 95 % interval, by degrees of freedom; any table of it."""

GUESSING = math.log(10)
"""The loss of guessing one of ten digits."""

HEALTHY = 2.0
"""The training loss after an epoch above which a run is no example: it has hardly begun."""

LEAST = 1e-3
"""Nats: nearer to guessing is as good as there."""

FEWEST = 3
"""Runs that a reference needs to show a range."""

LIKE_SIZE = 5.0
"""Networks are of like size whose parameters differ by this factor at most …"""

LIKE_RATE = 3.0
"""… and runs alike whose learning rates do, …"""

LIKE_BATCH = 1.5
"""… and whose batch sizes differ by less than this one."""


@dataclass(frozen=True, slots=True)
class Reached:
    """Where a run stood.

    Attributes:
        train_loss: The mean loss of the last :data:`LAST_STEPS` batches before.
        val_loss: The loss on the 5,000 validation images.
        val_accuracy: The share of them that was right.
    """

    train_loss: float
    val_loss: float
    val_accuracy: float


@dataclass(frozen=True, slots=True, kw_only=True)
class HealthyRun:
    """One run of the reference, on the 55,000 training images of MNIST.

    Attributes:
        parameters: How many numbers its network learns.
        has_norm: Whether it normalizes its features: without, a network can stand still at first.
        first_steps: Where it stood after :data:`STEPS` steps.
        first_epoch: Where it stood after one epoch.
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
    """The run that a reference is looked for."""

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
    """Return the runs of the reference, without those that stood still for the whole epoch."""
    return tuple(run for run in all_runs() if run.first_epoch.train_loss < HEALTHY)


@functools.cache
def all_runs() -> tuple[HealthyRun, ...]:
    """Return every run that was measured."""
    records = json.loads(DATA_FILE.read_text(encoding="utf-8"))["runs"]
    return tuple(_run(record) for record in records)


def _run(record: dict[str, Any]) -> HealthyRun:
    reached = {key: Reached(**record[key]) for key in ("first_steps", "first_epoch")}
    return HealthyRun(**{**record, **reached})


def alike(asked: Asked, runs: Sequence[HealthyRun]) -> tuple[list[HealthyRun], str]:
    """Return the reference runs that a run can be compared with; if there are none, why not.

    A constant rate stands for all schedules that begin at their highest.
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
    """Return the training loss after the first steps that one more such run hardly exceeds.

    The upper end of Student's 95 % prediction interval, taken on the logarithm of how far the loss
    has come below guessing: the range of a few runs alone would leave out every third healthy one.
    The loss and not the validation accuracy, for that is ruled by how far batch norm's running
    statistics lag behind: of two seeds of one network it was 96 and 57 % after an epoch.
    """
    come = [math.log(max(LEAST, GUESSING - run.first_steps.train_loss)) for run in runs]
    t = T_95[min(len(come) - 1, len(T_95)) - 1]
    reach = t * statistics.stdev(come) * math.sqrt(1 + 1 / len(come))
    return GUESSING - math.exp(statistics.fmean(come) - reach)


def _within(first: float, second: float, most: float) -> bool:
    return abs(math.log(first / second)) <= math.log(most) + 1e-9


def _rises(schedule: str) -> bool:
    """Say whether a schedule begins with a low rate."""
    return schedule == "one-cycle"
