"""The numbers of a picture quantized to levels between its darkest and brightest pixel."""

from __future__ import annotations

import math

from tui_trainer.protocol.exhibit import Picture

UNKNOWN = -1
"""The level of NaN: the last index of a list of colors or characters."""


def levels_of(picture: Picture, last: int) -> list[int]:
    """Return the level of each number of a picture, row after row.

    Args:
        picture: The picture.
        last: The level of the largest number; the smallest has level 0. The levels of signed
            numbers go from 0 through ``last``, the level of the number 0, to ``2 * last``.

    Where the bounds span no range, all numbers get the lowest level, or the level of 0.
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
