"""A complete chart: the canvas inside its frame."""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from tui_trainer.render.plots.canvas import Canvas
from tui_trainer.render.plots.chart_shapes import Line, Mark, Points, Row, Segment
from tui_trainer.render.plots.curve_cells import LINES_KEPT
from tui_trainer.render.plots.frame import XUnit, frame, left_of, x_ticks, y_ticks
from tui_trainer.render.plots.grid import XAxis, YAxis
from tui_trainer.text.scales import Scale

MIN_WIDTH = 16
MIN_HEIGHT = 4
# The minimum width of the canvas next to the labels of the y axis.
_MIN_COLUMNS = 4


@dataclass(frozen=True, slots=True)
class Drawing:
    """A drawn chart.

    Attributes:
        rows: Its rows, each as wide as the chart.
        left: The columns of the y axis, labels included.
        x_axis: The x axis; None in a chart with too little room.
    """

    rows: list[Row]
    left: int = 0
    x_axis: XAxis | None = None


def chart(
    width: int,
    height: int,
    *,
    x_max: float,
    scale: Scale,
    lines: Sequence[Line] = (),
    points: Sequence[Points] = (),
    marks: Sequence[Mark] = (),
) -> list[Row]:
    """Draw curves over 0 to ``x_max``; see :func:`draw`.

    Returns:
        ``height`` rows, each ``width`` columns wide; empty rows if there is too little room.
    """
    drawing = draw(
        width, height, x_range=(0.0, x_max), scale=scale, lines=lines, points=points, marks=marks
    )
    return drawing.rows


def draw(
    width: int,
    height: int,
    *,
    x_range: tuple[float, float],
    scale: Scale,
    x_unit: XUnit = "number",
    lines: Sequence[Line] = (),
    points: Sequence[Points] = (),
    marks: Sequence[Mark] = (),
    cursor: float | None = None,
) -> Drawing:
    """Draw curves over a range of x.

    Values outside the y axis are clipped to its ends; NaN and values outside the x axis are
    skipped. The y axis holds the values on the x axis.

    Args:
        width: Columns of the whole chart, labels included.
        height: Rows of the whole chart, x labels included.
        x_range: The ends of the x axis, different ones.
        scale: The scale of the y axis.
        x_unit: How the x axis is labeled.
        lines: Curves, drawn in braille dots; later ones over earlier ones.
        points: Single values, drawn over the curves.
        marks: Moments, drawn under everything else except for their glyphs.
        cursor: A place to mark with a line and the names of the moments there.
    """
    start, end = x_range
    if width < MIN_WIDTH or height < MIN_HEIGHT or not -math.inf < start < end < math.inf:
        return Drawing(_blank(width, height))
    lines = [_whole(line) for line in lines]
    points = [group.without_gaps() for group in points]
    axis = scale.axis(*_value_range(lines, points, scale, x_range))
    y_axis = YAxis(scale, axis.bottom, axis.top, height - 2)
    y = y_ticks(axis.ticks, y_axis)
    x_axis = XAxis(start, end, width - left_of(y))
    if x_axis.cells < _MIN_COLUMNS:
        return Drawing(_blank(width, height))
    canvas = Canvas(x_axis, y_axis)
    canvas.stems(marks)
    canvas.bands(lines)
    if cursor is not None:
        canvas.cursor(cursor)
    canvas.trends(lines)
    for group in points:
        canvas.points(group)
    canvas.heads(marks)
    if cursor is not None:
        canvas.names(marks, cursor)
    around = frame(x_axis.cells, y_axis.cells, x_ticks(x_axis, x_unit), y)
    rows = [
        *canvas.rows(around.edges),
        [Segment(around.axis, "axis")],
        [Segment(around.labels, "axis")],
    ]
    return Drawing(rows, left_of(y), x_axis)


def _blank(width: int, height: int) -> list[Row]:
    return [[Segment(" " * max(width, 0), "axis")] for _ in range(max(height, 0))]


def _value_range(
    lines: Sequence[Line], points: Sequence[Points], scale: Scale, x_range: tuple[float, float]
) -> tuple[float, float]:
    """Return the smallest and largest value to show; bands may exceed them and are clipped."""
    ends = [end for line in lines for end in _ends(line, x_range, scale)]
    values = [
        y
        for group in points
        for x, y in zip(group.x, group.y, strict=True)
        if x_range[0] <= x <= x_range[1] and scale.has_place_for(y)
    ]
    ends += values
    return (min(ends), max(ends)) if ends else scale.empty_range


@lru_cache(maxsize=LINES_KEPT)
def _ends(line: Line, x_range: tuple[float, float], scale: Scale) -> tuple[float, ...]:
    """Return the smallest and largest value of a line on the axis; none if it has none there."""
    is_raw = line.is_raw and line.low is not None and line.high is not None
    ends = list[float]()
    for values in (line.low or (), line.high or ()) if is_raw else (line.trend,):
        shown = values
        if line.x and not (x_range[0] <= line.x[0] and line.x[-1] <= x_range[1]):
            shown = values[bisect_left(line.x, x_range[0]) : bisect_right(line.x, x_range[1])]
        if shown and not all(map(scale.has_place_for, (min(shown), max(shown)))):
            shown = [value for value in shown if scale.has_place_for(value)]
        ends += [min(shown), max(shown)] if shown else []
    return tuple(ends)


@lru_cache(maxsize=LINES_KEPT)
def _whole(line: Line) -> Line:
    return line.without_gaps()
