"""What a sweep searches, how, and for how long: the contents of a ``sweep.toml``."""

from __future__ import annotations

import hashlib
import json
import math
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from tui_trainer.protocol.config import RunConfig

Sampler = Literal["tpe", "random", "grid", "sobol"]
Objective = Literal["val_accuracy", "best_val_accuracy", "val_loss"]
Pruning = Literal["asha", "median", "none"]

SAMPLERS: tuple[Sampler, ...] = ("tpe", "random", "grid", "sobol")
OBJECTIVES: tuple[Objective, ...] = ("val_accuracy", "best_val_accuracy", "val_loss")
PRUNINGS: tuple[Pruning, ...] = ("asha", "median", "none")

MINIMIZED: frozenset[Objective] = frozenset({"val_loss"})
"""The objectives that are minimized; the others are maximized."""


@dataclass(frozen=True, slots=True)
class Range:
    """A searched number: from ``low`` to ``high``, both included.

    Attributes:
        low: The least value.
        high: The greatest value.
        log: Whether it is searched on a logarithmic scale.
        step: The distance between two values; None for any value between (integers: 1).
        is_integer: Whether the setting is an integer.
    """

    low: float
    high: float
    log: bool = False
    step: float | None = None
    is_integer: bool = False

    @property
    def count(self) -> int | None:
        """The number of its values; None for any value between."""
        if self.step is None and not self.is_integer:
            return None
        return round((self.high - self.low) / (self.step or 1)) + 1


@dataclass(frozen=True, slots=True)
class Choice:
    """A searched setting with listed values.

    Attributes:
        values: The values; None is the setting's default.
    """

    values: tuple[str | float | bool | None, ...]


Dimension = Range | Choice


def grid_size(space: Mapping[str, Dimension]) -> int:
    """Return the number of combinations of a space whose settings all have a count of values."""
    return math.prod(
        len(each.values) if isinstance(each, Choice) else each.count or 0 for each in space.values()
    )


@dataclass(frozen=True, slots=True)
class Budget:
    """When a sweep ends: at the first limit that is reached; None for no limit.

    Attributes:
        trials: The number of trials.
        epochs: The epochs of all its runs together.
        minutes: The minutes of training of its workers together, divided by their number.
    """

    trials: int | None = None
    epochs: int | None = None
    minutes: float | None = None


@dataclass(frozen=True, slots=True)
class SweepSpec:
    """A sweep, as its file describes it.

    Attributes:
        settings: The settings at the top of the file.
        space: The searched settings by name, in the order of the file.
        base: The settings of a run before those of the space; ``test`` is off.
        sampler: How the settings of the next trial are chosen.
        objective: What is compared, on the validation split.
        pruning: When a trial that falls behind ends early.
        seeds: Runs per trial, with the seeds ``base.seed``, ``base.seed + 1``, …
        seed: The seed of the sampler.
        budget: When the sweep ends.
        storage: The URL of the database of its trials; empty for a file in its folder.
        text: The text of the file.
        name: The name of the file, for messages.
        started_in: The folder of the relative paths in the file: the one in which the sweep was
            started. Empty for the current one.
    """

    settings: Mapping[str, Any]
    space: Mapping[str, Dimension]
    base: RunConfig
    sampler: Sampler = "tpe"
    objective: Objective = "val_accuracy"
    pruning: Pruning = "asha"
    seeds: int = 1
    seed: int = 0
    budget: Budget = field(default_factory=Budget)
    storage: str = ""
    text: str = ""
    name: str = "sweep.toml"
    started_in: str = ""

    @property
    def is_minimized(self) -> bool:
        """Whether a smaller objective is better."""
        return self.objective in MINIMIZED

    @property
    def fingerprint(self) -> str:
        """What decides its trials, as a hash: not the budget, the storage or the comments."""
        content = {
            "settings": dict(self.settings),
            "space": [(name, asdict(dimension)) for name, dimension in self.space.items()],
            "search": (self.sampler, self.objective, self.pruning, self.seeds, self.seed),
        }
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:16]

    def located(self, config: RunConfig) -> RunConfig:
        """Return settings of a run whose relative paths lead from where the sweep was started.

        A worker of another machine, which may not have that folder, takes its current one.
        """
        is_here = bool(self.started_in) and os.path.isdir(self.started_in)
        return config.with_absolute_paths(self.started_in) if is_here else config

    def epochs_of(self, settings: Mapping[str, Any]) -> int:
        """Return the epochs of one run with these values of the searched settings."""
        return int(settings.get("epochs", self.base.epochs))
