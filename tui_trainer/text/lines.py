"""Lines of cells: colored in the window, printed plainly elsewhere."""

from __future__ import annotations

import textwrap
from collections.abc import Collection, Iterable, Sequence

from tui_trainer.text.fmt import Cell, clip, columns, cut

Lines = list[list[Cell]]

PROSE = 76
"""The maximum width of prose, in columns."""


UNWRAPPED = 100_000
"""A width at which no text is wrapped."""


def paragraph(text: str, role: str, width: int, *, indent: int = 0, hanging: int = 0) -> Lines:
    """Return a text wrapped to ``width`` columns, in the color of a role.

    ``hanging`` is the additional indent of all lines after the first.
    """
    margin = " " * indent
    wrapped = wrap(text, max(10, width), first=margin, rest=margin + " " * hanging)
    return [[Cell(line, style=role)] for line in wrapped]


def wrap(text: str, width: int, *, first: str = "", rest: str = "") -> list[str]:
    """Return a text in lines of at most ``width`` columns; only a longer word is broken.

    ``first`` and ``rest`` indent the first line and the others.
    """
    if columns(text) == len(text):
        return textwrap.wrap(
            text, width, initial_indent=first, subsequent_indent=rest, break_on_hyphens=False
        )
    lines, line = list[str](), ""
    for word in text.split():
        left, room = word, width - columns(rest if lines else first)
        if line and columns(f"{line} {left}") <= room:
            line = f"{line} {left}"
            continue
        lines += [line] if line else []
        room = width - columns(rest if lines else first)
        while columns(left) > room:
            piece = cut(left, max(2, room))
            lines.append(piece)
            left, room = left[len(piece) :], width - columns(rest)
        line = left
    lines += [line] if line else []
    return [f"{rest if place else first}{each}" for place, each in enumerate(lines)]


def paragraphs(words: str, role: str, width: int) -> Lines:
    """Return wrapped paragraphs, separated by blank lines as in the text."""
    lines: Lines = []
    for part in words.split("\n\n"):
        lines += [[], *paragraph(part, role, width)]
    return lines[1:]


def kept_lines(text: str, role: str, width: int) -> Lines:
    """Return preformatted lines; a line that is too long continues with a larger indent."""
    lines: Lines = []
    for line in text.splitlines():
        indent = " " * (len(line) - len(line.lstrip()) + 4)
        fits = columns(line) <= width
        pieces = [line] if fits else textwrap.wrap(line, width, subsequent_indent=indent)
        lines += [[Cell(piece, style=role)] for piece in pieces]
    return lines


def padded(text: str, width: int, *, is_right: bool = False) -> str:
    """Return a text in exactly ``width`` columns, truncated or padded."""
    text = clip(text, width)
    blanks = " " * (width - columns(text))
    return blanks + text if is_right else text + blanks


def aligned(rows: Sequence[Sequence[str]], right: Collection[int] = ()) -> list[list[str]]:
    """Return rows padded to the width of each column; columns in ``right`` are right-aligned.

    All rows have the same length.
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
    """Return pieces laid out in lines, with a gap between two pieces.

    Blanks at the end of a piece may extend beyond ``width``.
    """
    lines: Lines = []
    used = 0
    for piece in pieces:
        visible = columns("".join(cell.text for cell in piece).rstrip())
        if not lines or used + gap + visible > width:
            lines.append([])
            used = 0
        lines[-1] += [*([Cell(" " * gap)] if used else []), *piece]
        used += line_width(piece) + (gap if used else 0)
    return lines


def line_width(line: Iterable[Cell]) -> int:
    """Return the width of a line in columns."""
    return sum(columns(cell.text) for cell in line)


def plain(lines: Iterable[Sequence[Cell]]) -> list[str]:
    """Return lines as text, without colors and trailing blanks."""
    return ["".join(cell.text for cell in line).rstrip() for line in lines]
