"""The content of the charts, from a run's history."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from tui_trainer.history.history import Curve, History, Point
from tui_trainer.protocol.diagnosis import SIGNS
from tui_trainer.render.plots import Line, Mark, Points, Scale, XUnit
from tui_trainer.text import fmt
from tui_trainer.text.fmt import Cell
from tui_trainer.ui.chart_view import ChartView
from tui_trainer.ui.drawn_curves import (
    NEAR,
    PLURALS,
    UNITS,
    nearest,
    reading,
    scale_of,
    series_line,
    x_end,
    x_text,
    x_values,
)

LOSS = Scale("log")
ACCURACY = Scale("nines", is_percent=True)
LR = Scale("log")

SEVERITY_ROLES = {"error": "error", "warning": "warning", "note": "muted", "ok": "ok"}


class LegendRow(NamedTuple):
    """A line of the legend of a chart with several runs."""

    name: str
    glyph: str
    role: str
    value: str

    @property
    def cells(self) -> tuple[Cell, ...]:
        """The line in cells: glyph, name and value."""
        return (
            Cell(f"{self.glyph} ", style=self.role),
            Cell(self.name, style="title"),
            Cell(f"  {self.value}", style=self.role),
        )


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
        x_unit: How the x axis is labeled.
        x_label: What the x axis measures.
    """

    x_max: float
    lines: tuple[Line, ...] = ()
    points: tuple[Points, ...] = ()
    marks: tuple[Mark, ...] = ()
    legend: tuple[Cell, ...] = ()
    rows: tuple[LegendRow, ...] = ()
    scale: Scale | None = None
    x_unit: XUnit = "number"
    x_label: str = "epochs"


def loss_chart(history: History, view: ChartView) -> ChartContent:
    """The training loss with its noise band, and the validation loss of each epoch."""
    return _learning_chart(history, history.loss_curve, LOSS, view, loss_text)


def accuracy_chart(history: History, view: ChartView) -> ChartContent:
    """The training accuracy with its noise band, and the validation accuracy of each epoch."""
    return _learning_chart(history, history.accuracy_curve, ACCURACY, view, accuracy_text)


def loss_text(value: float) -> str:
    """Return a loss without padding."""
    return fmt.loss(value).strip()


def accuracy_text(value: float) -> str:
    """Return an accuracy in percent without the sign, which the chart's title has."""
    return fmt.percent(value).removesuffix(" %")


def _learning_chart(
    history: History,
    curve: Curve,
    usual: Scale,
    view: ChartView,
    format_value: Callable[[float], str],
) -> ChartContent:
    """Training as a curve in its band, validation and test as points."""
    train = series_line(history, curve.train, view, role="train", band_role="train-band")
    validation, tests = (
        _points(history, group, view, role, glyph)
        for group, role, glyph in (
            (curve.validation, "validation", "●"),
            # Each test evaluation at the epoch where it was made.
            (curve.tests, "test", "◆"),
        )
    )
    x_max = x_end(history, view.x)
    if view.cursor is None:
        legend = _latest(curve, train, view, format_value)
    else:
        legend = _read(curve, train, (validation, tests), view, x_max, format_value)
    return ChartContent(
        x_max=x_max,
        lines=(train,),
        points=(validation, tests),
        marks=marks_of(history, view),
        legend=tuple(legend),
        scale=scale_of(usual, view),
        x_unit=UNITS[view.x],
        x_label=PLURALS[view.x],
    )


def _points(
    history: History, points: Sequence[Point], view: ChartView, role: str, glyph: str
) -> Points:
    x = x_values(history, [point.x for point in points], view.x)
    return Points(x, [point.y for point in points], role, glyph)


def _latest(
    curve: Curve, train: Line, view: ChartView, format_value: Callable[[float], str]
) -> Iterator[Cell]:
    """The latest figures."""
    now = train.trend[-1] if view.smoothing == "strong" and len(train.trend) else curve.trend
    yield Cell(f"  ─ train {format_value(now)}" if now is not None else "  ─ train", style="train")
    for _, value, interval in curve.validation[-1:]:
        bounds = f" {fmt.interval(interval)}" if interval else ""
        yield Cell(f"  ● val {format_value(value)}", style="validation")
        yield Cell(bounds, rank=1, style="validation")
    for test in curve.tests[-1:]:
        yield Cell(f"  ◆ test {format_value(test.y)}", rank=2, style="test")


def _read(
    curve: Curve,
    train: Line,
    points: tuple[Points, Points],
    view: ChartView,
    x_max: float,
    format_value: Callable[[float], str],
) -> Iterator[Cell]:
    """The figures at the cursor."""
    cursor = view.cursor or 0.0
    yield Cell(f"  {x_text(cursor, view.x)}", rank=1, style="title")
    yield Cell(f"  ─ train {reading_text(train, cursor, x_max, format_value)}", style="train")
    validation, tests = points
    place = nearest(validation.x, cursor)
    if place is not None:
        point = curve.validation[place]
        # One validation an epoch: between two, the nearest is shown with its own place.
        is_here = abs(validation.x[place] - cursor) <= NEAR * x_max
        unit = "" if view.x == "epoch" else "epoch "
        where = "" if is_here else f" at {unit}{point.x:g}"
        yield Cell(f"  ● val {format_value(point.y)}{where}", style="validation")
        bounds = f" {fmt.interval(point.interval)}" if point.interval else ""
        yield Cell(bounds, rank=2, style="validation")
    place = nearest(tests.x, cursor)
    if place is not None and abs(tests.x[place] - cursor) <= NEAR * x_max:
        yield Cell(f"  ◆ test {format_value(tests.y[place])}", rank=3, style="test")


def reading_text(line: Line, x: float, x_max: float, format_value: Callable[[float], str]) -> str:
    """Return the value of a line at a place, as text."""
    value = reading(line, x, x_max)
    if value is None:
        return "—"
    if value.low is None or value.high is None or value.low == value.high:
        return format_value(value.value)
    return f"{format_value(value.low)}–{format_value(value.high)}"


def lr_chart(history: History, view: ChartView) -> ChartContent:
    """The learning rate of each update: base × schedule."""
    exact = ChartView(x=view.x)  # a learning rate has no noise to smooth
    line = series_line(history, history.lr, exact, role="title")
    x_max = x_end(history, view.x)
    legend: tuple[Cell, ...] = ()
    if view.cursor is not None:
        value = reading_text(line, view.cursor, x_max, fmt.learning_rate)
        legend = (
            Cell(f"  {x_text(view.cursor, view.x)}", rank=1, style="title"),
            Cell(f"  ─ {value}", style="title"),
        )
    elif history.last_step is not None and history.started is not None:
        now = fmt.learning_rate(history.last_step.lr)
        legend = (
            Cell(f"  ─ {now}", style="title"),
            Cell(f"  {history.started.schedule}", rank=1, style="muted"),
        )
    return ChartContent(
        x_max=x_max,
        lines=(line,),
        marks=marks_of(history, view),
        legend=legend,
        scale=scale_of(LR, view),
        x_unit=UNITS[view.x],
        x_label=PLURALS[view.x],
    )


def marks_of(history: History, view: ChartView) -> tuple[Mark, ...]:
    """Return the moments of a run: changed settings, planned changes, and findings."""
    marks = [*_findings(history), *_planned(history), *_changes(history)]
    order = sorted(range(len(marks)), key=lambda at: marks[at].x)
    places = x_values(history, [marks[at].x for at in order], view.x)
    moved = dict(zip(order, places, strict=True))
    return tuple(mark.at(moved[at]) for at, mark in enumerate(marks))


def _changes(history: History) -> Iterator[Mark]:
    changes = history.interventions
    for change in changes:
        by = f" (by {change.by})" if change.by else ""
        yield Mark(
            history.epochs_at(change.images),
            "intervention",
            label=change.words if change is changes[-1] else "",
            name=change.words + by,
        )


def _findings(history: History) -> Iterator[Mark]:
    """Where each finding was raised, the most severe last: over the others at the same place."""
    episodes = [*history.past_findings, *history.episodes]
    for episode in sorted(episodes, key=lambda episode: -episode.finding.rank):
        found = episode.finding
        if 0 < episode.step <= history.step:
            until = (
                f", cleared in epoch {episode.cleared_epoch}"
                if episode.cleared_epoch is not None
                else ""
            )
            yield Mark(
                history.timeline.epochs_at(episode.step),
                SEVERITY_ROLES[found.severity],
                SIGNS[found.severity],
                name=f"{found.title}{until}",
                has_line=False,
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
            yield Mark(share * run.epochs, "muted", "▽", label, name=f"{label} from here on")
