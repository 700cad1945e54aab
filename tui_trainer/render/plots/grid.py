"""Where values lie on a picture: the one place that turns numbers into dots.

A cell of text holds 2 × 4 braille dots. Data and ticks are placed by the same rule, so that a tick
stands in the row or column in which its value is drawn.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Iterable, Sequence

from tui_trainer.text.scales import Scale


class Across:
    """The x axis: places from 0 to ``x_max``, in columns of dots.

    Attributes:
        cells: Columns of text.
        dots: Columns of dots.
    """

    def __init__(self, x_max: float, cells: int) -> None:
        self.cells, self.dots = cells, 2 * cells
        self._x_max, self._last = x_max, self.dots - 1

    def cell(self, x: float) -> int | None:
        """Return the column of text of a place, None if it is off the axis."""
        (dot,) = self._places((x,))
        return math.floor(dot) >> 1 if 0 <= dot < self.dots else None

    def stops(self, x: Sequence[float]) -> list[int]:
        """Find where columns of dots begin in ascending places.

        Returns:
            The index of the first place in or beyond each column of dots, and in the end that of
            the first place off the axis: column ``i`` has the places ``stops[i]`` to
            ``stops[i + 1]``.
        """
        places = self._places(x)
        return [bisect_left(places, dot) for dot in range(self.dots + 1)]

    def _places(self, x: Iterable[float]) -> list[float]:
        """Return places in dots: the whole part of each is its column of dots."""
        x_max, last = self._x_max, self._last
        return [value / x_max * last + 0.5 for value in x]


class Up:
    """The y axis: values from ``bottom`` to ``top``, in rows of dots, the first row on top.

    Attributes:
        cells: Rows of text.
    """

    def __init__(self, scale: Scale, bottom: float, top: float, cells: int) -> None:
        self.cells = cells
        self._scale = scale
        self._bottom, self._top = scale.heights((bottom, top))
        self._last = 4 * cells - 1

    def dots(self, values: Iterable[float]) -> list[int]:
        """Return the row of dots of each value; one beyond an end lies at that end."""
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
        """Return the row of text of a value."""
        return self.dots((value,))[0] >> 2
