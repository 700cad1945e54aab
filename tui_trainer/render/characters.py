"""Pictures of an exhibit as ASCII art."""

from __future__ import annotations

import math
from dataclasses import replace

from tui_trainer.protocol.exhibit import Picture
from tui_trainer.render.levels import grayscale, levels_of

RAMP = " .:-=+*#%@"
"""Characters for numbers from the smallest to the largest."""

SIGNED = "≡=- .+#"
"""Characters for numbers from the most negative through 0 to the most positive."""

UNKNOWN = "?"
"""The character for NaN."""

WIDE_PIXELS = 18
"""Up to this many columns, a pixel takes two characters; in wider pictures a character takes two
pixels, one below the other. Either way a pixel is about as tall as it is wide."""


def picture_lines(picture: Picture) -> list[str]:
    """Return a picture as lines of characters, with brackets at the sides of its frame.

    A picture in color is shown by its luminance.

    A character is about twice as tall as it is wide. Where it shows two pixels, it shows the mean,
    or of signed pixels the stronger, because opposite signs would cancel in a mean.
    """
    picture = grayscale(picture)
    signs = (SIGNED if picture.is_signed else RAMP) + UNKNOWN
    across, down = (2, 1) if picture.width <= WIDE_PIXELS else (1, 2)
    shown = picture if down == 1 else _halved(picture)
    levels = levels_of(shown, len(SIGNED) // 2 if picture.is_signed else len(RAMP) - 1)
    lines = [
        "".join(signs[level] * across for level in levels[start : start + picture.width])
        for start in range(0, len(levels), picture.width)
    ]
    if picture.frame is None:
        return lines
    return _framed(lines, picture.frame, across, down)


def _halved(picture: Picture) -> Picture:
    """Return a picture with each pair of rows merged; an odd last row stays."""
    wide, values = picture.width, picture.values
    if picture.height % 2:
        values += values[-wide:]
    joined: list[float] = []
    for start in range(0, len(values), 2 * wide):
        upper, lower = values[start : start + wide], values[start + wide : start + 2 * wide]
        for pair in zip(upper, lower, strict=True):
            mean = sum(pair) / 2
            is_number = picture.is_signed and not math.isnan(mean)
            joined.append(max(pair, key=abs) if is_number else mean)
    return replace(picture, height=len(joined) // wide, values=tuple(joined), frame=None)


def _framed(
    lines: list[str], frame: tuple[int, int, int, int], across: int, down: int
) -> list[str]:
    """Put brackets left and right of the rows of a rectangle."""
    top, left, height, width = frame
    before, behind = left * across, (left + width) * across + 1
    framed = []
    for index, line in enumerate(lines):
        inside = top // down <= index <= (top + height - 1) // down
        padded = list(f" {line} ")
        if inside and 0 <= before < len(padded):
            padded[before] = "["
        if inside and 0 <= behind < len(padded):
            padded[behind] = "]"
        framed.append("".join(padded))
    return framed
