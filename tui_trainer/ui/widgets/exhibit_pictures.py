"""Maps of numbers as pictures of half blocks, side by side as many as fit."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Mapping
from dataclasses import dataclass

from rich.segment import Segment
from textual.color import Color
from textual.widget import Widget

from tui_trainer.run.exhibit import Picture, Pictures
from tui_trainer.run.text import columns
from tui_trainer.ui.widgets.finding_lines import paragraph
from tui_trainer.ui.widgets.half_blocks import Pixel, half_blocks
from tui_trainer.ui.widgets.painting import Styles, role_styles

Drawn = list[list[Segment]]

GAP = 3
"""Columns between two pictures."""

WIDE_ENOUGH = 14
"""A picture of fewer pixels is drawn larger, up to this width."""

SIGNED = ("■ below 0", "■ above 0")

NEGATIVE, POSITIVE, FRAME = "validation", "train", "intervention"
"""The roles of what is below 0 and above it, and of the rectangle that is marked."""


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
    names = ("background", "foreground", "panel", "role-wrong")
    roles = (f"role-{role}" for role in (NEGATIVE, POSITIVE, FRAME))
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
    blocks = []
    for picture in pictures:
        across = min(_width(picture), width)
        drawn = half_blocks(_pixels(picture, width, brush), brush.colours["background"].rgb)
        folded = textwrap.wrap(picture.caption, across)
        blocks.append((across, drawn, [[Segment(line, brush.style("muted"))] for line in folded]))
    high = max(len(drawn) for _, drawn, _ in blocks)
    low = max(len(caption) for _, _, caption in blocks)
    lines: Drawn = []
    for y in range(high + low):
        line: list[Segment] = []
        for place, (across, drawn, caption) in enumerate(blocks):
            row: Drawn = [*([[]] * (high - len(drawn))), *drawn, *caption]
            piece = row[y] if y < len(row) else []
            blank = across - sum(segment.cell_length for segment in piece)
            gap = blank + (GAP if place < len(blocks) - 1 else 0)
            line += [*piece, Segment(" " * gap, brush.style(""))]
        lines.append(line)
    return lines


def _pixels(picture: Picture, width: int, brush: Brush) -> list[list[Pixel]]:
    """Return the colours of a picture's pixels, row by row, its frame around those it marks."""
    scale = _scale(picture)
    margin = 1 if picture.frame else 0
    # A map wider than there is room for shows every other pixel, or fewer.
    skips = max(1, math.ceil(picture.width / max(1, width - 2 * margin)))
    colours = [_colour(value, picture, brush) for value in picture.values]
    rows = [
        [
            colours[y // scale * picture.width + x // scale]
            for x in range(0, picture.width * scale, skips)
        ]
        for y in range(0, picture.height * scale, skips)
    ]
    if picture.frame is None:
        return rows
    ground = brush.colours["panel"].rgb
    across = len(rows[0]) + 2 if rows else 2
    framed = [
        [ground] * across,
        *([ground, *row, ground] for row in rows),
        [ground] * across,
    ]
    _mark(framed, picture.frame, scale / skips, brush.colours[f"role-{FRAME}"].rgb)
    return framed


def _mark(
    rows: list[list[Pixel]], frame: tuple[int, int, int, int], scale: float, line: Pixel
) -> None:
    """Draw a rectangle just outside of what it marks; a side that is off the picture stays open."""
    top, left = int(frame[0] * scale), int(frame[1] * scale)
    bottom = int((frame[0] + frame[2]) * scale) + 1
    right = int((frame[1] + frame[3]) * scale) + 1
    for y in range(max(0, top), min(bottom + 1, len(rows))):
        for x in range(max(0, left), min(right + 1, len(rows[y]))):
            if y in (top, bottom) or x in (left, right):
                rows[y][x] = line


def _colour(value: float, picture: Picture, brush: Brush) -> Pixel:
    """Return the colour of one number; of none at all, that of what is wrong."""
    colours = brush.colours
    if math.isnan(value):
        return colours["role-wrong"].rgb
    if picture.is_signed:
        most = max(-picture.low, picture.high) or 1.0
        share = min(1.0, max(-1.0, value / most))
        return _shade(colours, f"role-{POSITIVE if share > 0 else NEGATIVE}", abs(share))
    span = picture.high - picture.low
    share = min(1.0, max(0.0, (value - picture.low) / span)) if span > 0 else 0.0
    return _shade(colours, "foreground", share)


def _shade(colours: Mapping[str, Color], end: str, share: float) -> Pixel:
    return colours["background"].blend(colours[end], round(share * 255) / 255).rgb
