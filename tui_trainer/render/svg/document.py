"""Blocks of an exhibit as a standalone SVG document, for a paper or a page."""

from __future__ import annotations

import math
from collections.abc import Iterable

from tui_trainer.protocol.exhibit import Block, Exhibit, Words
from tui_trainer.render.svg.blocks import block_drawn
from tui_trainer.render.svg.drawn import lines, moved, stacked
from tui_trainer.render.svg.paint import PAPER
from tui_trainer.render.svg.plot import WIDTH
from tui_trainer.render.svg.text import SANS, SIZE, wrapped
from tui_trainer.text.escaping import xml_escape

MARGIN = 14
"""The blank around the content, in pixels."""

BETWEEN = 18
"""The distance of two blocks, in pixels."""

TITLE_SIZE = 18

_NAMESPACES = "xmlns='http://www.w3.org/2000/svg' xmlns:xlink='http://www.w3.org/1999/xlink'"


def exhibit_svg(title: str, blocks: Iterable[Block], *, description: str = "") -> str:
    """Return blocks below each other as one SVG document.

    It is light in every program, 668 pixels wide or as wide as its widest matrix or table, and
    needs nothing else: no scripts, style sheets, fonts or files. All text is escaped.

    Args:
        title: Its title, also drawn above the blocks; an empty one is not drawn.
        blocks: The blocks.
        description: What it shows, for those who cannot see it.
    """
    head = lines(
        wrapped(title, WIDTH, TITLE_SIZE, is_bold=True) if title else [],
        size=TITLE_SIZE,
        is_bold=True,
    )
    content = stacked([head, *(block_drawn(block, WIDTH) for block in blocks)], BETWEEN)
    width = math.ceil(max(content.width, WIDTH)) + 2 * MARGIN
    height = math.ceil(content.height) + 2 * MARGIN
    about = f"<desc>{xml_escape(description)}</desc>\n" if description else ""
    return (
        f"<svg {_NAMESPACES} width='{width}' height='{height}' "
        f"viewBox='0 0 {width} {height}' role='img' font-family=\"{SANS}\" font-size='{SIZE}'>\n"
        f"<title>{xml_escape(title)}</title>\n{about}"
        f"<rect width='{width}' height='{height}' fill='{PAPER}'/>\n"
        f"{moved(content, MARGIN, MARGIN)}\n</svg>\n"
    )


def answered(exhibit: Exhibit) -> tuple[Block, ...]:
    """Return the blocks of an exhibit, and its result with its evidence below them."""
    result = [Words(text=exhibit.result)] if exhibit.result else []
    evidence = [Words(text=exhibit.evidence, tone="muted")] if exhibit.evidence else []
    return (*exhibit.blocks, *result, *evidence)
