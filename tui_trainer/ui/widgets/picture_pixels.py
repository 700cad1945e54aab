"""From the numbers of a picture to the colours of its pixels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import NamedTuple

from textual.color import Color

from tui_trainer.protocol.exhibit import Picture
from tui_trainer.render.levels import levels_of
from tui_trainer.ui.widgets.half_blocks import Pixel, ramp

NEGATIVE, POSITIVE, FRAME, NONE = "validation", "train", "intervention", "error"
"""The roles of what is below 0, above it, marked by a rectangle, and no number at all."""

LAST = 255
"""The last place of a ramp; the level of 0 in a picture of signed numbers."""


class Inks(NamedTuple):
    """The colours that a picture is painted in.

    Attributes:
        ground: Of the darkest pixel, and of 0 where numbers have a sign.
        light: Of the brightest.
        below: Of the strongest negative number.
        above: Of the strongest positive one.
        none: Of what is no number.
        frame: Of a rectangle that marks something.
        margin: Of the ground that such a rectangle has around the picture.
    """

    ground: Color
    light: Color
    below: Color
    above: Color
    none: Color
    frame: Color
    margin: Color


def inks_of(variables: Mapping[str, str]) -> Inks:
    """Return the inks of a theme, from its colours by their names."""
    roles = (f"role-{role}" for role in (NEGATIVE, POSITIVE, NONE, FRAME))
    names = ("background", "foreground", *roles, "panel")
    return Inks(*(Color.parse(variables[name]) for name in names))


def pixels_of(picture: Picture, inks: Inks, scale: int = 1, skips: int = 1) -> list[list[Pixel]]:
    """Return the colours of a picture's pixels, row by row, its frame around those it marks.

    Args:
        picture: The picture.
        inks: What it is painted in.
        scale: How many pixels a number is wide, and high.
        skips: Of those only each so manieth is taken, across and down.
    """
    palette = _palette(inks, picture.is_signed)
    colours = [palette[level] for level in levels_of(picture, LAST)]
    width = picture.width
    across = [x // scale for x in range(0, width * scale, skips)]
    rows = []
    for y in range(0, picture.height * scale, skips):
        row = colours[y // scale * width : (y // scale + 1) * width]
        rows.append(row if scale == skips == 1 else [row[x] for x in across])
    if picture.frame is None:
        return rows
    return framed(rows, picture.frame, inks.margin.rgb, inks.frame.rgb, scale / skips)


def framed(
    rows: Sequence[Sequence[Pixel]],
    frame: tuple[int, int, int, int] | None,
    margin: Pixel,
    line: Pixel,
    scale: float = 1.0,
) -> list[list[Pixel]]:
    """Return pixels with a margin of one around them, and a rectangle just outside of its pixels.

    A side of the rectangle that is off the picture stays open.

    Args:
        rows: The pixels, row by row.
        frame: What the rectangle marks: top, left, height and width; None for a margin alone.
        margin: The colour of the margin.
        line: That of the rectangle.
        scale: How many pixels one of the frame's is wide, and high.
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
    """Return the colours from the lowest number to the highest; last, that of no number."""
    none = inks.none.rgb
    if not is_signed:
        return (*ramp(inks.ground, inks.light), none)
    below, above = ramp(inks.ground, inks.below), ramp(inks.ground, inks.above)
    return (*reversed(below[1:]), *above, none)
