"""The colors of a picture's pixels, from its numbers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from typing import NamedTuple

from textual.color import Color

from tui_trainer.protocol.exhibit import Picture
from tui_trainer.render.levels import colors_of, levels_of
from tui_trainer.ui.widgets.half_blocks import Pixel, ramp

NEGATIVE, POSITIVE, FRAME, NONE = "validation", "train", "intervention", "error"
"""The roles of negative values, positive values, the frame, and NaN."""

LAST = 255
"""The last index of a gradient; the level of 0 in a picture of signed numbers."""


class Inks(NamedTuple):
    """The colors of a picture.

    Attributes:
        ground: The darkest pixel, and 0 in a picture of signed numbers.
        light: The brightest pixel.
        below: The most negative number.
        above: The most positive number.
        none: NaN.
        frame: The frame that marks some pixels.
        margin: The margin around a picture with a frame.
    """

    ground: Color
    light: Color
    below: Color
    above: Color
    none: Color
    frame: Color
    margin: Color


def inks_of(variables: Mapping[str, str]) -> Inks:
    """Return the inks of a theme."""
    roles = (f"role-{role}" for role in (NEGATIVE, POSITIVE, NONE, FRAME))
    names = ("background", "foreground", *roles, "panel")
    return Inks(*(Color.parse(variables[name]) for name in names))


def pixels_of(picture: Picture, inks: Inks, scale: int = 1, skips: int = 1) -> list[list[Pixel]]:
    """Return the colors of a picture's pixels, row by row, with its frame.

    Args:
        picture: The picture.
        inks: Its colors.
        scale: Width and height of a number in pixels.
        skips: Take only every ``skips``-th of these pixels, in both directions.
    """
    if picture.is_color:
        none = inks.none.rgb
        colors = [color or none for color in colors_of(picture)]
    else:
        palette = _palette(inks, picture.is_signed)
        colors = [palette[level] for level in levels_of(picture, LAST)]
    width = picture.width
    across = [x // scale for x in range(0, width * scale, skips)]
    rows = []
    for y in range(0, picture.height * scale, skips):
        row = colors[y // scale * width : (y // scale + 1) * width]
        rows.append(row if scale == skips == 1 else [row[x] for x in across])
    if picture.frame is None:
        return rows
    return framed(rows, picture.frame, inks.margin.rgb, inks.frame.rgb, scale / skips)


def averaged(picture: Picture, times: int) -> Picture:
    """Return a picture in color whose pixels are the means of ``times`` × ``times`` pixels.

    At the right and the lower edge they are the means of fewer.
    """
    width, channels = picture.width, picture.channels
    down, across = (-(-side // times) for side in (picture.height, width))
    values = []
    for top in range(0, picture.height, times):
        rows = range(top, min(top + times, picture.height))
        for left in range(0, width, times):
            right = min(left + times, width)
            for channel in range(channels):
                parts = [
                    picture.values[
                        (row * width + left) * channels + channel : (row * width + right)
                        * channels : channels
                    ]
                    for row in rows
                ]
                values.append(sum(map(sum, parts)) / (len(rows) * (right - left)))
    frame = picture.frame
    if frame is not None:
        first = frame[0] // times, frame[1] // times
        ends = -(-(frame[0] + frame[2]) // times), -(-(frame[1] + frame[3]) // times)
        frame = (*first, ends[0] - first[0], ends[1] - first[1])
    return replace(picture, height=down, width=across, values=tuple(values), frame=frame)


def framed(
    rows: Sequence[Sequence[Pixel]],
    frame: tuple[int, int, int, int] | None,
    margin: Pixel,
    line: Pixel,
    scale: float = 1.0,
) -> list[list[Pixel]]:
    """Return pixels with a margin of one pixel, and a frame just outside the marked pixels.

    A side of the frame that is outside the picture is not drawn.

    Args:
        rows: The pixels, row by row.
        frame: The marked pixels: top, left, height and width; None for only a margin.
        margin: The color of the margin.
        line: The color of the frame.
        scale: Pixels per unit of ``frame``.
    """
    edge = [margin] * (len(rows[0]) + 2)
    drawn = [edge[:], *([margin, *row, margin] for row in rows), edge[:]]
    if frame is None:
        return drawn
    top, left = int(frame[0] * scale), int(frame[1] * scale)
    bottom = int((frame[0] + frame[2]) * scale) + 1
    right = int((frame[1] + frame[3]) * scale) + 1
    for y in range(max(0, top), min(bottom + 1, len(drawn))):
        for x in range(max(0, left), min(right + 1, len(edge))):
            if y in (top, bottom) or x in (left, right):
                drawn[y][x] = line
    return drawn


@lru_cache(maxsize=8)
def _palette(inks: Inks, is_signed: bool) -> tuple[Pixel, ...]:
    """Return the colors from the lowest number to the highest, then that of NaN."""
    none = inks.none.rgb
    if not is_signed:
        return (*ramp(inks.ground, inks.light), none)
    below, above = ramp(inks.ground, inks.below), ramp(inks.ground, inks.above)
    return (*reversed(below[1:]), *above, none)
