"""A complete chart: the canvas inside its frame."""

from __future__ import annotations

import math
from collections.abc import Sequence

from tui_trainer.render.plots.canvas import Canvas
from tui_trainer.render.plots.chart_shapes import Line, Mark, Points, Row, Segment
from tui_trainer.render.plots.frame import frame, left_of, x_ticks, y_ticks
from tui_trainer.render.plots.grid import XAxis, YAxis
from tui_trainer.text.scales import Scale

MIN_WIDTH = 16
MIN_HEIGHT = 4
# The minimum width of the canvas next to the labels of the y axis.
_MIN_COLUMNS = 4


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
    """Draw curves over 0 to ``x_max``.

    Values outside the y axis are clipped to its ends; NaN and values outside the x axis are
    skipped.

    Args:
        width: Columns of the whole chart, labels included.
        height: Rows of the whole chart, x labels included.
        x_max: The right end of the x axis, above 0.
        scale: The scale of the y axis.
        lines: Curves, drawn in braille dots; later ones over earlier ones.
        points: Single values, drawn over the curves.
        marks: Moments, drawn under everything else except for their glyphs.

    Returns:
        ``height`` rows, each ``width`` columns wide; empty rows if there is too little room.
    """
    if width < MIN_WIDTH or height < MIN_HEIGHT or not 0 < x_max < math.inf:
        return _blank(width, height)
    lines = [line.without_gaps() for line in lines]
    points = [group.without_gaps() for group in points]
    axis = scale.axis(*_value_range(lines, points, scale))
    y_axis = YAxis(scale, axis.bottom, axis.top, height - 2)
    y = y_ticks(axis.ticks, y_axis)
    x_axis = XAxis(x_max, width - left_of(y))
    if x_axis.cells < _MIN_COLUMNS:
        return _blank(width, height)
    canvas = Canvas(x_axis, y_axis)
    canvas.stems(marks)
    canvas.lines(lines)
    for group in points:
        canvas.points(group)
    canvas.heads(marks)
    around = frame(x_axis.cells, y_axis.cells, x_ticks(x_max, x_axis), y)
    return [
        *canvas.rows(around.edges),
        [Segment(around.axis, "axis")],
        [Segment(around.labels, "axis")],
    ]


def _blank(width: int, height: int) -> list[Row]:
    return [[Segment(" " * max(width, 0), "axis")] for _ in range(max(height, 0))]


def _value_range(
    lines: Sequence[Line], points: Sequence[Points], scale: Scale
) -> tuple[float, float]:
    """Return the smallest and largest value to show; bands may exceed them and are clipped."""
    groups = [values for values in (*(li.trend for li in lines), *(p.y for p in points)) if values]
    ends = [end for values in groups for end in (min(values), max(values))]
    if not all(map(scale.has_place_for, ends)):
        ends = [value for values in groups for value in values if scale.has_place_for(value)]
    return (min(ends), max(ends)) if ends else scale.empty_range
