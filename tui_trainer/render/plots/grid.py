"""The mapping of values to braille dots and text cells.

A text cell holds 2 × 4 braille dots. Data and ticks use the same mapping, so a tick is in the row
or column in which its value is drawn.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Iterable, Sequence

from tui_trainer.text.scales import Scale


class XAxis:
    """The x axis: values from 0 to ``x_max`` in dot columns.

    Attributes:
        cells: Columns of text.
        dots: Columns of dots.
    """

    def __init__(self, x_max: float, cells: int) -> None:
        self.cells, self.dots = cells, 2 * cells
        self._x_max, self._last = x_max, self.dots - 1

    def cell(self, x: float) -> int | None:
        """Return the text column of a value; None if it is off the axis."""
        (dot,) = self._positions((x,))
        return math.floor(dot) >> 1 if 0 <= dot < self.dots else None

    def stops(self, x: Sequence[float]) -> list[int]:
        """Find where dot columns begin in ascending values.

        Returns:
            For each dot column, the index of the first value in or beyond it, and finally that of
            the first value off the axis: column ``i`` has the values ``stops[i]`` to
            ``stops[i + 1]``.
        """
        positions = self._positions(x)
        return [bisect_left(positions, dot) for dot in range(self.dots + 1)]

    def _positions(self, x: Iterable[float]) -> list[float]:
        """Return positions in dots; the integer part is the dot column."""
        x_max, last = self._x_max, self._last
        return [value / x_max * last + 0.5 for value in x]


class YAxis:
    """The y axis: values from ``bottom`` to ``top`` in dot rows, the first row on top.

    Attributes:
        cells: Rows of text.
    """

    def __init__(self, scale: Scale, bottom: float, top: float, cells: int) -> None:
        self.cells = cells
        self._scale = scale
        self._bottom, self._top = scale.heights((bottom, top))
        self._last = 4 * cells - 1

    def dots(self, values: Iterable[float]) -> list[int]:
        """Return the dot row of each value, clipped to the axis."""
        bottom, top, last = self._bottom, self._top, self._last
        return [
            0
            if height >= top
            else last
            if height <= bottom
            else int((top - height) / (top - bottom) * last + 0.5)
            for height in self._scale.heights(values)
        ]

    def cell(self, value: float) -> int:
        """Return the text row of a value."""
        return self.dots((value,))[0] >> 2
