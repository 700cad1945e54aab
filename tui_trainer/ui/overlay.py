"""The curves of several runs and groups of runs in one chart."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Literal, NamedTuple

from tui_trainer.history.history import Curve, History
from tui_trainer.render.plots import Line, Mark, Scale
from tui_trainer.stats.means import Band, band
from tui_trainer.text import fmt
from tui_trainer.text.fmt import Cell
from tui_trainer.ui.chart_view import ChartView
from tui_trainer.ui.drawn_curves import (
    PLURALS,
    UNITS,
    kept_line,
    nearest,
    scale_of,
    series_line,
    x_end,
    x_text,
    x_values,
)
from tui_trainer.ui.run_curves import (
    ACCURACY,
    LOSS,
    LR,
    ChartContent,
    LegendRow,
    accuracy_chart,
    accuracy_text,
    loss_chart,
    loss_text,
    marks_of,
    reading_text,
)
from tui_trainer.ui.theming.roles import RUN_ROLES

GLYPHS = "●■▲◆○□△◇▼"

BAND_POINTS = 128
"""The number of places of a band: a terminal is hardly finer, and each costs a Student interval."""


class RunStyle(NamedTuple):
    """How a run is drawn: a color role, and a glyph that identifies it without color."""

    role: str
    glyph: str


def run_style(place: int) -> RunStyle:
    """Return the style of the run at a place, from 0; 72 runs have different ones."""
    return RunStyle(RUN_ROLES[place % len(RUN_ROLES)], GLYPHS[place % len(GLYPHS)])


@dataclass(frozen=True, slots=True)
class Metric:
    """A metric of a run that can be drawn for several runs.

    Attributes:
        title: The title of its chart.
        scale: The usual scale of its y axis.
        curve: The curve of a history; None for the learning rate.
        is_training: Whether it is measured on each training batch, not after each epoch.
        text: Formats a value.
    """

    title: str
    scale: Scale
    curve: Callable[[History], Curve] | None
    is_training: bool
    text: Callable[[float], str]


METRICS: dict[str, Metric] = {
    "val_accuracy": Metric(
        "validation accuracy %",
        ACCURACY,
        lambda history: history.accuracy_curve,
        False,
        accuracy_text,
    ),
    "val_loss": Metric(
        "validation loss", LOSS, lambda history: history.loss_curve, False, loss_text
    ),
    "accuracy": Metric(
        "training accuracy %", ACCURACY, lambda history: history.accuracy_curve, True, accuracy_text
    ),
    "loss": Metric("training loss", LOSS, lambda history: history.loss_curve, True, loss_text),
    "lr": Metric("learning rate", LR, None, True, fmt.learning_rate),
}
"""The metrics that :func:`overlay_chart` draws, by name."""


@dataclass(frozen=True, slots=True, eq=False)
class OverlaidRun:
    """A run in a chart of several runs."""

    name: str
    history: History
    style: RunStyle


@dataclass(frozen=True, slots=True, eq=False)
class OverlaidGroup:
    """A group of runs (seeds) in a chart: the mean of its members in the 95 % band of the mean."""

    name: str
    members: Sequence[History]
    style: RunStyle


def overlay_chart(
    curves: Sequence[OverlaidRun],
    metric: str,
    view: ChartView,
    *,
    bands: Sequence[OverlaidGroup] = (),
) -> ChartContent:
    """Draw a metric of any number of runs, and of groups as mean and band.

    Args:
        curves: The runs; later ones are drawn over earlier ones.
        metric: A name in :data:`METRICS`.
        view: The axes, smoothing, zoom and cursor.
        bands: Groups of runs, drawn under the runs.

    Returns:
        The content with a row of the legend for each group and run, in this order: its name and
        its value at the cursor, or else its last one.
    """
    shown = METRICS[metric]
    histories = [*(run.history for run in curves), *(m for group in bands for m in group.members)]
    x_max = max((x_end(history, view.x) for history in histories), default=1.0)
    lines: list[Line] = []
    rows: list[LegendRow] = []
    for group in bands:
        line, its_band = _group_line(group, shown, view)
        lines.append(line)
        text = _group_text(its_band, len(group.members), view, x_max, shown)
        rows.append(LegendRow(group.name, group.style.glyph, group.style.role, text))
    for run in curves:
        line = _run_line(run, shown, view)
        most = run.history.largest_drawn_loss if shown.scale is LOSS else math.inf
        lines.append(_capped(line, most))  # the legend has the true value
        text = _run_text(line, view, x_max, shown)
        rows.append(LegendRow(run.name, run.style.glyph, run.style.role, text))
    return ChartContent(
        x_max=x_max,
        lines=tuple(lines),
        marks=tuple(mark for run in curves for mark in _marks(run, view)),
        legend=()
        if view.cursor is None
        else (Cell(f"  {x_text(view.cursor, view.x)}", style="title"),),
        rows=tuple(rows),
        scale=scale_of(shown.scale, view),
        x_unit=UNITS[view.x],
        x_label=PLURALS[view.x],
    )


def _run_line(run: OverlaidRun, metric: Metric, view: ChartView) -> Line:
    """Return the curve of a run; the same object as long as nothing in it has changed."""
    return _line(run.history, metric, view, run.style)


def _line(history: History, metric: Metric, view: ChartView, style: RunStyle) -> Line:
    role, glyph = style
    if metric.curve is None:
        return series_line(history, history.lr, ChartView(x=view.x), role=role, glyph=glyph)
    curve = metric.curve(history)
    if metric.is_training:
        return series_line(history, curve.train, view, role=role, glyph=glyph)
    x = x_values(history, [point.x for point in curve.validation], view.x)
    y = [point.y for point in curve.validation]
    state = (len(y), x[-1], y[-1]) if y else ()
    key = (metric.title, view.x, style)
    return kept_line(curve.train, key, state, lambda: Line(x, y, role, glyph=glyph).without_gaps())


@lru_cache(maxsize=128)
def _capped(line: Line, most: float) -> Line:
    """Return a line without values above ``most``; the same object if it has none."""
    ys = (line.trend, line.low, line.high)
    if all(max(y, default=0.0) <= most for y in ys if y is not None):
        return line
    trend, low, high = (y and [min(value, most) for value in y] for y in ys)
    return replace(line, trend=trend or (), low=low, high=high)


def _run_text(line: Line, view: ChartView, x_max: float, metric: Metric) -> str:
    if not len(line.x):
        return "no values" if metric.is_training else "no validation"
    if view.cursor is None:
        return metric.text(line.trend[-1])
    if metric.is_training:
        return reading_text(line, view.cursor, x_max, metric.text)
    # Validation has one value an epoch: the nearest, as long as the run lasts.
    place = nearest(line.x, view.cursor)
    is_over = view.cursor > line.x[-1] + _gap(line)
    return "—" if place is None or is_over else metric.text(line.trend[place])


def _gap(line: Line) -> float:
    """Return half the distance of the last two values."""
    return (line.x[-1] - (line.x[-2] if len(line.x) > 1 else 0.0)) / 2


def chart_with_seeds(
    metric: Literal["loss", "accuracy"],
    history: History,
    seeds: Sequence[History],
    view: ChartView,
) -> ChartContent:
    """Draw a run over the means and 95 % bands of the finished runs of other seeds.

    Args:
        metric: The training metric; its validation metric is drawn as well.
        history: The run.
        seeds: The other runs; without any, the chart is that of the run alone.
        view: The view.
    """
    content = (loss_chart if metric == "loss" else accuracy_chart)(history, view)
    if not seeds:
        return content
    group = OverlaidGroup("seeds", seeds, RunStyle("muted", ""))
    training, _ = _group_line(group, METRICS[metric], view)
    shown = METRICS[f"val_{metric}"]
    validation, its_band = _group_line(group, shown, view, role="validation")
    x_max = max(content.x_max, *(x_end(each, view.x) for each in seeds))
    text = _group_text(its_band, len(seeds), view, x_max, shown)
    # A band of batches would hide that of the seeds.
    lines = [line if line.is_raw else replace(line, low=None, high=None) for line in content.lines]
    mean, space, interval = text.partition(" ")
    legend = (Cell(f"  ░ seeds {mean}", style="muted"), Cell(space + interval, 3, "muted"))
    return replace(
        content,
        x_max=x_max,
        lines=(training, validation, *lines),
        legend=(*content.legend, *legend),
    )


def _group_line(
    group: OverlaidGroup, metric: Metric, view: ChartView, role: str = ""
) -> tuple[Line, Band]:
    # The mean of what single batches do is that of their moving averages.
    light = replace(view, smoothing="light") if view.smoothing == "off" else view
    members = tuple(_line(member, metric, light, RunStyle("", "")) for member in group.members)
    return _band_line(members, role or group.style.role, group.style.glyph)


@lru_cache(maxsize=32)
def _band_line(members: tuple[Line, ...], role: str, glyph: str) -> tuple[Line, Band]:
    """Return the mean of lines in its band, while at least two of several have a value."""
    its_band = band([(line.x, line.trend) for line in members], BAND_POINTS)
    least = min(2, max(its_band.counts, default=0))
    at = [place for place, count in enumerate(its_band.counts) if count >= least]
    x, mean = ([values[place] for place in at] for values in (its_band.x, its_band.mean))
    low, high = ([values[place] for place in at] for values in (its_band.low, its_band.high))
    has_band = least > 1
    line = Line(
        x, mean, role, low if has_band else None, high if has_band else None, f"dim:{role}", glyph
    )
    return line, its_band


def _group_text(its_band: Band, members: int, view: ChartView, x_max: float, metric: Metric) -> str:
    """Return the mean and interval at the cursor, or at the last place of the most runs."""
    if not its_band.x:
        return "no values" if metric.is_training else "no validation"
    most = max(its_band.counts)
    place = max(at for at, count in enumerate(its_band.counts) if count == most)
    if view.cursor is not None:
        place = nearest(its_band.x, view.cursor) or 0
        if view.cursor > its_band.x[-1] + 0.5 * x_max / BAND_POINTS:
            return "—"
    count = its_band.counts[place]
    mean, low, high = its_band.mean[place], its_band.low[place], its_band.high[place]
    # Student's interval knows of no smallest loss and no largest accuracy.
    within = max(0.0, low), min(1.0, high) if metric.scale is ACCURACY else high
    bounds = "" if math.isnan(low) else " [{}, {}]".format(*map(metric.text, within))
    of = f"{count} of {members}" if count < members else f"{count}"
    return f"{metric.text(mean)}{bounds} n={of}"


def _marks(run: OverlaidRun, view: ChartView) -> Sequence[Mark]:
    """Return the changes and findings of a run, in its color and without lines."""
    return [
        replace(mark, label="", name=f"{run.name}: {mark.name}", has_line=False)
        for mark in marks_of(run.history, view)
        if mark.role != "muted"
    ]
