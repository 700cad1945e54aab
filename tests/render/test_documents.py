"""A document as Markdown, HTML and a notebook: complete, and every text is only a text."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from typing import Any

import nbformat
import pytest
from markdown_it import MarkdownIt
from markdown_it.token import Token

from tests.headless.test_html_report import Page
from tests.render.documents import HOSTILE, document_of
from tui_trainer.headless.html_page import html_page
from tui_trainer.protocol.document import Code, Document, Items, Section
from tui_trainer.protocol.exhibit import Table, Words
from tui_trainer.render.html.document import document_html
from tui_trainer.render.markdown.document import DrawnBlock, document_markdown, fenced
from tui_trainer.render.markdown.notebook import document_notebook
from tui_trainer.text.fmt import one_line

PLAIN = Document(
    title="MNIST",
    parts=(Words(text="one\n\ntwo"), Words(text="so", tone="error")),
    sections=(
        Section(
            name="a",
            title="A",
            parts=(
                Table(caption="pairs", heads=("what", "n"), rows=(("x", "3"), ("y", "12"))),
                Code(text="mnist-tui --no-ui", language="sh"),
            ),
            sections=(Section(name="a-b", title="B", parts=(Items(texts=("c", "d")),)),),
        ),
        Section(name="e", title="E", parts=(Code(text="print(1)\nprint(2)", language="python"),)),
    ),
)
TEXT = """\
# MNIST

one

two

> ✗ so

## A

**pairs**

| what | n |
| --- | ---: |
| x | 3 |
| y | 12 |

```sh
mnist-tui --no-ui
```

### B

- c
- d

## E

```python
print(1)
print(2)
```
"""


def drawn(block: DrawnBlock) -> str:
    return f"pictures/{block.name}.svg"


def attached(block: DrawnBlock) -> tuple[str, bytes]:
    return f"{block.name}.svg", b"<svg/>"


def read(written: str) -> Any:
    """Return a notebook, which must be valid."""
    notebook = nbformat.reads(written, as_version=4)  # type: ignore[no-untyped-call]
    nbformat.validate(notebook)
    return notebook


def tokens_of(markdown: str) -> Iterator[Token]:
    parser = MarkdownIt("commonmark").enable(["table", "strikethrough"])
    pending = [*reversed(parser.parse(markdown))]
    while pending:
        token = pending.pop()
        yield token
        pending += reversed(token.children or [])


def skeleton(tokens: Sequence[Token]) -> list[str]:
    """Return the structure of a document without its texts."""
    names = [token.type for token in tokens]
    return [name for name in names if name not in ("text", "text_special", "html_inline")]


def test_markdown_is_as_a_person_writes_it() -> None:
    assert document_markdown(PLAIN, drawn) == TEXT


@pytest.mark.parametrize("text", HOSTILE)
def test_in_markdown_a_text_changes_no_structure(text: str) -> None:
    found = [*tokens_of(document_markdown(document_of(text), drawn))]

    expected = skeleton([*tokens_of(document_markdown(document_of("name"), drawn))])
    assert skeleton(found) == expected
    html = {token.content for token in found if token.type == "html_inline"}
    assert html <= {"<span>", "</span>"}, "which keep formulas from being one"
    links = {token.attrs["src"] for token in found if token.type == "image"}
    assert all(re.fullmatch(r"pictures/[a-z0-9-]+\.svg", str(link)) for link in links)
    shown = "".join(token.content for token in found if token.type in ("text", "text_special"))
    bare = re.sub("[\u2066-\u2069]", "", one_line(text))
    assert bare in re.sub("[\u2066-\u2069]", "", shown)


@pytest.mark.parametrize("text", HOSTILE)
def test_no_formula_is_left_on_the_page(text: str) -> None:
    """MathJax looks for delimiters in the page's text, up to the next element."""
    markdown = document_markdown(document_of(text), drawn)
    outside = re.sub(r"^(`{3,}|~{3,}).*?^\1$", "", markdown, flags=re.DOTALL | re.MULTILINE)
    assert "$" not in outside
    page = MarkdownIt("commonmark").enable("table").render(outside)
    for element in re.split(r"<[^>]*>", page):
        assert not re.search(r"\\[(\[]", element)


@pytest.mark.parametrize("text", HOSTILE)
def test_in_html_a_text_changes_no_structure(text: str) -> None:
    read = Page(html_page(text, document_html(document_of(text))))
    plain = Page(html_page("name", document_html(document_of("name"))))

    assert read.names == plain.names
    # The alignment of a cell depends on its text.
    names = [[each[:2] for each in page.attributes if each[1] != "class"] for page in (read, plain)]
    assert names[0] == names[1]
    assert {value for _, name, value in read.attributes if name == "href"} == {"#step-1"}


def test_html_has_its_sections_and_their_anchors() -> None:
    read = Page(html_page("MNIST", document_html(PLAIN)))

    assert read.values("section", "id") == ["a", "e"]
    assert "a-b" in read.values("div", "id")
    assert read.values("a", "href") == ["#a", "#e"]
    assert [name for name in read.names if re.fullmatch(r"h\d", name)] == ["h1", "h2", "h3", "h2"]
    assert "print(1)\nprint(2)" in read.words


def test_a_notebook_runs_python_and_shows_the_rest() -> None:
    notebook = read(document_notebook(PLAIN, attached))

    kinds = [cell.cell_type for cell in notebook.cells]
    assert kinds == ["markdown", "markdown", "markdown", "markdown", "code"]
    assert notebook.cells[-1].source == "print(1)\nprint(2)"
    texts = "\n\n".join(cell.source for cell in notebook.cells[:-1])
    assert texts == TEXT.partition("\n\n```python")[0]


@pytest.mark.parametrize("text", HOSTILE)
def test_a_notebook_is_valid_with_any_text(text: str) -> None:
    written = document_notebook(document_of(text), attached)
    notebook = read(written)

    assert len({cell.id for cell in notebook.cells}) == len(notebook.cells)
    for cell in notebook.cells:
        named = set(re.findall(r"\(attachment:([^)]+)\)", cell.source))
        assert named == set(cell.get("attachments", {}))
    for line in json.loads(written)["cells"][0]["source"]:
        assert line.count("\n") <= 1


def test_code_with_backticks_stays_in_its_fence() -> None:
    assert fenced("a ``` b", "sh") == "````sh\na ``` b\n````"
