"""The pages, and what is in them: links, anchors, code blocks."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGES = sorted(
    [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").glob("*.md")],
    key=lambda path: path.name,
)

_FENCE = re.compile(r"^( *)```(\w*)\n(.*?)^\1```$", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"(?<!`)!?\[[^\]]*\]\(([^)\s]+)\)")
_HEADING = re.compile(r"^#+ +(.+?)\s*$", re.MULTILINE)
_CODE = re.compile(r"`([^`\n]+)`")


@dataclass(frozen=True, slots=True)
class Block:
    """A code block.

    Attributes:
        page: Its page, relative to the checkout.
        line: The line of its first line of code.
        language: What stands behind the backquotes.
        text: The code.
        is_excerpt: Whether it is a step of a list, to be put into a larger file.
    """

    page: str
    line: int
    language: str
    text: str
    is_excerpt: bool = False

    @property
    def file(self) -> str:
        """The name of the file that it shows, as its first comment says; empty for none."""
        named = re.match(r"# (?:\S*/)?([\w.-]+\.(?:toml|py))\b", self.text)
        return named[1] if named else ""


def name_of(page: Path) -> str:
    """Return the path of a page from the top of the checkout."""
    return page.relative_to(ROOT).as_posix()


def text_of(page: Path) -> str:
    """Return a page."""
    return page.read_text(encoding="utf-8")


def blocks(page: Path) -> list[Block]:
    """Return the code blocks of a page."""
    text = text_of(page)
    return [
        Block(
            name_of(page),
            text.count("\n", 0, found.start()) + 2,
            found[2],
            textwrap.dedent(found[3]),
            is_excerpt=bool(found[1]),
        )
        for found in _FENCE.finditer(text)
    ]


def prose(page: Path) -> str:
    """Return a page without its code blocks; its lines keep their numbers."""
    return _FENCE.sub(lambda found: "\n" * found[0].count("\n"), text_of(page))


def code_spans(page: Path) -> Iterator[tuple[int, str]]:
    """Yield (line, code) for each code in backquotes within a sentence or a table."""
    text = prose(page)
    for found in _CODE.finditer(text):
        yield text.count("\n", 0, found.start()) + 1, found[1]


def anchors(page: Path) -> set[str]:
    """Return the anchors of a page's headings, as GitHub makes them."""
    found: dict[str, int] = {}
    for heading in _HEADING.findall(prose(page)):
        words = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).lower()
        anchor = re.sub(r"[^\w\- ]", "", words).replace(" ", "-")
        found[anchor if anchor not in found else f"{anchor}-{found[anchor]}"] = 1
        found[anchor] = found.get(anchor, 0) + 1
    return set(found)


def broken_links(page: Path) -> list[str]:
    """Return what is wrong with the links and pictures of a page, a line each."""
    problems = []
    for line, target in links(page):
        path, _, anchor = target.partition("#")
        there = (page.parent / path).resolve() if path else page
        where = f"{name_of(page)}:{line}: {target}"
        if not there.exists():
            problems.append(f"{where}: there is no such file")
        elif not there.is_relative_to(ROOT):
            problems.append(f"{where}: outside of the checkout")
        elif anchor and (there.suffix != ".md" or anchor not in anchors(there)):
            problems.append(f"{where}: there is no such heading")
    return problems


def links(page: Path, *, external: bool = False) -> Iterator[tuple[int, str]]:
    """Yield (line, target) for the links within the checkout, or for those that lead outside."""
    text = prose(page)
    for found in _LINK.finditer(text):
        if found[1].startswith(("http:", "https:")) is external:
            yield text.count("\n", 0, found.start()) + 1, found[1]
