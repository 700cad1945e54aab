"""A document with every kind of block, and texts that try to be more than text."""

from __future__ import annotations

from tui_trainer.protocol.document import Code, Document, Items, Section
from tui_trainer.protocol.exhibit import (
    Bar,
    Bars,
    Curve,
    Curves,
    Matrix,
    Picture,
    Pictures,
    Table,
    Words,
)

HOSTILE = (
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "=cmd()",
    "| a | [x](javascript:alert(1))",
    "![x](https://example.org/x.png)",
    "[a]: javascript:alert(1)",
    "`code` ``` ~~~",
    "$x^2$ $$y$$ \\(z\\) \\[z\\]",
    "# heading",
    "---",
    "- item",
    "1. item",
    "> quotation",
    "**bold** _it_ __it__ ~~no~~",
    "two\n# lines\r\n- three",
    "    indented",
    "&lt;b&gt; &amp; &#60;",
    "' onmouseover='alert(1)",
    "see https://example.org and www.example.org",
    "שלום (3) עולם",
    "a\u202egnp.exe\u2066",
    "\x1b[31m\x00",
    "*",
    "+",
    "===",
)
"""Names, notes, tags and targets as people could type them."""


def document_of(text: str) -> Document:
    """Return a document that has a text in every place that can have one."""
    picture = Picture(caption=text, height=1, width=2, values=(0.0, 1.0), low=0.0, high=1.0)
    parts = (
        Words(text=text),
        Words(text=text, tone="warning"),
        Words(text=text, tone="title"),
        Words(text=text, is_preformatted=True),
        Items(texts=(text, text)),
        Table(caption=text, heads=(text, text), rows=((text, text), (text, text))),
        Pictures(caption=text, items=(picture,)),
        Curves(caption=text, x_label=text, curves=(Curve(name=text, x=(0.0, 1.0), y=(1.0, 2.0)),)),
        Bars(caption=text, bars=(Bar(label=text, share=0.5, number=text),)),
        Matrix(
            caption=text,
            row_label=text,
            column_label=text,
            heads=(text,),
            texts=((text,),),
            intensities=((0.0,),),
            cell=(0, 0),
            controls=("true", "predicted"),
        ),
        Code(text=text, language="sh"),
    )
    inner = Section(name="step-1-result", title=text, parts=parts)
    return Document(
        title=text,
        parts=parts,
        sections=(Section(name="step-1", title=text, parts=parts, sections=(inner,)),),
    )
