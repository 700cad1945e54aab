"""Documents: sections of blocks that a renderer writes as Markdown, HTML or a notebook."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from tui_trainer.protocol.exhibit import Block


@dataclass(frozen=True, slots=True, kw_only=True)
class Items:
    """A list of short texts, one below the other."""

    texts: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Code:
    """A program, or commands, written unchanged.

    Attributes:
        text: The code, without a newline at its end.
        language: ``python``, which a notebook runs, or ``sh``.
    """

    text: str
    language: str


Part = Block | Items | Code


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """A section of a document.

    Attributes:
        name: Its name, unique in the document: letters of ``a-z``, digits and hyphens. It names its
            anchor and its picture files.
        title: Its title, as plain text.
        parts: Its content, before its own sections.
        sections: The sections in it.
    """

    name: str
    title: str
    parts: tuple[Part, ...] = ()
    sections: tuple[Section, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """A document.

    Attributes:
        title: Its title, as plain text.
        parts: What it begins with.
        sections: Its sections.
    """

    title: str
    parts: tuple[Part, ...] = ()
    sections: tuple[Section, ...] = ()

    def walk(self) -> Iterator[tuple[int, Section]]:
        """Yield all sections in order, each with its depth from 1."""
        pending = [(1, section) for section in reversed(self.sections)]
        while pending:
            depth, section = pending.pop()
            yield depth, section
            pending += [(depth + 1, inner) for inner in reversed(section.sections)]
