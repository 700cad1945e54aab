"""The cells of a curve: its trend, its band and its glyphs, in braille dots.

The results are cached: of the curves of many runs in one chart, few change between two updates.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache
from itertools import pairwise

from tui_trainer.render.plots.chart_shapes import Line
from tui_trainer.render.plots.grid import XAxis, YAxis

LINES_KEPT = 192
"""How many curves of how many axes are kept: two charts of 40 runs and their bands."""

GLYPHS_APART = 12
"""Text columns between two glyphs of a curve with more points than that."""

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


@lru_cache(maxsize=LINES_KEPT)
def _stops(line: Line, x_axis: XAxis) -> list[int]:
    return x_axis.stops(line.x)


@lru_cache(maxsize=LINES_KEPT)
def curve_cells(line: Line, x_axis: XAxis, y_axis: YAxis) -> dict[int, str]:
    """Return the characters of a curve by cell, counted row by row."""
    stops = _stops(line, x_axis)
    is_raw = line.is_raw and line.low is not None and line.high is not None
    spans = _raw_spans(line, stops, y_axis) if is_raw else _trend_spans(line.trend, stops, y_axis)
    cells: defaultdict[int, int] = defaultdict(int)
    for column, top, bottom in spans:
        first, last = top >> 2, bottom >> 2
        parts = _SPANS[column & 1]
        for row in range(first, last + 1):
            part = parts[top & 3 if row == first else 0][bottom & 3 if row == last else 3]
            cells[row * x_axis.cells + (column >> 1)] |= part
    return {cell: chr(_BRAILLE | dots) for cell, dots in cells.items()}


def _trend_spans(
    trend: Sequence[float], stops: list[int], y_axis: YAxis
) -> Iterable[tuple[int, int, int]]:
    """Connect the last values of the dot columns, each column with its piece of the slope."""
    ends = [(column, b - 1) for column, (a, b) in enumerate(pairwise(stops)) if b > a]
    if not ends:
        return []
    columns = [column for column, _ in ends]
    path = _path(columns, y_axis.dots(trend[end] for _, end in ends))
    steps = zip([path[0], *path], path, strict=False)
    return [
        (column, min(before, now), max(before, now))
        for column, (before, now) in enumerate(steps, columns[0])
    ]


def _raw_spans(line: Line, stops: list[int], y_axis: YAxis) -> Iterable[tuple[int, int, int]]:
    """Draw each dot column from its smallest to its largest value, connected to the one before."""
    low, high = line.low or (), line.high or ()
    filled = [(column, a, b) for column, (a, b) in enumerate(pairwise(stops)) if b > a]
    tops = y_axis.dots(max(high[a:b]) for _, a, b in filled)
    bottoms = y_axis.dots(min(low[a:b]) for _, a, b in filled)
    spans = [
        (column, top, bottom)
        for (column, _, _), top, bottom in zip(filled, tops, bottoms, strict=True)
    ]
    joined = spans[:1]
    for (before, above, below), (column, top, bottom) in pairwise(spans):
        # Reach up or down to the neighbor, and cover the columns between two points.
        top, bottom = min(top, below), max(bottom, above)
        joined += [(between, top, bottom) for between in range(before + 1, column + 1)]
    return joined


@lru_cache(maxsize=LINES_KEPT)
def band_cells(line: Line, x_axis: XAxis, y_axis: YAxis) -> list[tuple[int, str]]:
    """Return the first cell and the characters downwards of each text column of a curve's band.

    Each column is tinted from the smallest to the largest value in it and its neighbors. Including
    the neighbors smooths the edge of a noisy band and hides no value.
    """
    if line.low is None or line.high is None:
        return []
    stops = _stops(line, x_axis)
    begun, end = stops[0], stops[-1]
    columns, tops, bottoms = [], [], []
    for column, (first, last) in enumerate(pairwise(stops[::2])):
        if last > begun and first < end:
            # A column between two points belongs to the later one, whose band reaches back.
            last = max(last, first + 1)
            columns.append(column)
            tops.append(max(line.high[first:last]))
            bottoms.append(min(line.low[first:last]))
    top_dots = _around(min, y_axis.dots(tops))
    bottom_dots = _around(max, y_axis.dots(bottoms))
    return [
        ((top >> 2) * x_axis.cells + column, _tints(top, bottom))
        for column, top, bottom in zip(columns, top_dots, bottom_dots, strict=True)
    ]


@lru_cache(maxsize=LINES_KEPT)
def glyph_cells(line: Line, x_axis: XAxis, y_axis: YAxis, offset: float) -> list[int]:
    """Return the cells of a curve's glyphs: at its points, or at some of many, and at the last.

    Args:
        line: The curve.
        x_axis: The x axis.
        y_axis: The y axis.
        offset: Where between two of many glyphs the first one is, from 0 to 1; it differs between
            curves, so that equal curves don't hide each other's glyphs.
    """
    stops = _stops(line, x_axis)
    begun, end = stops[0], stops[-1]
    if begun == end:
        return []
    shown = range(begun, end)
    if len(shown) > x_axis.cells / GLYPHS_APART:
        first = round(offset * GLYPHS_APART)
        wanted = (stops[2 * column] for column in range(first, x_axis.cells, GLYPHS_APART))
        shown_places = {place for place in wanted if begun <= place < end}
        places = sorted({*shown_places, end - 1})
    else:
        places = [*shown]
    rows = y_axis.dots(line.trend[place] for place in places)
    cells = []
    for place, row in zip(places, rows, strict=True):
        column = x_axis.cell(line.x[place])
        if column is not None:
            cells.append((row >> 2) * x_axis.cells + column)
    return cells


def _around(choose: Callable[[Iterable[int]], int], rows: list[int]) -> list[int]:
    """Apply ``choose`` to each row and its two neighbors."""
    neighbors = zip([*rows[:1], *rows], rows, [*rows[1:], *rows[-1:]], strict=False)
    return [choose(near) for near in neighbors]


def _path(columns: list[int], rows: list[int]) -> list[int]:
    """Interpolate a row for every column, from the first to the last."""
    path = rows[:1]
    for (x0, x1), (y0, y1) in zip(pairwise(columns), pairwise(rows), strict=True):
        if x1 == x0 + 1:
            path.append(y1)
        else:
            slope = (y1 - y0) / (x1 - x0)
            path += [round(y0 + slope * step) for step in range(1, x1 - x0 + 1)]
    return path


@lru_cache(maxsize=4096)
def _tints(top: int, bottom: int) -> str:
    """Return the tinted cells of a text column between two dot rows, from top to bottom.

    Every other dot is set, like a chessboard: the texture separates band and curve without color.
    """
    tints = []
    for cell in range(top >> 2, (bottom >> 2) + 1):
        rows = range(max(top, 4 * cell), min(bottom, 4 * cell + 3) + 1)
        tints.append(chr(_BRAILLE | sum(_DOTS[row & 3][row & 1] for row in rows)))
    return "".join(tints)
