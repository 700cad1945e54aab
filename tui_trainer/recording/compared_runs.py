"""The columns of a comparison: a run, or a group of runs that differ in their seeds."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import groupby
from typing import Any, Literal

from tui_trainer.protocol.events import SettingChanged
from tui_trainer.recording.folder import RunFolder
from tui_trainer.recording.run_fields import RECIPE
from tui_trainer.recording.summary import COMPLETED, RUNNING, Summary
from tui_trainer.stats.means import MeanInterval, mean_interval
from tui_trainer.text.fmt import listed, plural

Kind = Literal["accuracy", "loss", "seconds"]


@dataclass(frozen=True, slots=True)
class ComparedMetric:
    """A result of a run.

    Attributes:
        name: The field of :class:`Summary`.
        label: Its name in a table.
        kind: How it is formatted.
        interval: The field with its Wilson interval; empty if it has none.
    """

    name: str
    label: str
    kind: Kind
    interval: str = ""


METRICS = (
    ComparedMetric("val_accuracy", "validation accuracy", "accuracy", "val_interval"),
    ComparedMetric(
        "best_val_accuracy", "best validation accuracy", "accuracy", "best_val_interval"
    ),
    ComparedMetric("val_loss", "validation loss", "loss"),
    ComparedMetric("train_accuracy", "training accuracy", "accuracy"),
    ComparedMetric("train_loss", "training loss", "loss"),
    ComparedMetric("test_accuracy", "test accuracy", "accuracy", "test_interval"),
    ComparedMetric("seconds", "training time", "seconds"),
)
"""The compared results."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ComparedRun:
    """A run of a comparison.

    Attributes:
        name: Its name.
        settings: Its settings at the start, with all derived values.
        summary: Its results.
        interventions: The settings that were changed during training.
    """

    name: str
    settings: Mapping[str, Any]
    summary: Summary
    interventions: tuple[SettingChanged, ...] = ()

    @classmethod
    def read(
        cls, folder: RunFolder, name: str = "", interventions: Iterable[SettingChanged] = ()
    ) -> ComparedRun:
        """Read settings and summary of a run, without its events.

        Raises:
            InputError: If they cannot be read.
        """
        settings, summary = folder.read_config().resolved().as_dict(), folder.read_summary()
        if summary.recorded_in:
            # The run of a script has a copy of its model and some of its data in its own folder.
            prefix = f"{summary.recorded_in}/"
            for key, value in settings.items():
                if isinstance(value, str):
                    settings[key] = value.replace(prefix, "")
        return cls(
            name=name or folder.name,
            settings=settings,
            summary=summary,
            interventions=tuple(interventions),
        )

    @property
    def is_finished(self) -> bool:
        """Whether all of its epochs are done."""
        return self.summary.state == COMPLETED

    def value(self, metric: str) -> float | None:
        """Return a result; None if the run does not have it, or it is not finite."""
        value = getattr(self.summary, metric)
        return value if value is not None and math.isfinite(value) else None


@dataclass(frozen=True, slots=True)
class ComparedGroup:
    """A column of a comparison: a run, or the runs of a group, at least one."""

    name: str
    runs: tuple[ComparedRun, ...]

    @property
    def is_single(self) -> bool:
        """Whether it is a single run."""
        return len(self.runs) == 1

    @property
    def dataset(self) -> str:
        """The dataset of its first run."""
        return self.runs[0].summary.dataset

    @property
    def seeds(self) -> tuple[int, ...]:
        """The seeds of its runs, increasing, each once."""
        return tuple(sorted({run.summary.seed for run in self.runs}))

    @property
    def counted(self) -> tuple[ComparedRun, ...]:
        """The runs that its means are over: finished, and on the dataset of the first one.

        All those on that dataset if none is finished.
        """
        alike = [run for run in self.runs if run.summary.dataset == self.dataset]
        return tuple([run for run in alike if run.is_finished] or alike)

    def figure(self, metric: ComparedMetric) -> MeanInterval | None:
        """Return a result: the mean over its runs with Student's t interval.

        Of a single run it is the value, an accuracy with its Wilson interval; None without values.
        """
        if self.is_single:
            value = self.runs[0].value(metric.name)
            bounds = getattr(self.runs[0].summary, metric.interval) if metric.interval else None
            low, high = bounds or (math.nan, math.nan)
            return None if value is None else MeanInterval(value, low, high, 1)
        values = [run.value(metric.name) for run in self.counted]
        found = [value for value in values if value is not None]
        return mean_interval(found) if found else None

    def by_seed(self, metric: str) -> dict[int, float]:
        """Return a result of its counted runs by seed; of several runs of a seed the first."""
        found: dict[int, float] = {}
        for run in self.counted:
            if (value := run.value(metric)) is not None:
                found.setdefault(run.summary.seed, value)
        return found


# --- what limits the numbers of a group


def notes_of(group: ComparedGroup, label: str) -> Iterable[str]:
    """Yield what a reader of a group's numbers must know."""
    if group.is_single:
        state, run = group.runs[0].summary.state, group.runs[0]
        if not run.is_finished:
            done = f"{run.summary.epochs_done} of {run.summary.epochs} epochs"
            yield f"{label} {state_verb(state)}: {done} are done."
        return
    runs, counted = group.runs, group.counted
    others = [run for run in runs if run.summary.dataset != group.dataset]
    if others:
        which = listed([run.name for run in others])
        yield f"{label}: not all of its runs are on {group.dataset}; left out: {which}."
    if not any(run.is_finished for run in counted):
        states = [run.summary.state for run in counted]
        text = ", ".join(f"{states.count(state)} {state}" for state in dict.fromkeys(states))
        yield f"{label}: no run is finished ({text}); its means are over the epochs so far."
    else:
        left = [run for run in runs if run not in counted and run not in others]
        by_state = sorted(left, key=lambda run: run.summary.state)
        for state, some in groupby(by_state, key=lambda run: run.summary.state):
            names = [run.name for run in some]
            ended = state_verb(state, len(names))
            text = f"{label}: {len(names)} of {plural(len(runs), 'run')} {ended}"
            bias = ", so the means are too favorable" if state in ("diverged", "failed") else ""
            yield f"{text}; left out of its means{bias}: {listed(names)}."
    blank = [run.name for run in counted if run.value("val_accuracy") is None]
    if blank and len(blank) < len(counted):
        yield f"{label}: without validation accuracy, and not in its mean: {listed(blank)}."
    epochs = sorted({run.summary.epochs_done for run in counted})
    if len(epochs) > 1:
        lengths = listed([str(each) for each in epochs])
        yield f"{label}: its runs have different lengths, {lengths} epochs."
    settings = [run.settings for run in counted]
    names = [name for name in RECIPE if len({repr(each.get(name)) for each in settings}) > 1]
    if names:
        yield (
            f"{label}: its runs differ in {listed(names)}, so its intervals are not over seeds "
            "alone."
        )
    if len(group.seeds) < len(runs):
        yield f"{label}: several of its runs have the same seed; pairs use the first of each seed."


def state_verb(state: str, number: int = 1) -> str:
    """Return a state as a verb: ``diverged``, ``was killed``, ``are running``."""
    if state in ("diverged", "failed"):
        return state
    if state == RUNNING:
        return "is running" if number == 1 else "are running"
    return f"{'was' if number == 1 else 'were'} {state}"
