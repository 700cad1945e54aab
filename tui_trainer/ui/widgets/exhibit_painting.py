"""Paints the cells of an exhibit in the colors of a theme, its pictures in half blocks."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache, partial

from rich.segment import Segment

from tui_trainer.protocol.exhibit import Picture
from tui_trainer.render.medium import Medium
from tui_trainer.text.fmt import Cell
from tui_trainer.text.lines import Lines
from tui_trainer.ui.widgets.half_blocks import Drawn, half_blocks
from tui_trainer.ui.widgets.painting import Styles
from tui_trainer.ui.widgets.picture_pixels import (
    NEGATIVE,
    POSITIVE,
    Inks,
    averaged,
    inks_of,
    pixels_of,
)

WIDE_ENOUGH = 14
"""Smaller pictures are enlarged up to this width, in pixels."""

SIGNED = (Cell("■ below 0  ", style=NEGATIVE), Cell("■ above 0", style=POSITIVE))

KEPT = 64
"""Size of the cache of drawn pictures: most are drawn again before they change."""


@dataclass(frozen=True, slots=True)
class PixelsCell(Cell):
    """A line of a picture, with explicit colors in place of a role."""

    painted: tuple[Segment, ...] = ()


def medium_of(variables: Mapping[str, str]) -> Medium:
    """Return the medium for a window in the colors of a theme."""
    return Medium(draw=partial(_picture, inks_of(variables)), signed_key=SIGNED)


def painted(lines: Lines, style: Styles) -> Drawn:
    """Return lines of cells in the colors of the theme."""
    drawn: Drawn = []
    for line in lines:
        drawn.append([])
        for cell in line:
            if isinstance(cell, PixelsCell):
                drawn[-1] += cell.painted
            else:
                drawn[-1].append(Segment(cell.text, style(cell.style)))
    return drawn


def _picture(inks: Inks, picture: Picture, width: int) -> Lines:
    """Return the lines of a picture; they are cached, so do not modify them.

    A picture that is wider than ``width`` is reduced: one in color by averaging pixels, as a
    photograph needs, another by dropping pixels, so that its numbers stay.
    """
    margin = 2 if picture.frame else 0
    return _drawn(picture, max(1, math.ceil(picture.width / max(1, width - margin))), inks)


@lru_cache(maxsize=KEPT)
def _drawn(picture: Picture, skips: int, inks: Inks) -> Lines:
    if picture.is_color and skips > 1:
        picture, skips = averaged(picture, skips), 1
    scale = max(1, WIDE_ENOUGH // max(picture.width, picture.height, 1))
    rows = pixels_of(picture, inks, scale, skips)
    text = "▀" * (len(rows[0]) if rows else 0)
    lines = half_blocks(rows, inks.ground.rgb)
    return [[PixelsCell(text, painted=tuple(line))] for line in lines]
