"""The receptive field in pixels: pure functions for its pictures and the numbers below them.

A picture is a flat sequence of rows, and square.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from tui_trainer.protocol.layers import Box


@dataclass(frozen=True, slots=True)
class Pixels:
    """A rectangle of whole pixels: its first row and column, and those after its last."""

    top: int
    left: int
    bottom: int
    right: int

    @property
    def size_text(self) -> str:
        """Height and width, as in 5×5."""
        return f"{self.bottom - self.top}×{self.right - self.left}"

    @property
    def frame(self) -> tuple[int, int, int, int]:
        """The rectangle as top, left, height and width."""
        return self.top, self.left, self.bottom - self.top, self.right - self.left


def touched(box: Box, scale: float = 1.0) -> Pixels:
    """Return the pixels that a box overlaps, in a picture at a scale."""
    return Pixels(
        math.floor(box.top * scale),
        math.floor(box.left * scale),
        math.ceil(box.bottom * scale),
        math.ceil(box.right * scale),
    )


def bounds(mask: Sequence[int], size: int) -> Pixels | None:
    """Return the bounding box of the non-zero pixels; None if there are none."""
    rows = [row for row in range(size) if any(mask[row * size : (row + 1) * size])]
    columns = [column for column in range(size) if any(mask[column::size])]
    if not rows:
        return None
    return Pixels(rows[0], columns[0], rows[-1] + 1, columns[-1] + 1)


def agree(box: Box, measured: Pixels | None, size: int) -> bool:
    """Return whether the part of a box inside the image equals the measured rectangle."""
    inside = touched(box.within(size, size))
    is_empty = inside.top >= inside.bottom or inside.left >= inside.right
    return is_empty if measured is None else measured == inside


def half_of(effective: Sequence[int]) -> tuple[int, int]:
    """Return the smallest number of pixels with half of the gradient, and of those with any."""
    sizes = sorted((value for value in effective if value), reverse=True)
    half, sum_so_far = sum(sizes) / 2, 0
    for count, value in enumerate(sizes, 1):
        sum_so_far += value
        if sum_so_far >= half:
            return count, len(sizes)
    return 0, 0


def mean(values: Iterable[int]) -> int:
    """Return the rounded mean of some pixels."""
    pixels = list(values)
    return round(sum(pixels) / len(pixels))


def scaled(
    picture: Sequence[int], size: int, target: int, fold: Callable[[Iterable[int]], int] = mean
) -> list[int]:
    """Reduce a picture from ``size`` rows to at most ``target`` rows.

    ``fold`` combines the pixels that a pixel of the result covers.
    """
    if target >= size:
        return list(picture)
    edges = [(place * size // target, -(-(place + 1) * size // target)) for place in range(target)]
    return [
        fold(
            picture[row * size + column]
            for row in range(top, bottom)
            for column in range(left, right)
        )
        for top, bottom in edges
        for left, right in edges
    ]
