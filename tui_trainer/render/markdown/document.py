"""A document as Markdown (CommonMark with GitHub's tables), its pictures as SVG documents."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from tui_trainer.protocol.document import Code, Document, Items, Part
from tui_trainer.protocol.exhibit import Bars, Curves, Matrix, Pictures, Table, Words
from tui_trainer.render.block_lines import sign_of
from tui_trainer.text.escaping import markdown_escape
from tui_trainer.text.tables import markdown_table

Drawing = Pictures | Curves | Bars | Matrix
"""A block that Markdown shows as a picture."""


@dataclass(frozen=True, slots=True)
class DrawnBlock:
    """A block that is drawn.

    Attributes:
        name: Its name, unique in the document: that of its section and its number there.
        block: The block.
    """

    name: str
    block: Drawing

    @property
    def alternative(self) -> str:
        """What it shows, for those who cannot see it."""
        match self.block:
            case Pictures():
                captions = "; ".join(item.caption for item in self.block.items)
                return f"{self.block.caption}: {captions}" if self.block.caption else captions
            case Curves():
                names = ", ".join(curve.name for curve in self.block.curves)
                return f"{self.block.caption}: {names}"
            case Matrix() | Bars():
                return self.block.caption


Source = Callable[[DrawnBlock], str]
"""Stores a drawing, and returns the URL of its picture."""


def document_markdown(document: Document, source: Source) -> str:
    """Return a document as Markdown."""
    parts = [heading(1, document.title), *parts_markdown("document", document.parts, source)]
    for depth, section in document.walk():
        parts += [
            heading(depth + 1, section.title),
            *parts_markdown(section.name, section.parts, source),
        ]
    return "\n\n".join(parts) + "\n"


def heading(level: int, title: str) -> str:
    """Return a heading."""
    return f"{'#' * level} {markdown_escape(title)}"


def parts_markdown(name: str, parts: Sequence[Part], source: Source) -> Iterator[str]:
    """Yield the parts of a section; ``name`` is the section's name."""
    for number, part in enumerate(parts, start=1):
        match part:
            case Words():
                yield from _words(part)
            case Items():
                yield "\n".join(f"- {markdown_escape(text)}" for text in part.texts)
            case Code():
                yield fenced(part.text, part.language)
            case Table():
                yield from _caption(part.caption)
                yield "\n".join(markdown_table(part.heads, part.rows))
            case _:
                yield from _caption(part.caption)
                drawn = DrawnBlock(f"{name}-{number}", part)
                yield f"![{markdown_escape(drawn.alternative)}]({source(drawn)})"


def _words(words: Words) -> Iterator[str]:
    """Yield the paragraphs of a text; a finding or a remark of another tone is a quotation."""
    if words.is_preformatted:
        yield fenced(words.text, "")
        return
    for index, paragraph in enumerate(words.text.split("\n\n")):
        text = markdown_escape(paragraph if index else sign_of(words) + paragraph)
        if words.tone == "title":
            yield f"**{text}**"
        else:
            yield text if words.tone in ("plain", "muted") else f"> {text}"


def _caption(caption: str) -> Iterator[str]:
    if caption:
        yield f"**{markdown_escape(caption)}**"


def fenced(code: str, language: str) -> str:
    """Return code as a fenced block; its fence is longer than any run of backticks in it."""
    longest = max(map(len, re.findall("`+", code)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}{language}\n{code}\n{fence}"
