"""What a larger batch costs and saves: steps, images and seconds to the same training loss."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean

from tui_trainer.history.history import History
from tui_trainer.text import fmt
from tui_trainer.text.fmt import Cell
from tui_trainer.text.lines import Lines, aligned, paragraph
from tui_trainer.ui.runs.shown_curves import has_diverged

HEAD = ("batch", "runs", "steps", "images", "seconds", "images/s")


@dataclass(frozen=True, slots=True)
class LensRun:
    """A run under the lens.

    Attributes:
        name: Its name.
        history: Its history.
        noise: The gradient noise scale in images; None where it is unknown.
    """

    name: str
    history: History
    noise: float | None = None


@dataclass(frozen=True, slots=True)
class Effort:
    """What the runs of a batch size needed to get to the target: means over these runs."""

    batch_size: int
    runs: int
    steps: float
    images: float
    seconds: float


@dataclass(frozen=True, slots=True)
class BatchLens:
    """The same training at several batch sizes.

    Attributes:
        target: The training loss that all runs have reached; NaN if there is none.
        efforts: What each batch size needed, the smallest batch first.
        noise: The gradient noise scale in images, the geometric mean of the runs that know it;
            None if none does.
        left_out: The runs that cannot be compared, each with the reason.
    """

    target: float
    efforts: tuple[Effort, ...]
    noise: float | None
    left_out: tuple[tuple[str, str], ...]


def batch_lens(runs: Sequence[LensRun]) -> BatchLens:
    """Compare runs by what each batch size needed to get to the same smoothed training loss.

    The target is the lowest loss that every run has reached. The average of each run has the same
    half-life in images, at any batch size.
    """
    left_out = [(run.name, why) for run in runs if (why := _unusable(run.history))]
    usable = [run for run in runs if not _unusable(run.history)]
    target = max((min(run.history.train_loss.trend) for run in usable), default=math.nan)
    found: dict[int, list[tuple[float, float, float]]] = {}
    for run in usable:
        batch_size = run.history.started.batch_size if run.history.started else 0
        found.setdefault(batch_size, []).append(_effort(run.history, target))
    efforts = tuple(
        Effort(size, len(each), *(fmean(column) for column in zip(*each, strict=True)))
        for size, each in sorted(found.items())
    )
    scales = [math.log(run.noise) for run in runs if run.noise]
    noise = math.exp(fmean(scales)) if scales else None
    return BatchLens(target, efforts, noise, tuple(left_out))


def _unusable(history: History) -> str:
    """Return why a run cannot be compared; empty if it can."""
    if history.started is None or not history.train_loss.trend:
        return "it has no training step"
    if any(change.setting == "batch_size" for change in history.interventions):
        return "its batch size was changed during the training"
    if has_diverged(history):
        return "it diverged"
    return ""


def _effort(history: History, target: float) -> tuple[float, float, float]:
    """Return the steps, images and seconds after which the smoothed loss is at the target."""
    trend = history.train_loss.trend
    place = next(place for place, loss in enumerate(trend) if loss <= target)
    assert history.started is not None
    x = [history.train_loss.x[place]]
    timeline, images = history.timeline, x[0] * history.started.train_size
    return timeline.at(x, "steps")[0], images, timeline.at(x, "seconds")[0]


def lens_lines(lens: BatchLens, different: Sequence[str], width: int) -> Lines:
    """Return the table of the batch sizes, then what it means.

    Args:
        lens: The compared batch sizes.
        different: The other settings in which the runs differ.
        width: Columns.
    """
    rows = [
        (
            fmt.count(effort.batch_size),
            fmt.count(effort.runs),
            fmt.count(round(effort.steps)),
            fmt.count(round(effort.images)),
            f"{effort.seconds:,.1f}",
            fmt.count(round(effort.images / effort.seconds)) if effort.seconds > 0 else "-",
        )
        for effort in lens.efforts
    ]
    lines: Lines = []
    if rows:
        title = f"to a training loss of {fmt.loss(lens.target).strip()}"
        lines = [[Cell(title, style="title")]]
        for number, row in enumerate(aligned([HEAD, *rows], range(len(HEAD)))):
            lines.append([Cell("  ".join(row), style="" if number else "muted")])
        lines.append([])
    for sentence in explanation(lens):
        lines += paragraph(sentence, "", width)
    if different and rows:
        words = f"▲ They also differ in {fmt.listed(different)}: batch size is not the only cause."
        lines += paragraph(words, "warning", width, hanging=2)
    for name, why in lens.left_out:
        lines += paragraph(f"· {name} is left out: {why}", "muted", width, hanging=2)
    return lines


def explanation(lens: BatchLens) -> list[str]:
    """Return two sentences: what the largest batch needed, and what explains that."""
    if len(lens.efforts) < 2:
        words = "Mark runs of different batch sizes to compare what each needs."
        return [words, _about_noise(lens)] if lens.noise else [words]
    small, large = lens.efforts[0], lens.efforts[-1]
    ratios = [
        f"{_ratio(after, before)} {unit}"
        for unit, before, after in (
            ("steps", small.steps, large.steps),
            ("images", small.images, large.images),
            ("seconds", small.seconds, large.seconds),
        )
    ]
    return [
        f"Batch {fmt.count(large.batch_size)} needed {ratios[0]}, {ratios[1]} and {ratios[2]} of "
        f"batch {fmt.count(small.batch_size)}: {_verdict(small, large)}.",
        _about_noise(lens),
    ]


def _ratio(after: float, before: float) -> str:
    return f"{after / before:.2g}× the" if before > 0 else "-× the"


def _verdict(small: Effort, large: Effort) -> str:
    """Return whether the largest batch is faster, and through what."""
    steps, seconds = small.steps / large.steps, large.seconds / max(small.seconds, 1e-9)
    per_step = large.seconds / large.steps / max(small.seconds / small.steps, 1e-9)
    saved = f"{steps:.2g} times fewer steps, each {per_step:.2g} times as long"
    if seconds <= 0.95:
        return f"it is faster, with {saved}"
    if seconds < 1.05:
        return f"it takes as long, with {saved}"
    return f"it is slower, with {saved}"


def _about_noise(lens: BatchLens) -> str:
    """Return how the batch sizes compare with the gradient noise scale.

    Source: S. McCandlish, J. Kaplan and D. Amodei, "An Empirical Model of Large-Batch Training",
    arXiv 1812.06162, 2018: at its best learning rate, a batch of n images needs steps in
    proportion to 1 + B / n, with the noise scale B.
    """
    if lens.noise is None:
        return (
            "The gradient noise scale of these runs is unknown, so nothing here tells where a "
            "larger batch stops saving steps; train with probes to measure it."
        )
    about = f"The gradient noise scale is about {fmt.count(_rounded(lens.noise))} images"
    if len(lens.efforts) < 2:
        return f"{about}: batches below it save steps when they are doubled, larger ones hardly."
    small, large = (effort.batch_size for effort in (lens.efforts[0], lens.efforts[-1]))
    expected = (1 + lens.noise / large) / (1 + lens.noise / small)
    share = f"with a suitable learning rate, {expected:.2g}× the steps are expected"
    if large <= lens.noise:
        return f"{about}, above all these batches: {share}, so a still larger one can pay."
    if small >= lens.noise:
        return f"{about}, below all these batches: {share}, so a smaller one costs few steps."
    return f"{about}: beyond it the gradient has little noise left to average away; {share}."


def _rounded(number: float) -> int:
    """Return a number with two significant digits."""
    return round(float(f"{number:.2g}"))
