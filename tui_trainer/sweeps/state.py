"""The state of a sweep: its trials, the best of them, and the importance of each setting.

Frozen facts for front ends. They are read from Optuna's storage and the folders of the runs by
:mod:`tui_trainer.sweeps.study`; nothing here needs Optuna.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from tui_trainer.stats.means import MeanInterval, mean_interval
from tui_trainer.sweeps.spec import SweepSpec
from tui_trainer.text.fmt import printable

TrialPhase = Literal["waiting", "running", "completed", "pruned", "failed"]


@dataclass(frozen=True, slots=True, kw_only=True)
class TrialState:
    """One trial: one choice of settings, trained with one or several seeds.

    Attributes:
        number: Its place in the sweep, from 1; kept when another worker takes it over.
        phase: ``waiting`` is a trial whose worker has ended before the trial did.
        settings: The values of the searched settings.
        runs: The folders of its runs that have begun, one a seed.
        values: The objective of each finished run, in the order of the seeds.
        reason: Why it was pruned or has failed, in one line; empty otherwise.
        finding: The code of the finding that ended it; empty if none did.
        epoch: The epochs trained so far, in all its runs together.
        epochs: The epochs of its runs together, if all are trained to their end.
        last: The objective after the last epoch so far; None before the first.
        seconds: The time of its runs so far.
        worker: The worker that trains it or has trained it: ``host:process``.
    """

    number: int
    phase: TrialPhase
    settings: Mapping[str, Any]
    runs: tuple[Path, ...] = ()
    values: tuple[float, ...] = ()
    reason: str = ""
    finding: str = ""
    epoch: int = 0
    epochs: int = 0
    last: float | None = None
    seconds: float = 0.0
    worker: str = ""

    @property
    def value(self) -> float | None:
        """The objective: the mean over its seeds; None unless it is completed."""
        return self.mean.mean if self.phase == "completed" and self.mean is not None else None

    @property
    def mean(self) -> MeanInterval | None:
        """The mean over the finished runs; its interval is NaN for a single one."""
        return mean_interval(self.values) if self.values else None

    @property
    def host(self) -> str:
        """The machine that trains it or has trained it."""
        return printable(self.worker.rpartition(":")[0])

    @property
    def is_elsewhere(self) -> bool:
        """Whether it was trained, but the folders of its runs are not here."""
        return self.epoch > 0 and not self.runs


@dataclass(frozen=True, slots=True, kw_only=True)
class Importance:
    """How much of the variation of the trials' ranks a setting explains.

    Attributes:
        setting: Its name.
        share: Its share, 0 to 1. What is missing to 1 is chance, and what settings explain only
            together; see :mod:`tui_trainer.sweeps.importance`.
        low: The lower end of its 95 % interval, by resampling the trials.
        high: The upper end.
    """

    setting: str
    share: float
    low: float
    high: float


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerState:
    """A process that trains trials of the sweep.

    Attributes:
        name: ``host:process``.
        trial: The number of the trial that it trains; None if it trains none.
        is_alive: Whether its last heartbeat is recent.
    """

    name: str
    trial: int | None = None
    is_alive: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class SweepState:
    """A sweep at one moment.

    Attributes:
        name: The name of its folder.
        folder: Its folder.
        spec: What it searches.
        trials: Its trials, by number.
        importance: The settings, the most important first; empty with too few completed trials.
        workers: The processes that train it, or have trained it.
        seconds: The time since its first trial began, without the time when no worker trained.
        is_over: Whether its budget is spent and no trial is running or waiting.
        ended: Why it is over, in one line; empty before.
        val_images: The number of validation images; 0 before a run has begun.
    """

    name: str
    folder: Path
    spec: SweepSpec
    trials: tuple[TrialState, ...] = ()
    importance: tuple[Importance, ...] = ()
    workers: tuple[WorkerState, ...] = ()
    seconds: float = 0.0
    is_over: bool = False
    ended: str = ""
    val_images: int = 0

    @property
    def has_several_hosts(self) -> bool:
        """Whether workers on several machines have trained it."""
        return len({worker.name.rpartition(":")[0] for worker in self.workers}) > 1

    @property
    def completed(self) -> tuple[TrialState, ...]:
        """The completed trials."""
        return tuple(trial for trial in self.trials if trial.phase == "completed")

    @property
    def best(self) -> TrialState | None:
        """The completed trial with the best objective; the earliest of equals."""
        sign = 1 if self.spec.is_minimized else -1
        found = [trial for trial in self.completed if trial.value is not None]
        return min(
            found, key=lambda trial: (sign * (trial.value or 0.0), trial.number), default=None
        )
