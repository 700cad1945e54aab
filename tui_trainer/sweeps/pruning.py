"""When a trial ends early because it falls behind the others: pure functions of their curves."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from statistics import fmean, median

from tui_trainer.stats.means import student_quantile
from tui_trainer.sweeps.spec import SweepSpec

Curve = Mapping[int, float]
"""The objective of a run by epoch, from 1."""

REDUCTION = 3
"""ASHA: one in so many trials of a level continues; the levels are 1, 3, 9, … epochs."""

STARTUP_TRIALS = 5
"""The median rule compares with so many completed trials, at least."""

MIN_FREEDOM = 3
"""Seeds are compared once their spread is known with so many degrees of freedom."""


def falls_behind(
    spec: SweepSpec, curve: Curve, others: Sequence[Curve], completed: Sequence[Curve]
) -> str:
    """Return why a trial should end after its last epoch; empty if it should go on.

    Args:
        spec: The sweep.
        curve: The first run of the trial so far.
        others: Those of all other trials.
        completed: Those of the completed trials.
    """
    if spec.pruning == "asha":
        return _asha(curve, others, smaller_is_better=spec.is_minimized)
    if spec.pruning == "median":
        return _below_median(curve, completed, smaller_is_better=spec.is_minimized)
    return ""


def _asha(curve: Curve, others: Sequence[Curve], *, smaller_is_better: bool) -> str:
    """Return why a trial is not in the best third of its level.

    With fewer than three trials at a level all continue.

    Source: L. Li and others, "A System for Massively Parallel Hyperparameter Tuning", MLSys 2020.
    """
    epoch = max(curve)
    if not _is_level(epoch):
        return ""
    current = _best(curve, epoch, smaller_is_better)
    level = [
        current,
        *(_best(other, epoch, smaller_is_better) for other in others if epoch in other),
    ]
    kept = len(level) // REDUCTION
    if kept == 0:
        return ""
    limit = sorted(level, reverse=not smaller_is_better)[kept - 1]
    if current <= limit if smaller_is_better else current >= limit:
        return ""
    return (
        f"epoch {epoch}: {current:.4f}, not in the best {kept} of {len(level)} trials ({limit:.4f})"
    )


def _is_level(epoch: int) -> bool:
    while epoch % REDUCTION == 0:
        epoch //= REDUCTION
    return epoch == 1


def _below_median(curve: Curve, completed: Sequence[Curve], *, smaller_is_better: bool) -> str:
    """Return why a trial is worse than the median of the completed trials at the same epoch.

    Source: D. Golovin and others, "Google Vizier: A Service for Black-Box Optimization", KDD 2017.
    """
    epoch = max(curve)
    there = [other[epoch] for other in completed if epoch in other]
    if len(there) < STARTUP_TRIALS:
        return ""
    current, limit = _best(curve, epoch, smaller_is_better), median(there)
    if current <= limit if smaller_is_better else current >= limit:
        return ""
    return (
        f"epoch {epoch}: {current:.4f}, worse than the median of {len(there)} trials ({limit:.4f})"
    )


def _best(curve: Curve, epoch: int, smaller_is_better: bool) -> float:
    values = [value for at, value in curve.items() if at <= epoch]
    return min(values) if smaller_is_better else max(values)


def clearly_worse(
    values: Sequence[float],
    best: Sequence[float],
    trials: Sequence[Sequence[float]],
    spec: SweepSpec,
) -> str:
    """Return why further seeds of a trial cannot make it the best; empty if they may.

    It is compared with the best trial over the same seeds. The spread between the seeds of a trial
    is pooled over all trials, as one seed has no spread. One-sided, 97.5 %.

    Args:
        values: The objectives of its seeds so far.
        best: Those of the best completed trial, in the same order.
        trials: Those of all trials.
        spec: The sweep.
    """
    groups = [group for group in trials if len(group) > 1]
    freedom = sum(len(group) - 1 for group in groups)
    pairs = list(zip(values, best, strict=False))
    if not pairs or freedom < MIN_FREEDOM:
        return ""
    squares = math.fsum((value - fmean(group)) ** 2 for group in groups for value in group)
    error = math.sqrt(squares / freedom * 2 / len(pairs))
    sign = 1 if spec.is_minimized else -1
    gap = sign * fmean(value - other for value, other in pairs)
    if gap <= student_quantile(freedom) * error:
        return ""
    there = fmean(other for _, other in pairs)
    return (
        f"after {len(pairs)} of {spec.seeds} seeds: {fmean(values):.4f}, clearly worse than the "
        f"best trial there ({there:.4f})"
    )
