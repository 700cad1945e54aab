"""The curves of a history on the axes of a view: units, smoothing and the values at a place."""

from __future__ import annotations

import math
from array import array
from bisect import bisect_left
from collections.abc import Callable, Sequence
from typing import NamedTuple
from weakref import WeakKeyDictionary

from tui_trainer.history.history import History
from tui_trainer.history.series import Series
from tui_trainer.render.plots import Line, Scale, XUnit
from tui_trainer.text import fmt
from tui_trainer.ui.chart_view import ChartView, XName, YName

STRONG = 10
"""How many times longer the half-life of strong smoothing is than that of the light one."""

NEAR = 0.01
"""A single value is at the cursor within this share of the x axis."""

UNITS: dict[XName, XUnit] = {
    "epoch": "number",
    "step": "count",
    "images": "count",
    "seconds": "seconds",
}
"""How each x axis is labeled."""

PLURALS: dict[XName, str] = {
    "epoch": "epochs",
    "step": "steps",
    "images": "images",
    "seconds": "training time",
}
"""What each x axis measures."""

_ENDS = (1, 2, 3, 4, 5, 6, 8, 10, 12, 15, 20, 25, 30, 40, 50, 60, 80)
_KEPT = 12
"""How many lines of a series are kept: charts of several metrics, units and styles."""


def scale_of(usual: Scale, view: ChartView) -> Scale:
    """Return the scale of a metric's y axis in a view."""
    return Scale(view.y, usual.is_percent) if view.y in scale_names(usual) else usual


def scale_names(usual: Scale) -> tuple[YName, ...]:
    """Return the names of the scales on which a metric has values, the usual one first.

    A loss and a learning rate can be above 1, where the error of ``nines`` is negative.
    """
    return ("nines", "linear", "log") if usual.name == "nines" else ("log", "linear")


def x_values(history: History, epochs: Sequence[float], name: XName) -> Sequence[float]:
    """Return places in epochs, increasing, in the unit of an x axis."""
    match name:
        case "epoch":
            return epochs
        case "images":
            size = history.started.train_size if history.started else 0
            return array("d", [size * place for place in epochs])
        case "step":
            return history.timeline.at(epochs, "steps")
        case "seconds":
            return history.timeline.at(epochs, "seconds")


def x_end(history: History, name: XName = "epoch") -> float:
    """Return where the x axis ends: a round number, never past the planned last epoch.

    The axis grows during the run in a few steps, so that the first minute of a long run already
    fills the chart. A run that is over fills it.
    """
    if history.started is None:
        return 1.0
    seen = history.epochs_at(history.last_step.images) if history.last_step else 0.0
    total = history.started.epochs
    end = float(min(round_end(seen), max(total, math.ceil(seen))))
    if name == "epoch":
        return end
    if not seen:
        return 1.0
    here = x_values(history, [seen], name)[0]
    if history.is_over or seen >= total:
        return max(here, 1e-3)
    if name == "seconds":
        return _round_up(here)
    # Batches of the current size until there.
    return max(1.0, round(here * end / seen))


def round_end(value: float) -> float:
    """Return the next of a few round numbers."""
    return next((end for end in _ENDS if end >= value), math.ceil(value / 20) * 20)


def _round_up(seconds: float) -> float:
    unit = next((unit for unit in (1, 60, 3_600) if seconds <= 60 * unit), 3_600)
    return unit * round_end(seconds / unit)


def x_text(value: float, name: XName) -> str:
    """Return a place as text: ``epoch 3.42``, ``step 1,602``, ``96,000 images``, ``0:42``."""
    match name:
        case "epoch":
            return f"epoch {value:.2f}"
        case "step":
            return f"step {fmt.count(round(value))}"
        case "images":
            return f"{fmt.count(round(value))} images"
        case "seconds":
            return fmt.duration(value)


_lines: WeakKeyDictionary[Series, dict[tuple[object, ...], tuple[object, Line]]] = (
    WeakKeyDictionary()
)


def series_line(
    history: History,
    series: Series,
    view: ChartView,
    *,
    role: str,
    band_role: str = "",
    glyph: str = "",
) -> Line:
    """Return a series of a history as a line, in the unit and with the smoothing of a view.

    The line of a series that has not changed is the same object, whose cells the plots keep.

    Args:
        history: The history of the series.
        series: The series.
        view: The view.
        role: The role of the line.
        band_role: The role of the band of batches; empty for a line without it.
        glyph: The glyph on the line.
    """
    key = (view.x, view.smoothing, role, band_role, glyph)
    times = history.timeline
    state = (
        len(series),
        series.x[-1] if len(series) else 0.0,
        series.trend[-1] if len(series) else 0.0,
        times.seconds[-1],
    )

    def build() -> Line:
        trend: Sequence[float] = series.trend
        if view.smoothing == "strong":
            trend = smoothed(series.x, series.trend, STRONG * history.smoothing_epochs)
        is_raw = view.smoothing == "off"
        has_range = is_raw or bool(band_role)
        return Line(
            x_values(history, series.x[:], view.x),
            trend[:],
            role,
            series.low[:] if has_range else None,
            series.high[:] if has_range else None,
            band_role,
            glyph,
            is_raw,
        ).without_gaps()

    return kept_line(series, key, state, build)


def kept_line(
    series: Series, key: tuple[object, ...], state: object, build: Callable[[], Line]
) -> Line:
    """Return a line of a run, built only if its state has changed.

    Args:
        series: The series that keeps the line as long as it lives.
        key: What identifies the line in the series.
        state: What the line is made of.
        build: Makes the line.
    """
    kept = _lines.setdefault(series, {})
    if key in kept and kept[key][0] == state:
        return kept[key][1]
    if len(kept) >= _KEPT:
        kept.clear()
    line = build()
    kept[key] = (state, line)
    return line


def smoothed(x: Sequence[float], y: Sequence[float], half_life: float) -> array[float]:
    """Return the exponential moving average of a curve, from its first value on.

    Args:
        x: The places of the values, increasing.
        y: The values.
        half_life: The half-life of the average, in the unit of ``x``; 0 for none.
    """
    if half_life <= 0 or not len(y):
        return array("d", y)
    values = array("d", y[:1])
    average, before = y[0], x[0]
    for place, value in zip(x[1:], y[1:], strict=True):
        keep = 0.5 ** ((place - before) / half_life)
        average = value if math.isnan(average) else keep * average + (1 - keep) * value
        values.append(average)
        before = place
    return values


class Reading(NamedTuple):
    """The value of a curve at a place; a range from ``low`` to ``high`` where it is raw."""

    value: float
    low: float | None = None
    high: float | None = None


def reading(line: Line, x: float, x_max: float) -> Reading | None:
    """Return the value of a line at a place; None before its first and after its last point.

    Args:
        line: The line.
        x: The place.
        x_max: The end of the x axis, for the tolerance at the last point.
    """
    if not len(line.x) or x > line.x[-1] + NEAR * x_max or x < line.x[0] - NEAR * x_max:
        return None
    at = min(bisect_left(line.x, x), len(line.x) - 1)
    if line.is_raw and line.low is not None and line.high is not None:
        return Reading(line.trend[at], line.low[at], line.high[at])
    return Reading(line.trend[at])


def nearest(x: Sequence[float], place: float) -> int | None:
    """Return the index of the value next to a place; None of no values."""
    if not len(x):
        return None
    after = bisect_left(x, place)
    near = [at for at in (after - 1, after) if 0 <= at < len(x)]
    return min(near, key=lambda at: abs(x[at] - place))
