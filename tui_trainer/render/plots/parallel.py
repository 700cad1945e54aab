"""Parallel coordinates: one vertical axis a dimension, one line a point, in braille dots.

A. Inselberg, "The plane with parallel coordinates", The Visual Computer 1 (1985), 69-91.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from tui_trainer.render.plots.canvas import Canvas
from tui_trainer.render.plots.chart_shapes import Line, Mark, Points, Row, Segment
from tui_trainer.render.plots.grid import XAxis, YAxis
from tui_trainer.text.fmt import clip, columns
from tui_trainer.text.scales import Scale

LEAST_ROWS = 4
"""The fewest rows of the plot itself."""

MOST_NAME_ROWS = 4
"""The most rows over which the names of the axes are spread."""

Label = tuple[int, str]
"""The column at which a text starts, and the text."""


@dataclass(frozen=True, slots=True)
class ParallelAxis:
    """One axis.

    Attributes:
        name: Its name.
        low: The label of its lower end; empty for none.
        high: The label of its upper end.
        values: The heights (0 to 1) and the labels of listed values.
    """

    name: str
    low: str = ""
    high: str = ""
    values: tuple[tuple[float, str], ...] = ()


def parallel_line(heights: Sequence[float], role: str, glyph: str = "") -> Line:
    """Return a line over the first axes: a height from 0 to 1 for each of them."""
    return Line(list(map(float, range(len(heights)))), list(heights), role, glyph=glyph)


def parallel_rows(
    axes: Sequence[ParallelAxis],
    texture: Sequence[Line],
    lines: Sequence[Line],
    width: int,
    height: int,
) -> list[Row]:
    """Return the rows of a plot.

    Args:
        axes: The axes, at least one.
        texture: The lines behind the axes, each from :func:`parallel_line`, in one role.
        lines: The lines over the axes; later ones are drawn over earlier ones.
        width: Columns.
        height: Rows.
    """
    last = axes[-1]
    right = max((columns(text) for text in (last.low, last.high)), default=0) // 2
    right = max([right, *(columns(label) + 1 for _, label in last.values)])
    left = max(columns(axes[0].low), columns(axes[0].high), 2) // 2
    cells = max(len(axes), width - left - right)
    x_axis = XAxis(0.0, max(1.0, len(axes) - 1.0), cells)
    places = [left + (x_axis.cell(float(index)) or 0) for index in range(len(axes))]
    names = _staggered([axis.name for axis in axes], places, width)
    names = names[: max(1, height - LEAST_ROWS - 2)]
    ends = [[axis.high for axis in axes], [axis.low for axis in axes]]
    top, bottom = (_one_row(labels, places, width) for labels in ends)
    rows = max(1, height - len(names) - 2)
    y_axis = YAxis(Scale("linear"), 0.0, 1.0, rows)
    canvas = Canvas(x_axis, y_axis)
    if texture:
        canvas.texture(texture, texture[0].role)
    canvas.stems([Mark(float(index), "axis") for index in range(len(axes))])
    canvas.trends([replace(line, glyph="") for line in lines])
    for line in lines:
        if line.glyph:
            canvas.points(Points(line.x, line.trend, line.role, line.glyph))
    room = max(1, (places[1] - places[0] if len(places) > 1 else cells) - 1)
    for index, axis in enumerate(axes):
        for at, label in axis.values:
            is_last = index == len(axes) - 1
            text = label if is_last else clip(label, room)
            canvas.text(y_axis.cell(at), places[index] - left + 1, text, "title")
    plot = canvas.rows([" " * left] * rows)
    return [
        *(_row(labels, "title") for labels in names),
        _row(top, "muted"),
        *plot,
        _row(bottom, "muted"),
    ]


def _staggered(names: Sequence[str], places: Sequence[int], width: int) -> list[list[Label]]:
    """Return the names centered over their axes, in as few rows as they need side by side.

    Those that find no room in :data:`MOST_NAME_ROWS` rows are clipped in the last of them.
    """
    for count in range(1, MOST_NAME_ROWS + 1):
        rows: list[list[Label]] = [[] for _ in range(count)]
        ends = [-1] * count
        for index, (name, place) in enumerate(zip(names, places, strict=True)):
            start = _start(name, place, width)
            row = index % count
            if start <= ends[row] and count < MOST_NAME_ROWS:
                break
            start = max(start, ends[row] + 1)
            name = clip(name, width - start)
            rows[row].append((start, name))
            ends[row] = start + columns(name)
        else:
            return rows
    return []


def _one_row(labels: Sequence[str], places: Sequence[int], width: int) -> list[Label]:
    """Return labels centered at their axes; one that would touch the one before moves or goes."""
    row: list[Label] = []
    end = -1
    for label, place in zip(labels, places, strict=True):
        start = max(_start(label, place, width), end + 1)
        if label and start + columns(label) <= width and start <= place:
            row.append((start, label))
            end = start + columns(label)
    return row


def _start(text: str, place: int, width: int) -> int:
    return max(0, min(place - columns(text) // 2, width - columns(text)))


def _row(labels: Sequence[Label], role: str) -> Row:
    text = ""
    for start, label in labels:
        text += " " * (start - columns(text)) + label
    return [Segment(text, role)]
