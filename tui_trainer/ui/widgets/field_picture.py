"""The receptive field as pixels: what is drawn, and the numbers below it.

Pure functions. Pictures are rows of values, row after row, each as many as there are rows.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from tui_trainer.protocol.layers import Box


@dataclass(frozen=True, slots=True)
class Pixels:
    """A rectangle of whole pixels: the first row and column in it, and those after the last."""

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
        """The same by its first row and column, its height and its width."""
        return self.top, self.left, self.bottom - self.top, self.right - self.left


def touched(box: Box, scale: float = 1.0) -> Pixels:
    """Return the pixels that a box touches, in a picture drawn at a scale."""
    return Pixels(
        math.floor(box.top * scale),
        math.floor(box.left * scale),
        math.ceil(box.bottom * scale),
        math.ceil(box.right * scale),
    )


def bounds(mask: Sequence[int], size: int) -> Pixels | None:
    """Return the smallest rectangle with all pixels that are not 0; None if all are."""
    rows = [row for row in range(size) if any(mask[row * size : (row + 1) * size])]
    columns = [column for column in range(size) if any(mask[column::size])]
    if not rows:
        return None
    return Pixels(rows[0], columns[0], rows[-1] + 1, columns[-1] + 1)


def agree(box: Box, measured: Pixels | None, size: int) -> bool:
    """Return whether a box, as far as it is on the image, is what was measured."""
    inside = touched(box.within(size, size))
    is_empty = inside.top >= inside.bottom or inside.left >= inside.right
    return is_empty if measured is None else measured == inside


def half_of(effective: Sequence[int]) -> tuple[int, int]:
    """Return how few pixels hold half of the gradient, and how many have any of it."""
    sizes = sorted((value for value in effective if value), reverse=True)
    half, sum_so_far = sum(sizes) / 2, 0
    for count, value in enumerate(sizes, 1):
        sum_so_far += value
        if sum_so_far >= half:
            return count, len(sizes)
    return 0, 0


def mean(values: Iterable[int]) -> int:
    """Return the mean of some pixels, rounded."""
    pixels = list(values)
    return round(sum(pixels) / len(pixels))


def scaled(
    picture: Sequence[int], size: int, target: int, fold: Callable[[Iterable[int]], int] = mean
) -> list[int]:
    """Return a picture of ``size`` rows in ``target`` rows, at most as many.

    Each pixel of the result is what ``fold`` makes of those that it covers.
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
