"""Maps of numbers as pictures of half blocks, side by side as many as fit."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

from rich.segment import Segment
from textual.color import Color
from textual.widget import Widget

from tui_trainer.protocol.exhibit import Picture, Pictures
from tui_trainer.text.fmt import columns
from tui_trainer.ui.widgets.finding_lines import paragraph
from tui_trainer.ui.widgets.half_blocks import half_blocks
from tui_trainer.ui.widgets.painting import Styles, role_styles
from tui_trainer.ui.widgets.picture_pixels import (
    FRAME,
    NEGATIVE,
    NONE,
    POSITIVE,
    Inks,
    inks_of,
    pixels_of,
)

Drawn = list[list[Segment]]

GAP = 3
"""Columns between two pictures."""

WIDE_ENOUGH = 14
"""A picture of fewer pixels is drawn larger, up to this width."""

SIGNED = ("■ below 0", "■ above 0")

KEPT = 64
"""Pictures that are kept as they are drawn: one is often drawn again before it changes."""


@dataclass(frozen=True, slots=True)
class Brush:
    """What pictures are painted with in the present theme.

    Attributes:
        style: From a role to a style.
        colours: The theme's colours by their names.
    """

    style: Styles
    colours: Mapping[str, Color]


def brush_of(widget: Widget) -> Brush:
    """Return the brush for a widget, in the present theme."""
    names = ("background", "foreground", "panel")
    roles = (f"role-{role}" for role in (NEGATIVE, POSITIVE, FRAME, NONE))
    variables = widget.app.theme_variables
    return Brush(
        role_styles(widget), {name: Color.parse(variables[name]) for name in (*names, *roles)}
    )


def pictures_lines(block: Pictures, width: int, brush: Brush) -> Drawn:
    """Return pictures in rows, each with its caption below it, whole."""
    lines: Drawn = []
    style = brush.style
    for cells in paragraph(block.caption, "title", width) if block.caption else []:
        lines.append([Segment(cell.text, style(cell.style)) for cell in cells])
    if any(picture.is_signed for picture in block.items):
        lines.append(
            [
                Segment(f"{SIGNED[0]}  ", style(NEGATIVE)),
                Segment(SIGNED[1], style(POSITIVE)),
            ]
        )
    for number, row in enumerate(_in_rows(block, width)):
        lines += [[]] if number else []
        lines += _row(row, width, brush)
    return lines


def pictures_width(block: Pictures) -> int:
    """Return how many columns the pictures take beside each other."""
    legend = columns("  ".join(SIGNED)) if any(p.is_signed for p in block.items) else 0
    return max(legend, sum(map(_width, block.items)) + GAP * (len(block.items) - 1))


def _scale(picture: Picture) -> int:
    return max(1, WIDE_ENOUGH // max(picture.width, picture.height, 1))


def _shown_width(picture: Picture) -> int:
    """Return the columns of a picture with the margin that a frame needs."""
    return picture.width * _scale(picture) + (2 if picture.frame else 0)


def _width(picture: Picture) -> int:
    """Return the columns of a picture and its caption, which may be folded."""
    word = max((columns(word) for word in picture.caption.split()), default=0)
    return max(_shown_width(picture), word, min(columns(picture.caption), WIDE_ENOUGH))


def _in_rows(block: Pictures, width: int) -> list[list[Picture]]:
    rows: list[list[Picture]] = []
    used = 0
    for picture in block.items:
        more = _width(picture) + (GAP if used else 0)
        if not rows or used + more > width:
            rows.append([])
            used, more = 0, _width(picture)
        rows[-1].append(picture)
        used += more
    return rows


def _row(pictures: list[Picture], width: int, brush: Brush) -> Drawn:
    """Return a row of pictures; those that are less high stand on the ground of the highest."""
    muted, plain, inks = brush.style("muted"), brush.style(""), inks_of(brush.colours)
    blocks = []
    for picture in pictures:
        across = min(_width(picture), width)
        drawn, shown = _drawn(picture, _skips(picture, width), inks)
        blocks.append((across, drawn, shown, _folded(picture.caption, across)))
    high = max(len(drawn) for _, drawn, _, _ in blocks)
    low = max(len(caption) for _, _, _, caption in blocks)
    lines: Drawn = []
    for y in range(high + low):
        line: list[Segment] = []
        for place, (across, drawn, shown, caption) in enumerate(blocks):
            used, above = 0, high - len(drawn)
            if above <= y < high:
                line += drawn[y - above]
                used = shown
            elif high <= y < high + len(caption):
                line.append(Segment(caption[y - high], muted))
                used = columns(caption[y - high])
            gap = across - used + (GAP if place < len(blocks) - 1 else 0)
            line.append(Segment(" " * gap, plain))
        lines.append(line)
    return lines


def _skips(picture: Picture, width: int) -> int:
    """Return of how many pixels one is shown: a map wider than the room shows not all of them."""
    margin = 2 if picture.frame else 0
    return max(1, math.ceil(picture.width / max(1, width - margin)))


@lru_cache(maxsize=KEPT)
def _drawn(picture: Picture, skips: int, inks: Inks) -> tuple[Drawn, int]:
    """Return a picture's lines, which nobody may change, and its columns."""
    rows = pixels_of(picture, inks, _scale(picture), skips)
    return half_blocks(rows, inks.ground.rgb), len(rows[0]) if rows else 0


@lru_cache(maxsize=4 * KEPT)
def _folded(caption: str, width: int) -> tuple[str, ...]:
    return tuple(textwrap.wrap(caption, width))
