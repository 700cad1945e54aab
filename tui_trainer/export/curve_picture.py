"""The curves of a run as a matplotlib figure: black on white, for pages and slides.

Imports matplotlib at module level, so import this module only to draw a picture.
"""

from __future__ import annotations

from bisect import bisect
from collections.abc import Callable
from dataclasses import replace

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from tui_trainer.export.ticks import is_on_log, set_accuracy_axis, set_loss_axis
from tui_trainer.history.history import Curve, History, Point
from tui_trainer.history.series import Series
from tui_trainer.protocol.events import RunStarted, SettingChanged
from tui_trainer.text import fmt

TRAIN, NOISE = "#0f60b0", "#bcd6f0"
VALIDATION, TEST, INTERVENTION = "#b53c00", "#8c1480", "#3d6d06"
INK, QUIET, GRID = "#26282e", "#5f5a52", "#e4e2dd"

LABEL_ROOM = 0.028
"""Interventions closer than this share of the axis get one common label."""

LABEL_LENGTH = 52
"""Maximum characters of a label: the height of a panel."""

MANY_EPOCHS = 40
"""From this number on, validation points are small."""


def draw(history: History) -> Figure:
    """Draw loss and accuracy by epoch, side by side.

    Raises:
        ValueError: If the run has not started.
    """
    if history.started is None:
        raise ValueError("a run that has not started has no curves")
    figure = Figure(figsize=(12, 5), layout="constrained")
    figure.get_layout_engine().set(w_pad=0.15, h_pad=0.12)  # type: ignore[union-attr,call-arg]
    figure.suptitle(_title(history.started), color=INK, fontsize=13, parse_math=False)
    loss, accuracy = figure.subplots(1, 2)
    _loss_panel(loss, history)
    _accuracy_panel(accuracy, history)
    return figure


def _title(started: RunStarted) -> str:
    dataset = fmt.clip(fmt.one_line(fmt.printable(started.dataset)), 60)
    parameters = fmt.plural(started.parameters, "parameter")
    images = fmt.plural(started.train_size, "training image")
    return f"{started.model} · {parameters} · {dataset}, {images}"


def _loss_panel(axes: Axes, history: History) -> None:
    series, now, *points = history.loss_curve
    validation, tests = ([point for point in kind if is_on_log(point.y)] for kind in points)
    _style_panel(axes, history, "loss (nats)")
    values = [point.y for point in (*validation, *tests)]
    set_loss_axis(axes, core=(*series.trend, *values), noise=series.high)
    _write_labels(axes, history)
    curve = Curve(series, now, validation, tests)
    _draw_curve(axes, history, curve, lambda point: fmt.loss(point.y).strip())


def _accuracy_panel(axes: Axes, history: History) -> None:
    curve = history.accuracy_curve
    _style_panel(axes, history, "accuracy (%)")
    points = (*curve.validation, *curve.tests)
    reached = [end for point in points for end in (point.interval or (point.y,))]
    set_accuracy_axis(
        axes,
        lowest=min((*curve.train.low, *reached), default=0.0),
        highest=max((*curve.train.trend, *reached), default=0.9),
    )
    _draw_curve(
        axes, history, curve, lambda point: fmt.accuracy_with_interval(point.y, point.interval)
    )


def _draw_curve(
    axes: Axes, history: History, curve: Curve, written: Callable[[Point], str]
) -> None:
    """Draw a curve with points, interventions, and a legend with the latest values."""
    now = "" if curve.trend is None else f" {written(Point(0, curve.trend))}"
    _draw_training(axes, curve.train, f"training{now}")
    if curve.validation:
        _draw_validation(axes, curve.validation, f"validation {written(curve.validation[-1])}")
    if curve.tests:
        _draw_tests(axes, curve.tests, f"test {written(curve.tests[-1])}")
    for change in history.interventions:
        x = history.epochs_at(change.images)
        axes.axvline(x, color=INTERVENTION, linestyle=(0, (4, 3)), linewidth=1.0, zorder=2.5)
    _draw_legend(axes)


def _style_panel(axes: Axes, history: History, title: str) -> None:
    """Style an empty panel: title, frame, grid, and an axis of epochs."""
    axes.set_title(title, loc="left", color=INK, fontsize=11)
    axes.set_xlabel("epoch", color=QUIET)
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(QUIET)
    axes.tick_params(which="both", colors=QUIET)
    axes.grid(visible=True, color=GRID, linewidth=0.8)
    axes.set_axisbelow(True)
    end = x_end(history)
    # A margin after the last point gives its label room.
    axes.set_xlim(0, end * (1 + LABEL_ROOM))
    whole = end >= 2
    steps = [1, 2, 5, 10] if whole else [1, 2, 2.5, 5, 10]
    axes.xaxis.set_major_locator(MaxNLocator(nbins=10, integer=whole, steps=steps))


def x_end(history: History) -> float:
    """Return the last x position on the curves, in epochs; never 0."""
    images = [change.images for change in history.interventions]
    images += [test.images for test in history.tests]
    images += [history.last_step.images] if history.last_step else []
    places = [*map(history.epochs_at, images), *(epoch.epoch for epoch in history.epochs)]
    return max(places, default=0.0) or 1.0


def _draw_training(axes: Axes, series: Series, label: str) -> None:
    x, low, high = (np.array(values) for values in (series.x, series.low, series.high))
    # The edge is visible while each bucket holds one batch and the band has no height.
    axes.fill_between(x, low, high, color=NOISE, linewidth=0.8, zorder=2)
    axes.plot(x, np.array(series.trend), color=TRAIN, linewidth=1.8, label=label, zorder=3)


def _draw_validation(axes: Axes, points: list[Point], label: str) -> None:
    size = 5.5 if len(points) < MANY_EPOCHS else 3.5
    spans = [(point.y, *(point.interval or (point.y, point.y))) for point in points]
    has_bars = any(point.interval for point in points)
    axes.errorbar(
        [point.x for point in points],
        [point.y for point in points],
        # Wilson's interval contains its proportion, except for rounding.
        yerr=[
            [max(0.0, y - low) for y, low, _ in spans],
            [max(0.0, high - y) for y, _, high in spans],
        ]
        if has_bars
        else None,
        fmt="o",
        color=VALIDATION,
        markersize=size,
        markeredgecolor="white",
        markeredgewidth=0.6,
        elinewidth=1.2,
        capsize=size / 2,
        label=label,
        zorder=4,
    )


def _draw_tests(axes: Axes, points: list[Point], label: str) -> None:
    axes.plot(
        [point.x for point in points],
        [point.y for point in points],
        "D",
        color=TEST,
        markersize=7,
        markeredgecolor="white",
        markeredgewidth=0.8,
        label=label,
        zorder=5,
    )


def _write_labels(axes: Axes, history: History) -> None:
    """Write the changed settings along their lines, at the end away from the curve."""
    to_height = axes.transData + axes.transAxes.inverted()
    series = history.train_loss
    for x, words in labels(history):
        nearest = min(bisect(series.x, x), len(series) - 1)
        is_high = len(series) > 0 and to_height.transform((x, series.trend[nearest]))[1] > 0.5
        axes.annotate(
            words,
            xy=(x, 0 if is_high else 1),
            xycoords=axes.get_xaxis_transform(),
            xytext=(2, 4 if is_high else 0),
            textcoords="offset points",
            rotation=90,
            ha="left",
            va="bottom" if is_high else "top",
            fontsize=8,
            color=INTERVENTION,
            bbox={"boxstyle": "square,pad=0.1", "fc": "white", "ec": "none", "alpha": 0.8},
            zorder=6,
            parse_math=False,
        )


def labels(history: History) -> list[tuple[float, str]]:
    """Return the labels of the interventions and their positions in epochs, without overlaps.

    Changes that follow each other closely share a label at the position of the last. A setting that
    changed several times in it is shown from its first to its last value.
    """
    room = LABEL_ROOM * x_end(history)
    groups: list[dict[str, SettingChanged]] = []
    places: list[float] = []
    for change in history.interventions:
        x = history.epochs_at(change.images)
        if not groups or x - places[-1] > room:
            groups.append({})
            places.append(x)
        places[-1] = x
        first = groups[-1].get(change.setting, change)
        groups[-1][change.setting] = replace(change, old=first.old)
    joined = (" · ".join(change.words for change in group.values()) for group in groups)
    return [(x, fmt.clip(words, LABEL_LENGTH)) for x, words in zip(places, joined, strict=True)]


def _draw_legend(axes: Axes) -> None:
    """Draw the legend below the panel, where it hides nothing."""
    handles, names = axes.get_legend_handles_labels()
    kinds = ("training", "validation", "test")
    order = sorted(range(len(names)), key=lambda i: kinds.index(names[i].split()[0]))
    axes.legend(
        [handles[i] for i in order],
        [names[i] for i in order],
        loc="upper center",
        bbox_to_anchor=(0.5, -0.12),
        ncols=3,
        fontsize=8,
        frameon=False,
        labelcolor=INK,
        columnspacing=1.4,
        handletextpad=0.5,
    )
