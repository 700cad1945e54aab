"""What goes into a chart, curves, points and marks, and what comes out of it, rows of text."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple


class Run(NamedTuple):
    """Neighbouring characters of one role."""

    text: str
    role: str


Row = list[Run]


@dataclass(frozen=True, slots=True)
class Line:
    """A curve: a trend, and where given the band of values it lies in.

    Attributes:
        x: Where its points are, in ascending order.
        trend: The height of the curve at each point.
        role: The role of the curve.
        low: The least value since the point before, at each point.
        high: The greatest value since the point before, at each point.
        band_role: The role of the band; the curve's if empty.

    Raises:
        ValueError: If the sequences are not of one length.
    """

    x: Sequence[float]
    trend: Sequence[float]
    role: str
    low: Sequence[float] | None = None
    high: Sequence[float] | None = None
    band_role: str = ""

    def __post_init__(self) -> None:
        if len({len(values) for values in self.parts()}) > 1:
            raise ValueError("a line needs as many values as places")

    def parts(self) -> list[Sequence[float]]:
        """Return its sequences, x first."""
        return [part for part in (self.x, self.trend, self.low, self.high) if part is not None]

    def without_gaps(self) -> Line:
        """Return the line without the points of which a number is NaN."""
        # A sum is quick, and no sum with a NaN in it is a number.
        if not any(math.isnan(sum(part)) for part in self.parts()):
            return self
        low, high = self.low, self.high
        kept = [i for i, point in enumerate(zip(*self.parts(), strict=True)) if _is_whole(point)]
        return Line(
            [self.x[i] for i in kept],
            [self.trend[i] for i in kept],
            self.role,
            None if low is None else [low[i] for i in kept],
            None if high is None else [high[i] for i in kept],
            self.band_role,
        )


@dataclass(frozen=True, slots=True)
class Points:
    """Single values, each drawn as a glyph of one column."""

    x: Sequence[float]
    y: Sequence[float]
    role: str
    glyph: str = "●"

    def without_gaps(self) -> Points:
        """Return the points of which neither number is NaN."""
        kept = [point for point in zip(self.x, self.y, strict=True) if _is_whole(point)]
        return Points([x for x, _ in kept], [y for _, y in kept], self.role, self.glyph)


@dataclass(frozen=True, slots=True)
class Mark:
    """A moment: a glyph at the top of the picture and a thin line down from it.

    The label, of characters of one column each, goes beside the glyph, or else beside the foot of
    the line, where nothing else is drawn.
    """

    x: float
    role: str
    glyph: str = "▼"
    label: str = ""


def _is_whole(point: tuple[float, ...]) -> bool:
    return not any(map(math.isnan, point))
