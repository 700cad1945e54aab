"""The content of the charts, from a run's history."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

from tui_trainer.history.history import Curve, History
from tui_trainer.render.plots import Line, Mark, Points, Scale
from tui_trainer.text import fmt
from tui_trainer.text.fmt import Cell
from tui_trainer.ui.chart_view import ChartView

LOSS = Scale("log")
ACCURACY = Scale("nines")
LR = Scale("log")

_ENDS = (1, 2, 3, 4, 5, 6, 8, 10, 12, 15, 20, 25, 30, 40, 50, 60, 80)


class LegendRow(NamedTuple):
    """A line of the legend of a chart with several runs."""

    name: str
    cells: tuple[Cell, ...]


@dataclass(frozen=True, slots=True)
class ChartContent:
    """The content of a chart.

    Attributes:
        x_max: The right end of the x axis.
        lines: Its curves.
        points: Its single values.
        marks: Its moments.
        legend: The figures in its title.
        rows: A line of legend for each of several runs.
        scale: The scale of the y axis; None for the usual one of the chart.
    """

    x_max: float
    lines: tuple[Line, ...] = ()
    points: tuple[Points, ...] = ()
    marks: tuple[Mark, ...] = ()
    legend: tuple[Cell, ...] = ()
    rows: tuple[LegendRow, ...] = ()
    scale: Scale | None = None


def loss_chart(history: History, view: ChartView) -> ChartContent:
    """The training loss with its noise band, and the validation loss of each epoch."""
    return _learning_chart(history, history.loss_curve, lambda value: fmt.loss(value).strip())


def accuracy_chart(history: History, view: ChartView) -> ChartContent:
    """The training accuracy with its noise band, and the validation accuracy of each epoch."""
    # The chart's title has the percent sign.
    return _learning_chart(
        history, history.accuracy_curve, lambda value: fmt.percent(value).removesuffix(" %")
    )


def _learning_chart(
    history: History, curve: Curve, format_value: Callable[[float], str]
) -> ChartContent:
    """Training as a curve in its band, validation and test as points."""
    train, now, validation, tests = curve
    legend = [
        Cell(f"  ─ train {format_value(now)}" if now is not None else "  ─ train", style="train")
    ]
    for _, value, interval in validation[-1:]:
        bounds = f" {fmt.interval(interval)}" if interval else ""
        legend.append(Cell(f"  ● val {format_value(value)}", style="validation"))
        legend.append(Cell(bounds, rank=1, style="validation"))
    legend += [
        Cell(f"  ◆ test {format_value(test.y)}", rank=2, style="test") for test in tests[-1:]
    ]
    return ChartContent(
        x_max=x_end(history),
        lines=(Line(train.x, train.trend, "train", train.low, train.high, "train-band"),),
        points=(
            Points([p.x for p in validation], [p.y for p in validation], "validation"),
            # Each test evaluation at the epoch where it was made.
            Points([p.x for p in tests], [p.y for p in tests], "test", "◆"),
        ),
        marks=_marks(history),
        legend=tuple(legend),
    )


def lr_chart(history: History, view: ChartView) -> ChartContent:
    """The learning rate of each update: base × schedule."""
    series = history.lr
    legend: tuple[Cell, ...] = ()
    if history.last_step is not None and history.started is not None:
        now = fmt.learning_rate(history.last_step.lr)
        legend = (
            Cell(f"  ─ {now}", style="title"),
            Cell(f"  {history.started.schedule}", rank=1, style="muted"),
        )
    return ChartContent(
        x_max=x_end(history),
        lines=(Line(series.x, series.trend, "title"),),
        marks=_marks(history),
        legend=legend,
    )


def x_end(history: History) -> float:
    """Return where the x axis ends, in epochs: the next round number, never past the last epoch.

    The axis grows during the run in a few steps, so that the first minute of a long run already
    fills the chart.
    """
    if history.started is None:
        return 1.0
    seen = history.epochs_at(history.last_step.images) if history.last_step else 0.0
    total = history.started.epochs
    end = next((end for end in _ENDS if end >= seen), math.ceil(seen / 20) * 20)
    return float(min(end, max(total, math.ceil(seen))))


def _marks(history: History) -> tuple[Mark, ...]:
    changes = history.interventions
    return (
        *_planned(history),
        *(
            Mark(
                history.epochs_at(change.images),
                "intervention",
                label=change.words if change is changes[-1] else "",
            )
            for change in changes
        ),
    )


def _planned(history: History) -> Iterator[Mark]:
    """Where the images have changed by plan: full size, no more augmentation."""
    if (run := history.started) is None or history.last_step is None:
        return
    seen = history.epochs_at(history.last_step.images)
    plan = [(run.resize_until, f"{run.image_size} px")] if run.resize_to else []
    if run.augmentation and run.augment_until < 1:
        plan.append((run.augment_until, "not augmented"))
    for share, label in plan:
        if share * run.epochs <= seen:
            yield Mark(share * run.epochs, "muted", "▽", label)
