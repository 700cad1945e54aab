"""The input of a chart (curves, points and marks) and its output (rows of text)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple


class Segment(NamedTuple):
    """Neighboring characters of one role."""

    text: str
    role: str


Row = list[Segment]


@dataclass(frozen=True, slots=True, eq=False)
class Line:
    """A curve: a trend and, optionally, the band of values around it.

    Attributes:
        x: The x values of its points, ascending.
        trend: The y value at each point.
        role: The role of the curve.
        low: At each point, the smallest value since the previous point.
        high: At each point, the largest value since the previous point.
        band_role: The role of the band; the curve's if empty.
        glyph: A character at some of its points, which identifies the curve without color.
        is_raw: Draw all values from ``low`` to ``high`` in place of trend and band.

    Raises:
        ValueError: If the sequences differ in length.
    """

    x: Sequence[float]
    trend: Sequence[float]
    role: str
    low: Sequence[float] | None = None
    high: Sequence[float] | None = None
    band_role: str = ""
    glyph: str = ""
    is_raw: bool = False

    def __post_init__(self) -> None:
        if len({len(values) for values in self.parts()}) > 1:
            raise ValueError("a line needs as many y values as x values")

    def parts(self) -> list[Sequence[float]]:
        """Return its sequences, x first."""
        return [part for part in (self.x, self.trend, self.low, self.high) if part is not None]

    def without_gaps(self) -> Line:
        """Return the line without the points that contain a NaN."""
        # A sum is fast, and a sum with a NaN in it is NaN.
        if not any(math.isnan(sum(part)) for part in self.parts()):
            return self
        low, high = self.low, self.high
        kept = [i for i, point in enumerate(zip(*self.parts(), strict=True)) if _is_whole(point)]
        return replace(
            self,
            x=[self.x[i] for i in kept],
            trend=[self.trend[i] for i in kept],
            low=None if low is None else [low[i] for i in kept],
            high=None if high is None else [high[i] for i in kept],
        )


@dataclass(frozen=True, slots=True)
class Points:
    """Single values, each drawn as a glyph of one column."""

    x: Sequence[float]
    y: Sequence[float]
    role: str
    glyph: str = "●"

    def without_gaps(self) -> Points:
        """Return the points without those that contain a NaN."""
        kept = [point for point in zip(self.x, self.y, strict=True) if _is_whole(point)]
        return Points([x for x, _ in kept], [y for _, y in kept], self.role, self.glyph)


@dataclass(frozen=True, slots=True)
class Mark:
    """A moment: a glyph at the top of the plot and a thin vertical line below it.

    The label, made of single-width characters, goes next to the glyph, or else next to the foot of
    the line, where nothing else is drawn.

    Attributes:
        x: Its place.
        role: The role of glyph, line and label.
        glyph: The character at the top.
        label: The text next to it.
        name: The text that appears only while the cursor is here.
        has_line: Whether it has a line.
    """

    x: float
    role: str
    glyph: str = "▼"
    label: str = ""
    name: str = ""
    has_line: bool = True

    def at(self, x: float) -> Mark:
        """Return the mark at another place."""
        return replace(self, x=x)


def _is_whole(point: tuple[float, ...]) -> bool:
    return not any(map(math.isnan, point))
