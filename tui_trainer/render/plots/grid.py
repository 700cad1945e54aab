"""The mapping of values to braille dots and text cells.

A text cell holds 2 × 4 braille dots. Data and ticks use the same mapping, so a tick is in the row
or column in which its value is drawn.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from tui_trainer.text.scales import Scale


@dataclass(frozen=True, slots=True)
class XAxis:
    """The x axis: values from ``start`` to ``end`` in dot columns.

    Attributes:
        start: The value in the first dot column.
        end: The value in the last one.
        cells: Columns of text.
    """

    start: float
    end: float
    cells: int

    @property
    def dots(self) -> int:
        """Columns of dots."""
        return 2 * self.cells

    def cell(self, x: float) -> int | None:
        """Return the text column of a value; None if it is off the axis."""
        (dot,) = self._positions((x,))
        return math.floor(dot) >> 1 if 0 <= dot < self.dots else None

    def value(self, cell: int) -> float:
        """Return the value in the middle of a text column, within the axis."""
        share = (2 * cell + 0.5) / max(1, self.dots - 1)
        return self.start + (self.end - self.start) * min(1.0, max(0.0, share))

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
        start, span, last = self.start, self.end - self.start, self.dots - 1
        return [(value - start) / span * last + 0.5 for value in x]


@dataclass(frozen=True, slots=True)
class YAxis:
    """The y axis: values from ``bottom`` to ``top`` in dot rows, the first row on top.

    Attributes:
        scale: The scale of the values.
        bottom: The value in the last dot row.
        top: The value in the first one.
        cells: Rows of text.
    """

    scale: Scale
    bottom: float
    top: float
    cells: int

    def dots(self, values: Iterable[float]) -> list[int]:
        """Return the dot row of each value, clipped to the axis."""
        bottom, top = self.scale.heights((self.bottom, self.top))
        last = 4 * self.cells - 1
        return [
            0
            if height >= top
            else last
            if height <= bottom
            else int((top - height) / (top - bottom) * last + 0.5)
            for height in self.scale.heights(values)
        ]

    def cell(self, value: float) -> int:
        """Return the text row of a value."""
        return self.dots((value,))[0] >> 2
