"""A document as the body of an HTML page."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from tui_trainer.protocol.document import Code, Document, Items, Part, Section
from tui_trainer.render.html.blocks import blocks_html
from tui_trainer.text.escaping import html_escape
from tui_trainer.text.fmt import one_line

DEEPEST = 6
"""HTML has headings of this many levels."""


def document_html(document: Document) -> str:
    """Return a document as HTML: title, contents, sections."""
    contents = "".join(
        f"<li><a href='#{section.name}'>{html_escape(one_line(section.title))}</a></li>"
        for section in document.sections
    )
    nav = f"<nav aria-label='contents'><div><ul>{contents}</ul></div></nav>\n" if contents else ""
    return (
        f"<header>\n<h1>{html_escape(one_line(document.title))}</h1>\n{_parts(document.parts)}\n{nav}"
        f"</header>\n{_sections(document.sections, 2)}"
    )


def _sections(sections: Sequence[Section], level: int) -> str:
    return "\n".join(_section(section, level) for section in sections)


def _section(section: Section, level: int) -> str:
    """Return a section; only the outermost ones are set apart by a line."""
    heading = f"h{min(level, DEEPEST)}"
    content = (
        f"<{heading}>{html_escape(one_line(section.title))}</{heading}>\n{_parts(section.parts)}\n"
        f"{_sections(section.sections, level + 1)}"
    )
    element = "section" if level == 2 else "div"
    return f"<{element} id='{section.name}'>\n{content}\n</{element}>"


def _parts(parts: Sequence[Part]) -> str:
    return "\n".join(map(_part, parts))


def _part(part: Part) -> str:
    match part:
        case Items():
            items = "".join(f"<li>{html_escape(one_line(text))}</li>" for text in part.texts)
            return f"<ul class='items'>{items}</ul>"
        case Code():
            return f"<pre><code>{escape(part.text)}</code></pre>"
        case _:
            return blocks_html([part])
