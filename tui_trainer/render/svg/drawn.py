"""Drawings that are put together: elements with a size, and lines of text."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from tui_trainer.render.svg.paint import INK, QUIET
from tui_trainer.render.svg.text import LINE, SIZE, kept_blanks, text_width
from tui_trainer.text.escaping import xml_escape


@dataclass(frozen=True, slots=True)
class Drawn:
    """Elements of an SVG document, with the origin at their upper left corner.

    Attributes:
        svg: The elements.
        width: Their width in pixels.
        height: Their height in pixels.
    """

    svg: str
    width: float
    height: float


def moved(drawn: Drawn, x: float, y: float) -> str:
    """Return a drawing's elements at another place."""
    return f"<g transform='translate({x:g} {y:g})'>{drawn.svg}</g>" if x or y else drawn.svg


def stacked(drawings: Iterable[Drawn], gap: float = 0.0) -> Drawn:
    """Return drawings below each other; those without a height are left out."""
    parts, width, bottom = list[str](), 0.0, 0.0
    for drawn in drawings:
        if drawn.height:
            top = bottom + gap if parts else 0.0
            parts.append(moved(drawn, 0, top))
            width, bottom = max(width, drawn.width), top + drawn.height
    return Drawn("\n".join(parts), width, bottom)


def text(
    words: str,
    x: float,
    y: float,
    *,
    fill: str = INK,
    size: float = SIZE,
    anchor: str = "start",
    is_bold: bool = False,
) -> str:
    """Return a text whose baseline is at ``y``; nothing for an empty one."""
    if not words.strip():
        return ""
    more = f" text-anchor='{anchor}'" if anchor != "start" else ""
    more += f" font-size='{size:g}'" if size != SIZE else ""
    more += " font-weight='bold'" if is_bold else ""
    shown = xml_escape(kept_blanks(words))
    return f"<text x='{x:g}' y='{y:g}' fill='{fill}'{more}>{shown}</text>"


def lines(
    words: Sequence[str], *, fill: str = INK, size: float = SIZE, is_bold: bool = False
) -> Drawn:
    """Return lines of text below each other."""
    leading = LINE * size / SIZE
    parts = (
        text(line, 0, index * leading + size, fill=fill, size=size, is_bold=is_bold)
        for index, line in enumerate(words)
    )
    width = max((text_width(line, size, is_bold=is_bold) for line in words), default=0.0)
    return Drawn("".join(parts), width, len(words) * leading)


def rect(x: float, y: float, width: float, height: float, attributes: str) -> str:
    """Return a rectangle."""
    return f"<rect x='{x:g}' y='{y:g}' width='{width:g}' height='{height:g}' {attributes}/>"


def rule(x: float, y: float, width: float) -> str:
    """Return a horizontal line."""
    return f"<path d='M{x:g} {y:g}h{width:g}' stroke='{QUIET}' stroke-width='.8'/>"
