"""The frame of a chart, drawn by plotext: the axes, their ticks and labels."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import plotext

from tui_trainer.render.plots.grid import XAxis, YAxis
from tui_trainer.text import fmt
from tui_trainer.text.scales import nice_step

XUnit = Literal["number", "count", "seconds", "log"]
"""What the x axis measures: a number, whole things such as images, seconds, or a logarithm to base
10, whose ticks are labeled with the numbers themselves."""

Ticks = tuple[tuple[int, str], ...]
"""The text row or column of each tick, and its label."""

# Most labels fit: charts below each other stay aligned when their labels change.
_LABEL_WIDTH = 4
# Columns per x tick; there are at most ten ticks.
_COLUMNS_PER_TICK = 7
_ROUND_TIMES = (
    *(0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1_800),
    *(3_600, 7_200, 14_400, 21_600, 43_200, 86_400),
)


@dataclass(frozen=True, slots=True)
class Frame:
    """The cached parts of a chart: the left edge of each row, the x axis and its labels."""

    edges: tuple[str, ...]
    axis: str
    labels: str


def y_ticks(ticks: list[tuple[float, str]], y_axis: YAxis) -> Ticks:
    """Return the ticks that fit, earlier ones first: at most every other row."""
    kept: dict[int, str] = {}
    for value, label in ticks:
        row = y_axis.cell(value)
        if kept.keys().isdisjoint((row - 1, row, row + 1)):
            kept[row] = label.rjust(_LABEL_WIDTH)
    return tuple(sorted(kept.items()))


def left_of(ticks: Ticks) -> int:
    """Return the width of the y axis, labels included."""
    return max(len(label) for _, label in ticks) + 1


def x_ticks(x_axis: XAxis, unit: XUnit = "number") -> Ticks:
    """Return ticks at round values; at integers on an axis of 1 or more that starts at 0."""
    span = x_axis.end - x_axis.start
    count = max(1, min(10, x_axis.cells // _COLUMNS_PER_TICK))
    step = nice_step(max(span / count, 1e-300))
    if unit == "seconds":
        step = next((time for time in _ROUND_TIMES if time >= span / count * (1 - 1e-9)), step)
    if span >= 1 and (unit in ("count", "log") or x_axis.start == 0):
        step = max(1.0, step)
    # A step of 0.4 spans or less has a multiple on any axis.
    values = _multiples(step, x_axis) or _multiples(nice_step(max(0.4 * span, 1e-300)), x_axis)
    cells = [(x_axis.cell(value), _label(value, unit)) for value in values]
    return tuple((cell, label) for cell, label in cells if cell is not None)


def _multiples(step: float, x_axis: XAxis) -> list[float]:
    first, last = math.ceil(x_axis.start / step - 1e-9), math.floor(x_axis.end / step + 1e-9)
    return [i * step for i in range(first, last + 1)]


def _label(value: float, unit: XUnit) -> str:
    if unit == "seconds":
        is_whole = value == round(value)
        return fmt.duration(value) if is_whole else f"{value // 60:.0f}:{value % 60:04.1f}"
    if unit == "log":
        return f"{10**value:.2g}"
    if unit == "count" and value >= 10_000:
        return f"{value / 1e6:g}M" if value >= 1_000_000 else f"{value / 1e3:g}k"
    return f"{value:g}"


@lru_cache(maxsize=32)
def frame(columns: int, rows: int, x: Ticks, y: Ticks) -> Frame:
    """Let plotext draw an empty chart, and cut it into its parts.

    The axes count cells, not values, so ticks line up with the data on the canvas. Where x labels
    would touch, plotext drops the later ones with their ticks.

    Args:
        columns: Text columns between the y axis and the right end, at least 2.
        rows: Text rows above the x axis, at least 2.
        x: Ticks of the x axis.
        y: Ticks of the y axis, at least one.
    """
    left = left_of(y)
    plotext.clear_figure()
    plotext.limit_size(False, False)
    plotext.theme("clear")
    plotext.plotsize(left + columns, rows + 2)
    plotext.xaxes(True, False)
    plotext.yaxes(True, False)
    plotext.xlim(0, columns - 1)
    plotext.ylim(0, rows - 1)
    plotext.xticks([cell for cell, _ in x], [label for _, label in x])
    plotext.yticks([rows - 1 - row for row, _ in y], [label for _, label in y])
    # plotext omits the ticks of a chart without data; one point far outside is enough.
    plotext.scatter([-10 * columns], [0])
    *body, axis, labels = plotext.uncolorize(plotext.build()).split("\n")[: rows + 2]
    edges = tuple(row[:left].ljust(left) for row in body)
    return Frame(edges, axis.ljust(left + columns), labels.ljust(left + columns))
