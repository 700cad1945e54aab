"""Pictures in the terminal: two pixels per character, one above the other."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from itertools import groupby, zip_longest

from rich.color import Color as RichColor
from rich.segment import Segment
from rich.style import Style
from textual.color import Color

Pixel = tuple[int, int, int]
"""Red, green and blue, 0 to 255."""


Drawn = list[list[Segment]]
"""Lines of colored segments."""


def half_blocks(rows: Sequence[Sequence[Pixel]], ground: Pixel) -> Drawn:
    """Return rows of pixels as lines of ``▀``; ``ground`` completes an odd number of rows."""
    blank = [ground] * (len(rows[0]) if rows else 0)
    return [
        [
            Segment("▀" * len(list(run)), _style(*pair))
            for pair, run in groupby(zip(upper, lower, strict=True))
        ]
        for upper, lower in zip_longest(rows[::2], rows[1::2], fillvalue=blank)
    ]


def ramp(start: Color, end: Color) -> list[Pixel]:
    """Return a gradient of 256 colors."""
    return [start.blend(end, place / 255).rgb for place in range(256)]


def mixed(pixel: Pixel, color: Color, share: float) -> Pixel:
    """Blend a pixel with a share of a color."""
    return Color(*pixel).blend(color, share).rgb


@lru_cache(maxsize=8_192)
def _style(upper: Pixel, lower: Pixel) -> Style:
    # An exhibit has thousands of pairs, and the constructor of Style is four times slower.
    return Style.from_color(_color(upper), _color(lower))


@lru_cache(maxsize=1_024)
def _color(pixel: Pixel) -> RichColor:
    return RichColor.from_rgb(*pixel)
