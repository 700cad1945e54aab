"""The frame of a chart, drawn by plotext: the axes, their ticks and labels."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import plotext

from tui_trainer.render.plots.grid import Across, Up
from tui_trainer.text.scales import nice_step

Ticks = tuple[tuple[int, str], ...]
"""The row or column of text of each tick, and its label."""

# Most labels are no longer: charts one below the other line up, and stay when their labels change.
_LABEL_WIDTH = 4
# An x tick for every so many columns, ten at most.
_COLUMNS_PER_TICK = 7


@dataclass(frozen=True, slots=True)
class Frame:
    """The parts of a picture that stay: the left edge of each row, the axis and its labels."""

    edges: tuple[str, ...]
    axis: str
    labels: str


def y_ticks(ticks: list[tuple[float, str]], up: Up) -> Ticks:
    """Return the ticks that find room, the first ones first: every other row at most."""
    kept: dict[int, str] = {}
    for value, label in ticks:
        row = up.cell(value)
        if kept.keys().isdisjoint((row - 1, row, row + 1)):
            kept[row] = label.rjust(_LABEL_WIDTH)
    return tuple(sorted(kept.items()))


def left_of(ticks: Ticks) -> int:
    """Return how many columns the y axis takes, its labels included."""
    return max(len(label) for _, label in ticks) + 1


def x_ticks(x_max: float, across: Across) -> Ticks:
    """Return round places from 0 to ``x_max``; whole ones if that is 1 or more."""
    count = max(1, min(10, across.cells // _COLUMNS_PER_TICK))
    step = nice_step(max(x_max / count, 1e-300))
    if x_max >= 1:
        step = max(1.0, step)
    places = [i * step for i in range(math.floor(x_max / step + 1e-9) + 1)]
    cells = [(across.cell(index), f"{index:g}") for index in places]
    return tuple((cell, label) for cell, label in cells if cell is not None)


@lru_cache(maxsize=32)
def frame(columns: int, rows: int, x: Ticks, y: Ticks) -> Frame:
    """Let plotext draw an empty picture, and cut it up.

    It counts in cells, not in values: so its ticks stand where our data is. Of x labels that would
    touch it leaves out the later ones with their ticks.

    Args:
        columns: Columns of text between the y axis and the right end, 2 or more.
        rows: Rows of text above the x axis, 2 or more.
        x: Ticks of the x axis.
        y: Ticks of the y axis, one at least.
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
    # plotext leaves the ticks out of a picture without data: one point, far outside, is enough.
    plotext.scatter([-10 * columns], [0])
    *body, axis, labels = plotext.uncolorize(plotext.build()).split("\n")[: rows + 2]
    edges = tuple(row[:left].ljust(left) for row in body)
    return Frame(edges, axis.ljust(left + columns), labels.ljust(left + columns))
