"""Drawings on the pad, and their encoding as text in a question."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

MOST_PIXELS = 512 * 512
"""The largest drawing that :func:`drawing_of` reads."""

ROW_END = "/"

Point = tuple[float, float]
"""x to the right and y down, in pixels from the upper left corner; the center of the first pixel
is (0.5, 0.5)."""


@dataclass(frozen=True, slots=True)
class Drawing:
    """A drawing.

    Attributes:
        height: Rows of pixels.
        width: Columns of pixels.
        ink: A byte per pixel, row by row: 0 is empty, 255 full ink.
    """

    height: int
    width: int
    ink: bytes

    def __post_init__(self) -> None:
        if len(self.ink) != self.height * self.width:
            raise ValueError(f"{len(self.ink)} bytes for {self.height}×{self.width} pixels")

    @classmethod
    def blank(cls, height: int, width: int) -> Drawing:
        """Return an empty drawing."""
        return cls(height, width, bytes(height * width))

    @property
    def is_blank(self) -> bool:
        """Whether there is no ink on it."""
        return not any(self.ink)

    def stroke(self, points: Sequence[Point], radius: float, *, erases: bool = False) -> Drawing:
        """Return the drawing with a round, anti-aliased stroke; a single point is a dot.

        The ink of a pixel depends on the distance of its center from the line: full up to half a
        pixel inside the radius, none from half a pixel outside.

        Args:
            points: The polyline of the pen; parts outside the drawing are ignored.
            radius: Half the width of the stroke, in pixels.
            erases: Whether the stroke erases ink.
        """
        ink = bytearray(self.ink)
        ends = points[1:] or points
        for start, end in zip(points, ends, strict=False):
            self._segment(ink, start, end, radius, erases=erases)
        return Drawing(self.height, self.width, bytes(ink))

    def _segment(
        self, ink: bytearray, start: Point, end: Point, radius: float, *, erases: bool
    ) -> None:
        (x0, y0), reach = start, radius + 0.5
        along_x, along_y = end[0] - x0, end[1] - y0
        squared = along_x * along_x + along_y * along_y
        top, bottom = _within(y0, end[1], reach, self.height)
        left, right = _within(x0, end[0], reach, self.width)
        for row in range(top, bottom):
            y = row + 0.5 - y0
            place = row * self.width + left
            for x in range(left, right):
                across = x + 0.5 - x0
                share = (across * along_x + y * along_y) / squared if squared else 0.0
                share = 0.0 if share < 0 else min(share, 1.0)
                apart = math.hypot(across - share * along_x, y - share * along_y)
                if apart < reach:
                    ink_here = 255 if apart <= radius - 0.5 else round(255 * (reach - apart))
                    old = ink[place]
                    ink[place] = (
                        min(old, 255 - min(255, ink_here)) if erases else max(old, ink_here)
                    )
                place += 1

    def to_text(self) -> str:
        """Return it as text: two hexadecimal digits per pixel, a slash between rows."""
        rows = range(0, len(self.ink), self.width) if self.width else ()
        return ROW_END.join(self.ink[row : row + self.width].hex() for row in rows)


def drawing_of(text: str) -> Drawing:
    """Parse the text of a drawing, as written by :meth:`Drawing.to_text`.

    Raises:
        ValueError: If it is not the text of a drawing.
    """
    if len(text) > 3 * MOST_PIXELS:
        raise ValueError("a drawing cannot be so large")
    rows = [bytes.fromhex(row) for row in text.split(ROW_END)]
    if not rows[0] or any(len(row) != len(rows[0]) for row in rows):
        raise ValueError("the rows of a drawing have one length, and hold pixels")
    return Drawing(len(rows), len(rows[0]), b"".join(rows))


def _within(one: float, other: float, reach: float, size: int) -> tuple[int, int]:
    """Return the first pixel that a line can reach, and the one after the last."""
    first = math.floor(min(one, other) - reach)
    return min(size, max(0, first)), max(0, min(size, math.ceil(max(one, other) + reach)))
