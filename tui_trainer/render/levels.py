"""From the numbers of a picture to steps between its darkest and its brightest pixel."""

from __future__ import annotations

import math

from tui_trainer.protocol.exhibit import Picture

UNKNOWN = -1
"""The level of what is no number: the last place of a list of colours or signs."""


def levels_of(picture: Picture, last: int) -> list[int]:
    """Return the level of each number of a picture, row after row.

    Args:
        picture: The picture.
        last: The level of the largest number, 0 being that of the least. Of signed numbers the
            levels go from 0 over ``last``, which is that of 0, to ``2 * last``.

    Where the bounds span no range, all numbers are at the lowest level, or at that of 0.
    """
    low, high = picture.low, picture.high
    if picture.is_signed:
        most = max(-low, high) or 1.0
        if not 0 < most < math.inf:
            return [UNKNOWN if v != v else last for v in picture.values]
        return [
            UNKNOWN
            if v != v
            else 0
            if v <= -most
            else 2 * last
            if v >= most
            else last + round(v / most * last)
            for v in picture.values
        ]
    span = high - low
    if not 0 < span < math.inf:
        return [UNKNOWN if v != v else 0 for v in picture.values]
    return [
        UNKNOWN
        if v != v
        else 0
        if v <= low
        else last
        if v >= high
        else int((v - low) / span * last + 0.5)
        for v in picture.values
    ]
