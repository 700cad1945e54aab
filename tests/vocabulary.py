"""Count the words that this project does not use: ``python -m tests.vocabulary [PATH ...]``.

The words and their exceptions are in ``vocabulary.toml``. Without a path it counts the words of
the package, its texts and the documents; with paths it lists each place. ``--in CHECKOUT`` reads
another checkout, to compare with.
"""

from __future__ import annotations

import argparse
import ast
import io
import re
import tokenize
import tomllib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
TABLE = tomllib.loads((ROOT / "tests" / "vocabulary.toml").read_text(encoding="utf-8"))
KINDS = ("name", "string", "docstring", "comment", "page")
"""Where a word occurs; ``string`` includes TOML texts, ``page`` is a document."""

_FILES = ("README.md", "CONTRIBUTING.md", "CHANGELOG.md", "pyproject.toml")
_OTHERS = {"datasets", "runs_0_1", "runs_schema_2"}
"""Folders of what others wrote, or an older version."""

_BEFORE, _AFTER = r"(?<![\w-])(?:", r")(?![\w-])"
"""The ends of a pattern of texts: no part of a longer word."""

_JOINT = re.compile(r"""["'](?:\s|#[^\n]*\n)*[fFrRbBuU]{0,2}["']""")
"""Where one string literal ends and the next one continues it."""

_REACH = 80
"""More characters than a pattern of texts has on one side of a joint."""

_NO_CODE = re.compile(
    r'''"""(?:\\.|[^\\])*?"""|'{3}(?:\\.|[^\\])*?'{3}'''
    r"""|"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*'|#[^\n]*""",
    re.DOTALL,
)
"""A string literal or a comment."""

_LOWERED = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")


@dataclass(frozen=True, slots=True, eq=False)
class Word:
    """A line of the glossary."""

    old: str
    use: str
    names: re.Pattern[str] | None
    texts: re.Pattern[str] | None


@dataclass(frozen=True, slots=True)
class Place:
    """Where a word stands."""

    path: str
    line: int
    kind: str
    word: Word
    text: str

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: {self.kind}: {self.text} -> {self.word.use}"


@dataclass(frozen=True, slots=True)
class Allowed:
    """A text in which a word is right, with the reason."""

    text: re.Pattern[str]
    path: str
    reason: str
    kinds: tuple[str, ...]

    def covers(self, place: Place) -> bool:
        """Whether the word is right in that place."""
        return (
            place.path.startswith(self.path)
            and place.kind in self.kinds
            and self.text.search(place.text) is not None
        )


def words(table: dict[str, Any]) -> tuple[Word, ...]:
    """Return the words of the table of ``vocabulary.toml``."""
    return tuple(
        Word(
            word["old"],
            word["use"],
            _names(word["names"], whole=word.get("whole_name", False)) if "names" in word else None,
            _text(word["texts"]) if "texts" in word else None,
        )
        for word in table["word"]
    )


def allowed(table: dict[str, Any]) -> list[Allowed]:
    """Return what is allowed by the table of ``vocabulary.toml``."""
    return [
        Allowed(
            re.compile(entry["text"], re.IGNORECASE),
            entry.get("path", ""),
            entry["reason"],
            tuple(entry.get("kinds", KINDS)),
        )
        for entry in table.get("allow", ())
    ]


def places(checkout: Path = ROOT, only: tuple[str, ...] = ()) -> Iterator[Place]:
    """Yield each place of the checkout, or of the paths in it, with a word that is not allowed."""
    exceptions = allowed(TABLE)
    for place in all_places(checkout, only):
        if not any(entry.covers(place) for entry in exceptions):
            yield place


@cache
def all_places(checkout: Path, only: tuple[str, ...]) -> tuple[Place, ...]:
    """Return the same, with the allowed ones."""
    glossary = words(TABLE)
    return tuple(
        place
        for path in files(checkout, only)
        for place in places_in(path, path.relative_to(checkout).as_posix(), glossary)
    )


def places_in(path: Path, name: str, glossary: tuple[Word, ...]) -> Iterator[Place]:
    """Yield each place of one file with a word of the glossary's left column."""
    for kind, line, text in _texts(path, glossary):
        if kind == "name":
            for word in _in_name(text, glossary):
                yield Place(name, line, kind, word, text)
            continue
        if not _any_text(glossary).search(text.lower()):
            continue
        for word in glossary:
            for found in word.texts.finditer(text) if word.texts else ():
                below = text.count("\n", 0, found.start())
                yield Place(name, line + below, kind, word, _around(text, found))


@cache
def _any_text(glossary: tuple[Word, ...]) -> re.Pattern[str]:
    """Return what finds a word in lower-case text, which takes half the time."""
    patterns = (word.texts.pattern for word in glossary if word.texts)
    inner = (pattern.removeprefix(_BEFORE).removesuffix(_AFTER) for pattern in patterns)
    return re.compile(f"{_BEFORE}{'|'.join(inner)}{_AFTER}")


@cache
def _any_name(glossary: tuple[Word, ...]) -> re.Pattern[str]:
    patterns = (word.names.pattern for word in glossary if word.names)
    return re.compile("|".join(patterns))


@cache
def _in_name(name: str, glossary: tuple[Word, ...]) -> list[Word]:
    split = _LOWERED.sub("_", name).lower()
    if not _any_name(glossary).search(split):
        return []
    return [word for word in glossary if word.names and word.names.search(split)]


def _text(pattern: str) -> re.Pattern[str]:
    # A space in the pattern is also the end of a line.
    spaced = pattern.replace(" ", r"\s+")
    return re.compile(f"{_BEFORE}{spaced}{_AFTER}", re.IGNORECASE)


def _names(pattern: str, *, whole: bool) -> re.Pattern[str]:
    return re.compile(
        rf"^_*(?:{pattern})$" if whole else rf"(?:^|_)(?:{pattern})(?=_|$)", re.IGNORECASE
    )


def files(checkout: Path, only: tuple[str, ...] = ()) -> list[Path]:
    """Return the files that are read: the given ones, or else all code, texts and documents."""
    starts = only or ("tui_trainer", "tests", "themes", "docs", *_FILES)
    return [
        path
        for start in (checkout / name for name in starts)
        for path in ([start] if start.is_file() else sorted(start.rglob("*")))
        if path.suffix in {".py", ".toml", ".tcss", ".md"}
        and path.stem not in {"vocabulary", "test_vocabulary"}
        and not _OTHERS & set(path.parts)
    ]


def _texts(path: Path, glossary: tuple[Word, ...]) -> Iterator[tuple[str, int, str]]:
    """Yield (kind, line, text) of all that a file says; only code that may have a word."""
    source, wanted = path.read_text(encoding="utf-8"), _any_text(glossary)
    if path.suffix == ".py":
        if _may_say(source, wanted) or _may_name(source, glossary):
            yield from _python(source)
        if _may_comment(source, wanted):
            yield from _comments(source)
    elif path.suffix == ".md":
        yield "page", 1, source
    elif path.suffix == ".tcss":
        for number, line in enumerate(source.splitlines(), 1):
            for name in re.findall(r"[.#]([A-Za-z][\w-]*)", line):
                yield "name", number, name.replace("-", "_")
    else:
        yield "string", 1, source


_NAMED = (ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef, ast.arg, ast.Name, ast.Attribute)


def _python(source: str) -> Iterator[tuple[str, int, str]]:
    nodes = _nodes(ast.parse(source))
    docstrings = {
        id(node.value)
        for node in nodes
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    }
    for node in nodes:
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield "docstring" if id(node) in docstrings else "string", node.lineno, node.value
        for name, line in _defined(node) if isinstance(node, _NAMED) else ():
            yield "name", line, name


def _nodes(tree: ast.AST) -> list[ast.AST]:
    """Return all nodes, as ``ast.walk`` does in three times the time."""
    nodes = [tree]
    for node in nodes:
        for value in vars(node).values():
            if isinstance(value, ast.AST):
                nodes.append(value)
            elif isinstance(value, list):
                nodes += [each for each in value if isinstance(each, ast.AST)]
    return nodes


def _may_say(source: str, wanted: re.Pattern[str]) -> bool:
    """Return whether a string may contain what is wanted; to parse a file is slow."""
    if wanted.search(source.lower()):
        return True
    around = [
        source[max(0, found.start() - _REACH) : found.end() + _REACH]
        for found in re.finditer(rf"{_JOINT.pattern}|\\.", source, flags=re.DOTALL)
    ]
    joined = re.sub(r"\\.", " ", _JOINT.sub("", "\0".join(around)), flags=re.DOTALL)
    return wanted.search(joined.lower()) is not None


def _may_name(source: str, glossary: tuple[Word, ...]) -> bool:
    """Return whether a name outside of strings and comments may be one of the glossary."""
    for text in (source, _NO_CODE.sub(" ", source)):
        if not any(_in_name(name, glossary) for name in {*re.findall(r"[^\W\d]\w*", text)}):
            return False
    return True


def _may_comment(source: str, wanted: re.Pattern[str]) -> bool:
    """Return whether a comment may contain what is wanted; to split a file into tokens is slow."""
    if "#" not in source:
        return False
    lines = [line.partition("#")[2] for line in source.splitlines()]
    return any("#" in line for line in lines) or wanted.search("\n".join(lines).lower()) is not None


def _comments(source: str) -> Iterator[tuple[str, int, str]]:
    """Yield each comment; lines that follow one another are one."""
    start, lines = 0, list[str]()
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type != tokenize.COMMENT:
            continue
        if token.start[0] != start + len(lines):
            if lines:
                yield "comment", start, "\n".join(lines)
            start, lines = token.start[0], []
        lines.append(token.string.removeprefix("#"))
    if lines:
        yield "comment", start, "\n".join(lines)


def _defined(node: ast.AST) -> Iterator[tuple[str, int]]:
    if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
        yield node.name, node.lineno
    elif isinstance(node, ast.arg):
        yield node.arg, node.lineno
    elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
        yield node.id, node.lineno
    elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
        yield node.attr, node.lineno


def _around(text: str, found: re.Match[str]) -> str:
    return " ".join(text[max(0, found.start() - 50) : found.end() + 40].split())


def main() -> None:
    """Print the table of counts, or the places in the given paths."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("paths", nargs="*", help="list the places in these files and folders")
    parser.add_argument("--in", dest="checkout", type=Path, default=ROOT)
    arguments = parser.parse_args()
    if arguments.paths:
        for place in places(arguments.checkout, tuple(arguments.paths)):
            print(place)
        return
    counts = Counter((place.word.old, place.kind) for place in places(arguments.checkout))
    print(f"{'word':52}" + "".join(f"{kind:>10}" for kind in KINDS))
    for old in dict.fromkeys(old for old, _ in counts):
        print(f"{old[:50]:52}" + "".join(f"{counts[old, kind]:10,}" for kind in KINDS))
    total = {kind: sum(n for (_, k), n in counts.items() if k == kind) for kind in KINDS}
    print(f"{'all':52}" + "".join(f"{total[kind]:10,}" for kind in KINDS))


if __name__ == "__main__":
    main()
