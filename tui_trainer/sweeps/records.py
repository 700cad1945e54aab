"""The records of trials in Optuna's storage: which of them count, and as what.

A trial whose worker ended has several records with its place; all but the last were released.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import optuna
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.trial import FrozenTrial
from optuna.trial import TrialState as RecordState

from tui_trainer.sweeps.spec import Choice, Dimension
from tui_trainer.sweeps.state import TrialPhase


def by_place(records: Sequence[FrozenTrial]) -> dict[int, FrozenTrial]:
    """Return the record of each trial that counts, by place: the first that was not released."""
    found = dict[int, FrozenTrial]()
    for record in records:
        place = record.user_attrs.get("place")
        if place is not None and (place not in found or is_orphan(found[place])):
            found[place] = record
    return dict(sorted(found.items()))


def is_orphan(record: FrozenTrial) -> bool:
    """Return whether a trial waits for a worker."""
    return record.state == RecordState.FAIL and "outcome" not in record.user_attrs


def phase_of(record: FrozenTrial) -> TrialPhase:
    """Return where a trial is, by its record."""
    if is_orphan(record):
        return "waiting"
    phases: dict[RecordState, TrialPhase] = {
        RecordState.COMPLETE: "completed",
        RecordState.PRUNED: "pruned",
        RecordState.FAIL: "failed",
    }
    return phases.get(record.state, "running")


def covered(spans: Sequence[tuple[float, float]]) -> float:
    """Return the seconds that spans of time cover together."""
    total, reached = 0.0, 0.0
    for begin, end in sorted(spans):
        if end > max(begin, reached):
            total += end - max(begin, reached)
        reached = max(reached, end)
    return total


def distribution_of(dimension: Dimension) -> BaseDistribution:
    """Return a dimension of a space as a distribution of Optuna."""
    if isinstance(dimension, Choice):
        return CategoricalDistribution(dimension.values)
    if dimension.is_integer:
        step = int(dimension.step or 1)
        return IntDistribution(int(dimension.low), int(dimension.high), dimension.log, step)
    return FloatDistribution(dimension.low, dimension.high, dimension.log, dimension.step)


def suggested(trial: optuna.trial.Trial, name: str, dimension: Dimension) -> Any:
    """Return the value that the sampler of a trial suggests for a setting."""
    if isinstance(dimension, Choice):
        return trial.suggest_categorical(name, dimension.values)
    if dimension.is_integer:
        step = int(dimension.step or 1)
        low, high = int(dimension.low), int(dimension.high)
        return trial.suggest_int(name, low, high, step=step, log=dimension.log)
    return trial.suggest_float(
        name, dimension.low, dimension.high, step=dimension.step, log=dimension.log
    )
