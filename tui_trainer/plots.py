"""Curves as text: series, a size and roles in, rows of text with a role each out.

plotext draws what seldom changes, the frame with its axes and tick labels, and the frame is kept
until a range or the size changes. The data is drawn in between by a braille canvas of our own: its
cost depends on the width of the picture and not on the length of the run. This is the only module
that knows plotext.

Colours are none of its business: a *role* ("train", "validation", "axis", …) is the name by which
a front end finds the colour in its theme.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

import plotext

MIN_WIDTH = 16
MIN_HEIGHT = 4
_BRAILLE = 0x2800
# The bit of each dot of a braille cell, by row and column (Unicode, block 2800).
_DOTS = ((0x01, 0x08), (0x02, 0x10), (0x04, 0x20), (0x40, 0x80))


# The dots of one column of a cell from one row to another: _SPANS[column][from][to].
_SPANS = tuple(
    tuple(
        tuple(sum(_DOTS[row][side] for row in range(top, bottom + 1)) for bottom in range(4))
        for top in range(4)
    )
    for side in range(2)
)


class Run(NamedTuple):
    """Neighbouring characters of one role."""

    text: str
    role: str


Row = list[Run]


@dataclass(frozen=True, slots=True)
class Scale:
    """How a value becomes a height, and which ticks suit it.

    Attributes:
        name: ``log`` (losses, rates), ``nines`` (accuracies: each further nine is as far as the
            last, so that 99.0 and 99.4 % can be told apart) or ``linear``.
    """

    name: str

    def height(self, value: float) -> float:
        """Return the height of a value; heights are evenly spaced on the picture."""
        if self.name == "log":
            return math.log10(max(value, 1e-7))
        if self.name == "nines":
            return -math.log10(max(1.0 - value, 1e-5))
        return value

    def axis(self, low: float, high: float) -> tuple[float, float, list[tuple[float, str]]]:
        """Return the axis for values from ``low`` to ``high``.

        Returns:
            The axis' two ends, snapped to round values so that they seldom move, and the ticks
            between them as (value, label).
        """
        if self.name == "nines":
            steps = [share / 100 for share in _NINES]
            first, last = _enclosing(steps, low, high)
            return first, last, [(v, f"{100 * v:g}") for v in steps if first <= v <= last]
        if self.name == "log":
            first, last = _enclosing(_log_steps((1, 1.5, 2, 3, 5, 7)), max(low, 1e-6), high)
            ticks = [v for v in _log_steps((1, 2, 5)) if first <= v <= last]
            return (
                first,
                last,
                [(v, f"{v:g}") for v in (ticks if len(ticks) > 1 else (first, last))],
            )
        step = nice_step(max(high - low, 1e-9) / 4)
        first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
        values = [i * step for i in range(first, max(last, first + 1) + 1)]
        return values[0], values[-1], [(v, f"{v:g}") for v in values]


_NINES = (0, 20, 40, 60, 70, 80, 90, 95, 98, 99, 99.5, 99.8, 99.9, 99.95, 99.98, 99.99)


@lru_cache(maxsize=4)
def _log_steps(mantissas: tuple[float, ...]) -> list[float]:
    return [float(f"{m:g}e{power}") for power in range(-6, 4) for m in mantissas]


def _enclosing(steps: Sequence[float], low: float, high: float) -> tuple[float, float]:
    """Return the nearest steps around low to high, two different ones."""
    first = max((i for i, value in enumerate(steps) if value <= low), default=0)
    last = min((i for i, value in enumerate(steps) if value >= high), default=len(steps) - 1)
    first = min(first, len(steps) - 2)
    return steps[first], steps[max(last, first + 1)]


def nice_step(least: float) -> float:
    """Return the smallest of 1, 2, 5 × 10ⁿ that is at least ``least``."""
    power = 10.0 ** math.floor(math.log10(least))
    return next(m * power for m in (1, 2, 5, 10) if m * power >= least * (1 - 1e-9))


@dataclass(frozen=True, slots=True)
class Line:
    """A curve: a trend, and where given the band of values it lies in."""

    x: Sequence[float]
    trend: Sequence[float]
    role: str
    low: Sequence[float] | None = None
    high: Sequence[float] | None = None
    band_role: str = ""


@dataclass(frozen=True, slots=True)
class Points:
    """Single values, each drawn as a glyph."""

    x: Sequence[float]
    y: Sequence[float]
    role: str
    glyph: str = "●"


@dataclass(frozen=True, slots=True)
class Mark:
    """A moment: a glyph at the top of the picture and a thin line down from it.

    The label goes beside the glyph where nothing else is drawn.
    """

    x: float
    role: str
    glyph: str = "▼"
    label: str = ""


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

    Args:
        width: Columns of the whole picture, labels included.
        height: Rows of the whole picture, the x labels included.
        x_max: The right end of the x axis, above 0.
        scale: How values become heights.
        lines: Curves, drawn in braille dots; later ones over earlier ones.
        points: Single values, drawn over the curves.
        marks: Moments, drawn under everything else.

    Returns:
        ``height`` rows, each ``width`` columns wide; empty rows if the size is too small to draw.
    """
    if width < MIN_WIDTH or height < MIN_HEIGHT or x_max <= 0:
        return [[Run(" " * max(width, 0), "axis")] for _ in range(max(height, 0))]
    bottom, top, ticks = scale.axis(*_value_range(lines, points, scale))
    low, high = scale.height(bottom), scale.height(top)
    heights = [(scale.height(value), label) for value, label in ticks]
    frame = _frame(width, height, x_max, (low, high), _thin(heights, (high - low) / (height - 3)))
    canvas = _Canvas(
        columns=width - frame.left,
        rows=height - 2,
        x_max=x_max,
        low=low,
        high=high,
        scale=scale,
    )
    for line in lines:
        canvas.line(line)
    for group in points:
        canvas.points(group)
    for mark in marks:
        canvas.mark(mark)
    framed: list[Row] = [
        [Run(edge, "axis"), *row] for edge, row in zip(frame.edges, canvas.render(), strict=True)
    ]
    return [*framed, [Run(frame.axis, "axis")], [Run(frame.labels, "axis")]]


def _value_range(
    lines: Sequence[Line], points: Sequence[Points], scale: Scale
) -> tuple[float, float]:
    """Return the least and the greatest value to show; bands may reach beyond, and are cut."""
    values = [v for line in lines for v in line.trend] + [v for group in points for v in group.y]
    if not values:
        return {"log": (0.1, 2.0), "nines": (0.0, 0.9)}.get(scale.name, (0.0, 1.0))
    return min(values), max(values)


def _thin(heights: list[tuple[float, str]], row: float) -> tuple[tuple[float, str], ...]:
    """Keep the ticks that find room, ``row`` being a row's height: every other row at most."""
    kept = [heights[-1]]
    for tick in reversed(heights[:-1]):
        if kept[-1][0] - tick[0] >= 1.5 * row:
            kept.append(tick)
    return tuple(reversed(kept))


@dataclass(frozen=True, slots=True)
class _Frame:
    """The parts of a picture that stay: the left edge of each row, the axis and its labels."""

    edges: tuple[str, ...]
    axis: str
    labels: str

    @property
    def left(self) -> int:
        return len(self.edges[0])


@lru_cache(maxsize=32)
def _frame(
    width: int,
    height: int,
    x_max: float,
    y_range: tuple[float, float],
    y_ticks: tuple[tuple[float, str], ...],
) -> _Frame:
    """Let plotext draw an empty picture, and cut it up."""
    step = nice_step(max(x_max / max(1, min(10, (width - 6) // 7)), 1e-6))
    if x_max >= 1:
        step = max(1.0, step)
    x_ticks = [i * step for i in range(math.floor(x_max / step + 1e-9) + 1)]
    plotext.clear_figure()
    plotext.limit_size(False, False)
    plotext.theme("clear")
    plotext.plotsize(width, height)
    plotext.xaxes(True, False)
    plotext.yaxes(True, False)
    plotext.xlim(0, x_max)
    plotext.ylim(*y_range)
    plotext.xticks(x_ticks, [f"{tick:g}" for tick in x_ticks])
    plotext.yticks([tick for tick, _ in y_ticks], [label for _, label in y_ticks])
    # plotext leaves the ticks out of a picture without data: one point, far outside, is enough.
    plotext.scatter([-10 * x_max], [0.0])
    rows = plotext.uncolorize(plotext.build()).split("\n")[:height]
    left = rows[-2].index("└") + 1
    edges = tuple(row[:left].ljust(left) for row in rows[: height - 2])
    return _Frame(edges, rows[-2].ljust(width)[:width], rows[-1].ljust(width)[:width])


class _Canvas:
    """A grid of braille cells, 2 × 4 dots each, with room for glyphs on top."""

    def __init__(
        self, *, columns: int, rows: int, x_max: float, low: float, high: float, scale: Scale
    ) -> None:
        self._columns, self._rows = columns, rows
        self._x_max, self._low, self._high = x_max, low, high
        self._scale = scale
        # Layer by layer, the later over the earlier: role, and dots by cell.
        self._layers: list[tuple[str, dict[int, int]]] = []
        self._glyphs: dict[int, tuple[str, str]] = {}
        self._marks: dict[int, tuple[str, str]] = {}

    def _dot_column(self, x: float) -> int:
        last = self._columns * 2 - 1
        return min(last, max(0, round(x / self._x_max * last)))

    def _dot_row(self, value: float) -> int:
        """Return the row of dots of a value, from the top, clamped to the picture."""
        last = self._rows * 4 - 1
        share = (self._scale.height(value) - self._low) / (self._high - self._low)
        return min(last, max(0, round((1 - share) * last)))

    def line(self, line: Line) -> None:
        """Draw a band, if the line has one, and its trend over it."""
        columns = self._by_column(line)
        if line.low is not None and line.high is not None:
            band: dict[int, int] = {}
            for column, (_, low, high) in columns.items():
                self._vertical(band, column, self._dot_row(high), self._dot_row(low))
            self._layers.append((line.band_role or line.role, band))
        dots: dict[int, int] = {}
        previous: tuple[int, int] | None = None
        for column, (value, _, _) in columns.items():
            row = self._dot_row(value)
            self._segment(dots, previous or (column, row), (column, row))
            previous = (column, row)
        self._layers.append((line.role, dots))

    def _by_column(self, line: Line) -> dict[int, tuple[float, float, float]]:
        """Gather a line by columns of dots: last trend, least and greatest value of each.

        From here on the cost is that of the picture's width.
        """
        lows, highs = line.low or line.trend, line.high or line.trend
        columns: dict[int, tuple[float, float, float]] = {}
        for x, trend, low, high in zip(line.x, line.trend, lows, highs, strict=True):
            column = self._dot_column(x)
            seen = columns.get(column)
            if seen is not None:
                low, high = min(low, seen[1]), max(high, seen[2])
            columns[column] = (trend, low, high)
        return columns

    def _segment(self, dots: dict[int, int], start: tuple[int, int], end: tuple[int, int]) -> None:
        """Join two points: each column between them gets its piece of the slope."""
        (x0, y0), (x1, y1) = start, end
        if x1 <= x0 + 1:
            self._vertical(dots, x1, min(y0, y1), max(y0, y1))
            return
        for x in range(x0, x1 + 1):
            top = round(y0 + (y1 - y0) * max(0.0, x - x0 - 0.5) / (x1 - x0))
            bottom = round(y0 + (y1 - y0) * min(x1 - x0, x - x0 + 0.5) / (x1 - x0))
            self._vertical(dots, x, min(top, bottom), max(top, bottom))

    def _vertical(self, dots: dict[int, int], column: int, top: int, bottom: int) -> None:
        """Set the dots from row ``top`` to row ``bottom``, a cell at a time."""
        masks = _SPANS[column & 1]
        first, last = top >> 2, bottom >> 2
        for row in range(first, last + 1):
            cell = row * self._columns + (column >> 1)
            span = masks[top & 3 if row == first else 0][bottom & 3 if row == last else 3]
            dots[cell] = dots.get(cell, 0) | span

    def points(self, group: Points) -> None:
        """Put a glyph at each value."""
        for x, y in zip(group.x, group.y, strict=True):
            cell = (self._dot_row(y) >> 2) * self._columns + (self._dot_column(x) >> 1)
            self._glyphs[cell] = (group.glyph, group.role)

    def mark(self, mark: Mark) -> None:
        """Draw a thin line down from the glyph in the topmost row."""
        column = self._dot_column(mark.x) >> 1
        self._marks[column] = (mark.glyph, mark.role)
        for row in range(1, self._rows):
            self._marks[row * self._columns + column] = ("┊", mark.role)
        room = len(mark.label) + 2
        for first in (column + 1, column - room):
            cells = range(first, first + room)
            if mark.label and first >= 0 and cells[-1] < self._columns and self._is_free(cells):
                for cell, character in zip(cells, f" {mark.label} ", strict=True):
                    self._marks[cell] = (character, mark.role)
                break

    def _is_free(self, cells: range) -> bool:
        drawn = {*self._glyphs, *self._marks}.union(*(dots for _, dots in self._layers))
        return drawn.isdisjoint(cells)

    def render(self) -> list[Row]:
        """Return the rows, neighbouring characters of one role joined."""
        return [self._render_row(row) for row in range(self._rows)]

    def _render_row(self, row: int) -> Row:
        runs: Row = []
        text, role = "", ""
        for cell in range(row * self._columns, (row + 1) * self._columns):
            character, its_role = self._cell(cell)
            if its_role not in (role, "") and text.strip():
                runs.append(Run(text, role))
                text = ""
            text += character
            role = its_role or role
        runs.append(Run(text, role or "axis"))
        return runs

    def _cell(self, cell: int) -> tuple[str, str]:
        """Return what shows in a cell: a glyph, else the topmost dots, else a mark, else nothing.

        The glyph of a mark, in the topmost row, is never hidden.
        """
        mark = self._marks.get(cell)
        if mark is not None and cell < self._columns:
            return mark
        glyph = self._glyphs.get(cell)
        if glyph is not None:
            return glyph
        for role, dots in reversed(self._layers):
            bits = dots.get(cell)
            if bits:
                return chr(_BRAILLE | bits), role
        return mark or (" ", "")
