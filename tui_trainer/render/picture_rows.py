"""Pictures of an exhibit side by side, as many as fit into a row."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from tui_trainer.protocol.exhibit import Picture, Pictures
from tui_trainer.render.block_lines import caption_lines
from tui_trainer.render.medium import Medium
from tui_trainer.text.fmt import Cell, columns
from tui_trainer.text.lines import Lines, line_width, wrap

GAP = 3
"""Columns between two pictures."""

MAX_CAPTION = 14
"""The width up to which a caption widens its picture's column; a longer one is wrapped."""


@dataclass(frozen=True, slots=True)
class Placed:
    """A drawn picture, its width, the caption lines below it, and the width of both."""

    drawn: Lines
    shown: int
    below: Sequence[str]
    width: int


def pictures_lines(block: Pictures, width: int, medium: Medium) -> Lines:
    """Return pictures in rows, each with its complete caption below it."""
    lines = [*caption_lines(block.caption, width), *_keys(block, medium)]
    placed = [_placed(picture, width, medium) for picture in block.items]
    while placed:
        fits, used = 1, placed[0].width
        while fits < len(placed) and used + GAP + placed[fits].width <= width:
            used += GAP + placed[fits].width
            fits += 1
        row, placed = placed[:fits], placed[fits:]
        lines += [*_row(row), *([[]] if placed else [])]
    return lines


def pictures_width(block: Pictures, medium: Medium) -> int:
    """Return the width of all pictures side by side."""
    placed = [_placed(picture, sys.maxsize, medium) for picture in block.items]
    keys = max(map(line_width, _keys(block, medium)), default=0)
    return max(keys, sum(each.width for each in placed) + GAP * (len(placed) - 1))


def _keys(block: Pictures, medium: Medium) -> Lines:
    """Return the keys for the kinds of pictures in the block."""
    kinds = {(picture.channels, not picture.is_signed) for picture in block.items}
    keys = (
        medium.key(is_color=channels == 3, is_signed=not is_unsigned)
        for channels, is_unsigned in sorted(kinds)
    )
    return [list(key) for key in keys if key]


def _placed(picture: Picture, width: int, medium: Medium) -> Placed:
    drawn = medium.draw(picture, width)
    has_ends = not (medium.has_color or (picture.is_color and not picture.is_signed))
    ends = picture.ends if has_ends else ""
    shown = line_width(drawn[0]) if drawn else 0
    # Captions are wrapped between words, never inside one.
    words = [*picture.caption.split(), ends]
    room = max(shown, *map(columns, words), min(columns(picture.caption), MAX_CAPTION))
    below = _folded(picture.caption, min(room, width))
    return Placed(drawn, shown, [*below, ends] if ends else below, min(room, width))


def _row(placed: Sequence[Placed]) -> Lines:
    """Return a row of pictures, aligned at the bottom."""
    high = max(len(each.drawn) for each in placed)
    low = max(len(each.below) for each in placed)
    lines: Lines = [[] for _ in range(high + low)]
    for index, each in enumerate(placed):
        gap = GAP if index < len(placed) - 1 else 0
        above = high - len(each.drawn)
        blank, adjacent = (
            Cell(" " * (each.width + gap)),
            Cell(" " * (each.width - each.shown + gap)),
        )
        for y, line in enumerate(lines):
            if above <= y < high:
                line += [*each.drawn[y - above], adjacent]
            elif high <= y < high + len(each.below):
                words = each.below[y - high]
                line += [
                    Cell(words, style="muted"),
                    Cell(" " * (each.width - columns(words) + gap)),
                ]
            else:
                line.append(blank)
    return lines


@lru_cache(maxsize=256)
def _folded(caption: str, width: int) -> tuple[str, ...]:
    return tuple(wrap(caption, width))
