"""The numbers of a picture quantized to levels, its colors, and its luminance."""

from __future__ import annotations

import math
from dataclasses import replace

from tui_trainer.protocol.exhibit import Picture

UNKNOWN = -1
"""The level of NaN: the last index of a list of colors or characters."""

RED, GREEN, BLUE = 0.299, 0.587, 0.114
"""The shares of the channels in the luminance: ITU-R BT.601, as in Pillow's ``convert("L")``."""

Color = tuple[int, int, int]
"""Red, green and blue, 0 to 255."""


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


def colors_of(picture: Picture) -> list[Color | None]:
    """Return the color of each pixel of a picture with three channels; None where one is NaN."""
    levels = levels_of(picture, 127 if picture.is_signed else 255)
    pixels = zip(levels[::3], levels[1::3], levels[2::3], strict=True)
    if UNKNOWN in levels:
        return [None if UNKNOWN in pixel else pixel for pixel in pixels]
    return list(pixels)


def grayscale(picture: Picture) -> Picture:
    """Return the luminance of a picture in color; a picture with one channel is returned as is."""
    if not picture.is_color:
        return picture
    pixels = zip(*(picture.values[channel::3] for channel in range(3)), strict=True)
    grays = tuple(RED * red + GREEN * green + BLUE * blue for red, green, blue in pixels)
    return replace(picture, values=grays, channels=1)
