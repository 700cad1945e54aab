"""Where the blocks of an exhibit stand: below each other, or beside a picture that has room."""

from __future__ import annotations

from collections.abc import Sequence

from rich.segment import Segment

from tui_trainer.protocol.exhibit import Bars, Block, Curves, Matrix, Pictures, Table, Words
from tui_trainer.text.fmt import columns
from tui_trainer.ui.widgets.exhibit_lines import (
    bars_lines,
    bars_width,
    curves_lines,
    natural_width,
    table_lines,
    words_lines,
)
from tui_trainer.ui.widgets.exhibit_matrix import matrix_lines, matrix_width
from tui_trainer.ui.widgets.exhibit_pictures import Brush, Drawn, pictures_lines, pictures_width
from tui_trainer.ui.widgets.finding_lines import Lines

GAP = 3
"""Columns between a picture and what stands beside it."""

WORDS = 36
"""Columns that a paragraph needs beside a picture."""

OVER = 4
"""Lines by which what stands beside a picture may be longer than it."""


def exhibit_lines(blocks: Sequence[Block], width: int, height: int, brush: Brush) -> Drawn:
    """Return the blocks in lines of ``width`` columns; a plot has ``height`` lines."""
    lines: Drawn = []
    left = list(blocks)
    while left:
        block = left.pop(0)
        drawn = _drawn(block, width, height, brush)
        if isinstance(block, Pictures | Matrix):
            across = _needs(block)
            beside = _beside(left, width - across - GAP, len(drawn) + OVER, height, brush)
            if beside:
                # Its caption is folded to its own width then, that nothing be pushed aside.
                narrow = _drawn(block, across, height, brush)
                drawn = _side_by_side(narrow, beside, across, brush)
        lines += [[], *drawn] if lines else drawn
    return lines


def _drawn(block: Block, width: int, height: int, brush: Brush) -> Drawn:
    match block:
        case Words():
            return painted(words_lines(block, width), brush)
        case Table():
            return painted(table_lines(block, width), brush)
        case Bars():
            return painted(bars_lines(block, width), brush)
        case Curves():
            return painted(curves_lines(block, width, height), brush)
        case Pictures():
            return pictures_lines(block, width, brush)
        case Matrix():
            return matrix_lines(block, width, brush)


def painted(lines: Lines, brush: Brush) -> Drawn:
    """Return lines of text in the colours of the theme."""
    return [[Segment(cell.text, brush.style(cell.style)) for cell in line] for line in lines]


def _beside(left: list[Block], room: int, most: int, height: int, brush: Brush) -> Drawn:
    """Take the blocks that find room beside a picture from those left, and return their lines."""
    lines: Drawn = []
    while left and _needs(left[0]) <= room:
        drawn = _drawn(left[0], room, height, brush)
        if len(lines) + bool(lines) + len(drawn) > most:
            break
        lines += [[], *drawn] if lines else drawn
        left.pop(0)
    return lines


def _needs(block: Block) -> int:
    """Return how many columns a block needs beside a picture."""
    match block:
        case Words(keeps_lines=True):
            return max((columns(line) for line in block.text.splitlines()), default=0) + 2
        case Words():
            return WORDS
        case Table():
            return max(natural_width(block), WORDS)
        case Bars():
            return max(bars_width(block), WORDS)
        case Pictures():
            return pictures_width(block)
        case Curves():
            return WORDS + WORDS
        case Matrix():
            return matrix_width(block)


def _side_by_side(left: Drawn, right: Drawn, across: int, brush: Brush) -> Drawn:
    lines: Drawn = []
    for y in range(max(len(left), len(right))):
        begun = left[y] if y < len(left) else []
        blank = across + GAP - sum(segment.cell_length for segment in begun)
        gap = Segment(" " * blank, brush.style(""))
        lines.append([*begun, gap, *(right[y] if y < len(right) else [])])
    return lines
