"""An exhibit as lines of cells: blocks below each other, or next to a picture if there is room."""

from __future__ import annotations

from collections.abc import Sequence

from tui_trainer.protocol.exhibit import Bars, Block, Curves, Matrix, Pictures, Table, Words
from tui_trainer.render.block_lines import (
    bars_lines,
    bars_width,
    matrix_lines,
    matrix_width,
    table_lines,
    table_width,
    words_lines,
)
from tui_trainer.render.curve_lines import curves_lines
from tui_trainer.render.medium import Medium
from tui_trainer.render.picture_rows import pictures_lines, pictures_width
from tui_trainer.text.fmt import Cell, columns
from tui_trainer.text.lines import Lines, line_width

GAP = 3
"""Columns between a picture and the blocks next to it."""

WORDS = 36
"""The minimum width of a paragraph next to a picture."""

OVER = 4
"""Lines by which the blocks next to a picture may exceed it."""


def exhibit_lines(blocks: Sequence[Block], width: int, height: int, medium: Medium) -> Lines:
    """Return the blocks in lines of ``width`` columns; a plot has ``height`` lines."""
    lines: Lines = []
    left = list(blocks)
    while left:
        block = left.pop(0)
        drawn = _drawn(block, width, height, medium)
        if isinstance(block, Pictures | Matrix):
            across = _needs(block, medium)
            adjacent = _blocks_next_to(
                left, width - across - GAP, len(drawn) + OVER, height, medium
            )
            if adjacent:
                # Wrap its caption to the picture's width so that it does not push the blocks away.
                drawn = _side_by_side(_drawn(block, across, height, medium), adjacent, across)
        lines += [[], *drawn] if lines else drawn
    return lines


def _drawn(block: Block, width: int, height: int, medium: Medium) -> Lines:
    match block:
        case Words():
            return words_lines(block, width)
        case Table():
            return table_lines(block, width, has_rule=not medium.has_color)
        case Bars():
            return bars_lines(block, width)
        case Curves():
            return curves_lines(block, width, height, has_color=medium.has_color)
        case Pictures():
            return pictures_lines(block, width, medium)
        case Matrix():
            return matrix_lines(block, width)


def _blocks_next_to(left: list[Block], room: int, most: int, height: int, medium: Medium) -> Lines:
    """Remove the blocks that fit next to a picture from those left, and return their lines."""
    lines: Lines = []
    while left and _needs(left[0], medium) <= room:
        drawn = _drawn(left[0], room, height, medium)
        if len(lines) + bool(lines) + len(drawn) > most:
            break
        lines += [[], *drawn] if lines else drawn
        left.pop(0)
    return lines


def _needs(block: Block, medium: Medium) -> int:
    """Return the width that a block needs next to a picture."""
    match block:
        case Words(is_preformatted=True):
            return max((columns(line) for line in block.text.splitlines()), default=0) + 2
        case Words():
            return WORDS
        case Table():
            return max(table_width(block), WORDS)
        case Bars():
            return max(bars_width(block), WORDS)
        case Pictures():
            return pictures_width(block, medium)
        case Curves():
            return WORDS + WORDS
        case Matrix():
            return matrix_width(block)


def _side_by_side(left: Lines, right: Lines, across: int) -> Lines:
    lines: Lines = []
    for y in range(max(len(left), len(right))):
        begun = left[y] if y < len(left) else []
        gap = Cell(" " * (across + GAP - line_width(begun)))
        lines.append([*begun, gap, *(right[y] if y < len(right) else [])])
    return lines
