"""Made-up sweeps: states with known truth, for the window, the text and the advice."""

from __future__ import annotations

import math
import random
from bisect import insort
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from tui_trainer.protocol.config import RunConfig
from tui_trainer.sweeps.importance import importance_of
from tui_trainer.sweeps.spec import Budget, Choice, Dimension, Range, SweepSpec
from tui_trainer.sweeps.state import SweepState, TrialState, WorkerState

SPACE: Mapping[str, Dimension] = {
    "lr": Range(0.01, 1.0, log=True),
    "model": Choice(("small", "tiny")),
    "batch_size": Range(32, 512, log=True, is_integer=True),
    "label_smoothing": Range(0.0, 0.2),
}

LONG = "experiments/2026/architectures/wide_and_deep_networks.py:WideAndDeepNetwork"

MANY: Mapping[str, Dimension] = {
    **SPACE,
    "model": Choice(("small", "tiny", LONG)),
    "weight_decay": Range(1e-5, 1e-2, log=True),
    "momentum": Range(0.5, 0.99),
    "dropout": Range(0.0, 0.5),
    "augment": Choice(("none", "light", "strong")),
    "nesterov": Choice((True, False)),
    "optimizer": Choice(("sgd", "adam")),
}
"""Ten settings."""

REASONS = (
    ("behind the others at epoch 2", ""),
    ("the loss is not finite since step 310", "diverged"),
    ("behind the others at epoch 1", ""),
)


def spec_of(space: Mapping[str, Dimension] = SPACE, **changes: Any) -> SweepSpec:
    """Return what a made-up sweep searches."""
    base = RunConfig(model="small", epochs=4, test=False)
    spec = SweepSpec(settings={}, space=space, base=base, budget=Budget(trials=40))
    return replace(spec, **changes)


def settings_of(space: Mapping[str, Dimension], rng: random.Random) -> dict[str, Any]:
    """Return random settings."""
    found: dict[str, Any] = {}
    for name, each in space.items():
        if isinstance(each, Choice):
            found[name] = rng.choice(each.values)
            continue
        low, high = (math.log(each.low), math.log(each.high)) if each.log else (each.low, each.high)
        value = rng.uniform(low, high)
        value = math.exp(value) if each.log else value
        found[name] = round(value) if each.is_integer else value
    return found


def accuracy(settings: Mapping[str, Any], rng: random.Random) -> float:
    """Return an accuracy: a learning rate near 0.2 and the larger model are better."""
    lr = float(settings.get("lr", 0.2))
    gap = 0.004 + 0.006 * (math.log10(lr) - math.log10(0.2)) ** 2
    gap += 0.002 * (settings.get("model") == "tiny")
    return 1 - gap * math.exp(rng.gauss(0, 0.12))


def trial_of(
    number: int,
    spec: SweepSpec,
    rng: random.Random,
    phase: str = "completed",
    function: Callable[[Mapping[str, Any], random.Random], float] = accuracy,
) -> TrialState:
    """Return a made-up trial."""
    settings = settings_of(spec.space, rng)
    values = tuple(function(settings, rng) for _ in range(spec.seeds))
    total = spec.base.epochs * spec.seeds
    done = total if phase == "completed" else 1 + number % max(1, total - 1)
    return TrialState(
        number=number,
        phase=phase,  # type: ignore[arg-type]
        settings=settings,
        runs=tuple(Path("sweep") / f"trial-{number:03}" / f"seed-{s}" for s in range(spec.seeds)),
        values=values if phase == "completed" else (),
        epoch=done,
        epochs=total,
        last=values[0] - 0.01 * (phase == "running"),
        seconds=12.0 * done,
        worker="lab:4711",
    )


def _ended(trial: TrialState, phase: str) -> TrialState:
    """Return a trial that was pruned or has failed."""
    reason, finding = REASONS[trial.number % 3]
    if phase == "failed":
        reason = "FileNotFoundError: data/train-images-idx3-ubyte: No such file or directory"
        finding = ""
    done = 1 + trial.number % max(1, trial.epochs - 1)
    return replace(
        trial,
        phase=phase,  # type: ignore[arg-type]
        values=(),
        reason=reason,
        finding=finding,
        epoch=done,
        seconds=12.0 * done,
    )


def sweep_of(
    count: int = 26,
    space: Mapping[str, Dimension] = SPACE,
    *,
    seed: int = 0,
    pruned: float = 0.25,
    failed: float = 0.04,
    running: int = 1,
    folder: Path = Path("runs/2026-11-29-0815-sweep"),
    function: Callable[[Mapping[str, Any], random.Random], float] = accuracy,
    **changes: Any,
) -> SweepState:
    """Return a made-up sweep of ``count`` ended trials and some running ones."""
    spec, rng = spec_of(space, **changes), random.Random(seed)
    sign = -1 if spec.is_minimized else 1
    trials: list[TrialState] = []
    known: list[float] = []
    for number in range(1, count + 1):
        trial = trial_of(number, spec, rng, "completed", function)
        # The worse part of what was known before is pruned: the list has the worst first.
        value = sign * (trial.value or 0.0)
        behind = pruned > 0 and bool(known) and value < known[int(pruned * len(known))]
        insort(known, value)
        if number > 3 and (behind or rng.random() < failed):
            trial = _ended(trial, "pruned" if behind else "failed")
        trials.append(trial)
    trials += [trial_of(count + 1 + i, spec, rng, "running", function) for i in range(running)]
    workers = tuple(
        WorkerState(name=f"lab:{4711 + i}", trial=count + 1 + i) for i in range(running)
    )
    return SweepState(
        name=folder.name,
        folder=folder,
        spec=spec,
        trials=tuple(trials),
        importance=importance_of(spec, trials),
        workers=workers,
        seconds=sum(trial.seconds for trial in trials),
        val_images=5000,
    )
