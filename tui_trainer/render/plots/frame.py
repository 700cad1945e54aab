"""The frame of a chart, drawn by plotext: the axes, their ticks and labels."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import plotext

from tui_trainer.render.plots.grid import XAxis, YAxis
from tui_trainer.text.scales import nice_step

Ticks = tuple[tuple[int, str], ...]
"""The text row or column of each tick, and its label."""

# Most labels fit: charts below each other stay aligned when their labels change.
_LABEL_WIDTH = 4
# Columns per x tick; there are at most ten ticks.
_COLUMNS_PER_TICK = 7


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


def x_ticks(x_max: float, x_axis: XAxis) -> Ticks:
    """Return ticks at round values from 0 to ``x_max``; at integers if ``x_max`` is 1 or more."""
    count = max(1, min(10, x_axis.cells // _COLUMNS_PER_TICK))
    step = nice_step(max(x_max / count, 1e-300))
    if x_max >= 1:
        step = max(1.0, step)
    values = [i * step for i in range(math.floor(x_max / step + 1e-9) + 1)]
    cells = [(x_axis.cell(value), f"{value:g}") for value in values]
    return tuple((cell, label) for cell, label in cells if cell is not None)


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
