"""Lines of cells: what a window colours, and plain text prints as it is."""

from __future__ import annotations

import textwrap
from collections.abc import Collection, Iterable, Sequence

from tui_trainer.text.fmt import Cell, clip, columns

Lines = list[list[Cell]]

PROSE = 76
"""Columns beyond which a line of prose is tiring to read."""


def paragraph(words: str, role: str, width: int, *, indent: int = 0, hanging: int = 0) -> Lines:
    """Return a text wrapped to ``width`` columns, in the colour of a role.

    ``hanging`` is by how much its second line and those below are further to the right.
    """
    margin = " " * indent
    wrapped = textwrap.wrap(
        words,
        max(10, width),
        initial_indent=margin,
        subsequent_indent=margin + " " * hanging,
        break_on_hyphens=False,
    )
    return [[Cell(line, style=role)] for line in wrapped]


def paragraphs(words: str, role: str, width: int) -> Lines:
    """Return paragraphs with a blank line between two, as there is in the text."""
    lines: Lines = []
    for part in words.split("\n\n"):
        lines += [[], *paragraph(part, role, width)]
    return lines[1:]


def kept_lines(text: str, role: str, width: int) -> Lines:
    """Return the lines of a text as they are; one that is too long goes on further to the right."""
    lines: Lines = []
    for line in text.splitlines():
        indent = " " * (len(line) - len(line.lstrip()) + 4)
        fits = columns(line) <= width
        pieces = [line] if fits else textwrap.wrap(line, width, subsequent_indent=indent)
        lines += [[Cell(piece, style=role)] for piece in pieces]
    return lines


def padded(text: str, width: int, *, is_right: bool = False) -> str:
    """Return a text in exactly ``width`` columns, cut or filled with blanks."""
    text = clip(text, width)
    blanks = " " * (width - columns(text))
    return blanks + text if is_right else text + blanks


def aligned(rows: Sequence[Sequence[str]], right: Collection[int] = ()) -> list[list[str]]:
    """Return rows of texts with each column as wide as its widest, those of ``right`` flush right.

    The rows have one length.
    """
    widths = [max(map(columns, column)) for column in zip(*rows, strict=True)]
    return [
        [
            padded(text, width, is_right=place in right)
            for place, (text, width) in enumerate(zip(row, widths, strict=True))
        ]
        for row in rows
    ]


def flowed(pieces: Iterable[Sequence[Cell]], width: int, gap: int) -> Lines:
    """Return pieces with blanks between them, as many in a line as fit.

    The blanks at the end of a piece need not fit.
    """
    lines: Lines = []
    used = 0
    for piece in pieces:
        told = columns("".join(cell.text for cell in piece).rstrip())
        if not lines or used + gap + told > width:
            lines.append([])
            used = 0
        lines[-1] += [*([Cell(" " * gap)] if used else []), *piece]
        used += line_width(piece) + (gap if used else 0)
    return lines


def line_width(line: Iterable[Cell]) -> int:
    """Return the columns of a line."""
    return sum(columns(cell.text) for cell in line)


def plain(lines: Iterable[Sequence[Cell]]) -> list[str]:
    """Return lines as text without colours, and without blanks at their ends."""
    return ["".join(cell.text for cell in line).rstrip() for line in lines]
