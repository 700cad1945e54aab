"""The curves of several runs and groups of runs in one chart."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from tui_trainer.history.history import Curve, History
from tui_trainer.render.plots import Line, Points, Scale
from tui_trainer.text import fmt
from tui_trainer.text.fmt import Cell
from tui_trainer.ui.chart_view import ChartView
from tui_trainer.ui.run_curves import ACCURACY, LOSS, LR, ChartContent, LegendRow, x_end

ROLES = ("train", "validation", "test", "intervention", "warning", "error", "ok", "title")
GLYPHS = "●■▲◆○□△◇▼"


class RunStyle(NamedTuple):
    """How a run is drawn: a color role, and a glyph that identifies it without color."""

    role: str
    glyph: str


def run_style(place: int) -> RunStyle:
    """Return the style of the run at a place, from 0; 72 runs have different ones."""
    return RunStyle(ROLES[place % len(ROLES)], GLYPHS[place % len(GLYPHS)])


@dataclass(frozen=True, slots=True)
class Metric:
    """A metric of a run that can be drawn for several runs.

    Attributes:
        title: The title of its chart.
        scale: The usual scale of its y axis.
        series: The training curve of a history as (x, y), in epochs; None for a validation metric.
        points: Its validation results as (x, y).
        text: Formats a value.
    """

    title: str
    scale: Scale
    curve: Callable[[History], Curve] | None
    is_training: bool
    text: Callable[[float], str]


def _accuracy(value: float) -> str:
    return fmt.percent(value).removesuffix(" %")


def _loss(value: float) -> str:
    return fmt.loss(value).strip()


METRICS: dict[str, Metric] = {
    "val_accuracy": Metric(
        "validation accuracy %", ACCURACY, lambda history: history.accuracy_curve, False, _accuracy
    ),
    "val_loss": Metric("validation loss", LOSS, lambda history: history.loss_curve, False, _loss),
    "accuracy": Metric(
        "training accuracy %", ACCURACY, lambda history: history.accuracy_curve, True, _accuracy
    ),
    "loss": Metric("training loss", LOSS, lambda history: history.loss_curve, True, _loss),
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
    lines, rows = [], []
    for run in curves:
        x, y = _values(run.history, shown)
        lines.append(Line(x, y, run.style.role))
        value = shown.text(y[-1]) if y else "no values"
        cells = (
            Cell(f"{run.style.glyph} ", style=run.style.role),
            Cell(run.name, style="title"),
            Cell(f"  {value}", style=run.style.role),
        )
        rows.append(LegendRow(run.name, cells))
    points = [
        Points(line.x, line.trend, run.style.role, run.style.glyph)
        for run, line in zip(curves, lines, strict=True)
        if not shown.is_training
    ]
    return ChartContent(
        x_max=max((x_end(run.history) for run in curves), default=1.0),
        lines=tuple(lines),
        points=tuple(points),
        rows=tuple(rows),
        scale=shown.scale,
    )


def _values(history: History, metric: Metric) -> tuple[Sequence[float], Sequence[float]]:
    if metric.curve is None:
        return history.lr.x, history.lr.trend
    curve = metric.curve(history)
    if metric.is_training:
        return curve.train.x, curve.train.trend
    return [point.x for point in curve.validation], [point.y for point in curve.validation]
