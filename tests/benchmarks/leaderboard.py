"""The recorded presets and the published figures as tables and plots for ``docs/leaderboard.md``.

``python -m tests.docs --write`` writes them.
"""

from __future__ import annotations

import math
import statistics
import tomllib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from tests.benchmarks.preset_records import FOLDER, Record, read
from tests.benchmarks.scatter import BEST, MEAN, OUR_MEAN, SINGLE, Point, scatter
from tui_trainer.protocol.config import PRESETS
from tui_trainer.stats.means import MeanInterval, mean_interval
from tui_trainer.text.fmt import percent

KINDS = {"mean": MEAN, "single": SINGLE, "best": BEST}
OURS, PUBLISHED = 0, 1
MOST_PARAMETERS = 50_000
"""Larger published models are in the table alone."""

KEY = (
    Point("ours, mean over seeds", 1, 0.9, OUR_MEAN, OURS),
    Point("published: mean", 1, 0.9, MEAN, PUBLISHED),
    Point("one run", 1, 0.9, SINGLE, PUBLISHED),
    Point("best of several", 1, 0.9, BEST, PUBLISHED),
)


@dataclass(frozen=True, slots=True)
class Published:
    """A published figure: see ``records/published.toml``."""

    name: str
    url: str
    accuracy: float
    kind: str
    figure: str
    test: str
    parameters: int | None = None
    seconds: float | None = None
    hardware: str = ""


@dataclass(frozen=True, slots=True)
class Result:
    """The records of a preset.

    Attributes:
        preset: Its name.
        records: One or more records, by seed.
    """

    preset: str
    records: Sequence[Record]

    @property
    def accuracy(self) -> MeanInterval:
        """The mean test accuracy over the seeds, with its interval."""
        return mean_interval([each.accuracy for each in self.records])

    @property
    def parameters(self) -> int:
        """The number of parameters."""
        return self.records[0].parameters

    @property
    def timed(self) -> list[float]:
        """The durations in seconds of the runs that trained alone."""
        return [each.seconds for each in self.records if each.jobs == 1]


@cache
def published(path: Path = FOLDER / "published.toml") -> tuple[Published, ...]:
    """Return the published figures."""
    with path.open("rb") as file:
        return tuple(Published(**each) for each in tomllib.load(file)["figure"])


def recorded(folder: Path = FOLDER) -> list[Result]:
    """Return the presets with records, the smallest model first."""
    found = ((name, read(name, folder)) for name in PRESETS)
    results = [Result(name, records) for name, records in found if records]
    return sorted(results, key=lambda result: (result.parameters, result.preset))


def accuracy_text(mean: MeanInterval) -> str:
    """Return a mean with its interval: ``99.44 % [99.36, 99.52]``."""
    if math.isnan(mean.low):
        return percent(mean.mean)
    return f"{percent(mean.mean)} [{100 * mean.low:.2f}, {100 * mean.high:.2f}]"


def duration_text(seconds: float) -> str:
    """Return a duration in seconds, from two minutes on in minutes."""
    if seconds < 10:
        return f"{seconds:.2g} s"
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.1f} min"


def seeds_text(records: Sequence[Record]) -> str:
    """Return the seeds of records: ``10: 100–109``."""
    seeds = [each.seed for each in records]
    whole = len(seeds) == seeds[-1] - seeds[0] + 1
    shown = f"{seeds[0]}–{seeds[-1]}" if whole else ", ".join(map(str, seeds))
    return f"{len(seeds)}: {shown}"


def training_text(result: Result) -> str:
    """Return how long the training of a preset takes, and on what."""
    first = result.records[0]
    where = f"{first.threads} thread{'s' if first.threads > 1 else ''}"
    if first.device != "cpu":
        where = first.device
    if not result.timed:
        seconds = statistics.median(each.seconds for each in result.records)
        return f"{duration_text(seconds)}, {where}, {first.jobs} runs at a time"
    return f"{duration_text(statistics.median(result.timed))}, {where}"


def preset_rows(results: Sequence[Result]) -> list[tuple[str, ...]]:
    """Return the cells of the table of presets."""
    return [
        (
            f"`mnist-tui --no-ui --preset {each.preset}`",
            f"{each.parameters:,}",
            accuracy_text(each.accuracy),
            " – ".join(
                percent(end([one.accuracy for one in each.records])).removesuffix(" %")
                for end in (min, max)
            ),
            seeds_text(each.records),
            f"{each.records[0].epochs}",
            training_text(each),
        )
        for each in results
    ]


def published_rows(figures: Sequence[Published]) -> list[tuple[str, ...]]:
    """Return the cells of the table of published figures, the smallest model first."""
    return [
        (
            f"[{each.name}]({each.url})",
            f"{each.parameters:,}" if each.parameters else "",
            percent(each.accuracy),
            each.figure,
            each.test,
            f"{duration_text(each.seconds)}, {each.hardware}" if each.seconds else "",
        )
        for each in sorted(figures, key=lambda each: each.parameters or math.inf)
    ]


def parameters_plot(results: Sequence[Result], figures: Sequence[Published]) -> str:
    """Return the plot of accuracy by parameters as an SVG file."""
    ours = [_point(each, float(each.parameters)) for each in results]
    theirs = [
        Point(each.name, float(each.parameters), each.accuracy, KINDS[each.kind], PUBLISHED)
        for each in figures
        if each.parameters and each.parameters <= MOST_PARAMETERS
    ]
    return scatter("test accuracy", "parameters", [*ours, *theirs], KEY)


def time_plot(results: Sequence[Result], figures: Sequence[Published]) -> str:
    """Return the plot of accuracy by the duration of the training as an SVG file."""
    ours = [
        _point(each, statistics.median(each.timed), (min(each.timed), max(each.timed)))
        for each in results
        if each.timed
    ]
    theirs = [
        Point(
            f"{each.name} ({each.hardware})",
            each.seconds,
            each.accuracy,
            KINDS[each.kind],
            PUBLISHED,
        )
        for each in figures
        if each.seconds
    ]
    return scatter("test accuracy", "seconds of training", [*ours, *theirs], KEY)


def _point(result: Result, x: float, x_range: tuple[float, float] | None = None) -> Point:
    mean = result.accuracy
    bounds = None if math.isnan(mean.low) else (mean.low, mean.high)
    return Point(result.preset, x, mean.mean, OUR_MEAN, OURS, x_range, bounds)


PICTURES: dict[str, Callable[[], str]] = {
    "docs/images/parameters.svg": lambda: parameters_plot(recorded(), published()),
    "docs/images/time.svg": lambda: time_plot(recorded(), published()),
}
"""The plots by their files in the checkout."""
