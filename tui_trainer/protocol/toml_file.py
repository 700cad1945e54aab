"""TOML files of the user: every error message names file, line and key."""

from __future__ import annotations

import difflib
import re
import tomllib
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tui_trainer.protocol.errors import InputError, reason
from tui_trainer.text.fmt import printable

MAX_FILE_BYTES = 65_536
"""More than any configuration needs; tomllib can be slow on larger files."""

_SYNTAX_HINTS = {
    "Invalid value": '; strings and colors need quotes, as "#5fa8e6"',
    r"Illegal character '\n'": "; a closing quote is missing",
}


@dataclass(eq=False)
class TomlError(Exception):
    """A text is not valid TOML.

    Attributes:
        line: The line, from 1; None if unknown.
        key: The key that the line sets; empty if none.
    """

    problem: str
    line: int | None = None
    key: str = ""


def read_text(path: Path, name: str) -> str:
    """Return the text of a TOML file; ``name`` is its name in messages.

    Raises:
        InputError: If it cannot be read, is too large, or is not UTF-8.
    """
    try:
        # Read with a limit: a device or a pipe has no size.
        with path.open("rb") as file:
            raw = file.read(MAX_FILE_BYTES + 1)
    except (OSError, ValueError) as error:
        raise InputError(f"{name}: cannot be read: {reason(error)}") from None
    if len(raw) > MAX_FILE_BYTES:
        raise InputError(f"{name}: too large for such a file; is it the right one?")
    try:
        # Some editors write a byte order mark, which TOML does not allow.
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise InputError(f"{name}, line {line}: not UTF-8 text; save the file as UTF-8") from None


def parse_toml(text: str) -> dict[str, Any]:
    """Parse a TOML text.

    Raises:
        TomlError: If it is not valid TOML.
    """
    try:
        return tomllib.loads(text)
    except RecursionError:
        raise TomlError("nested too deeply") from None
    except (
        ValueError
    ) as error:  # not only TOMLDecodeError: a number of 5,000 digits raises another one
        problem, _, place = str(error).partition(" (at ")
    if not place:
        raise TomlError(problem)
    lines = text.rstrip("\n").split("\n")
    known = re.match(r"line (\d+)", place)  # else it is "at end of document"
    number = min(int(known[1]), len(lines)) if known else len(lines)
    key = re.match(r"""\s*["']?([\w.-]+)["']?\s*=""", lines[number - 1])
    raise TomlError(problem, number, key[1] if key else "")


def line_of(text: str, key: str, table: str = "") -> int:
    """Return the line that sets a key of a table, from 1; 1 if none is found."""
    bare = rf"""["']?{re.escape(key)}["']?"""
    header = re.compile(rf"\s*\[+\s*({re.escape(table)}\s*\.\s*)?{bare}\s*[\].]")
    assignment = re.compile(rf"\s*{bare}\s*[=.]")
    anywhere = re.compile(rf"(?<![\w-]){bare}\s*=")
    current, loose = "", 1
    for number, line in enumerate(_TOKEN.sub(_without_lines, text).split("\n"), 1):
        if header.match(line):
            return number
        if section := re.match(r"\s*\[+\s*([^\]]+?)\s*\]", line):
            current = section[1].strip("\"'")
        elif current == table and assignment.match(line):
            return number
        elif loose == 1 and anywhere.search(line):
            loose = number
    return loose


_TOKEN = re.compile(
    r'''#[^\n]*|"""(?:\\.|[^\\])*?"""|\'{3}.*?\'{3}|"(?:\\.|[^"\\\n])*"|\'[^\'\n]*\'''', re.DOTALL
)
"""A comment or a string: neither a comment nor a multi-line string sets a key."""


def _without_lines(token: re.Match[str]) -> str:
    return "" if token[0].startswith("#") else "\n" * token[0].count("\n") or token[0]


class TomlKeyError(Exception):
    """A problem with one key; ``table`` is its TOML table, "" at the top level.

    ``name`` is the key's name in messages, if it differs from the key.
    """

    def __init__(self, key: str, problem: str, table: str = "", *, name: str = "") -> None:
        super().__init__(problem)
        self.key = key
        self.problem = problem
        self.table = table
        self.name = name or key


class TomlFile:
    """A parsed file.

    Attributes:
        table: The content of the file.
    """

    def __init__(self, path: Path) -> None:
        """Read and parse.

        Raises:
            InputError: If it cannot be read or is not valid TOML; names the file and line.
        """
        self._path = path
        self._text = read_text(path, _where(path))
        try:
            self.table = parse_toml(self._text)
        except TomlError as error:
            named = f"{printable(error.key)}: " if error.key else ""
            problem = f"{printable(error.problem)}{_SYNTAX_HINTS.get(error.problem, '')}"
            where = _where(path, error.line or 1)
            raise InputError(f"{where}: {named}invalid TOML: {problem}") from None

    def error(self, problem: TomlKeyError) -> InputError:
        """Return the error about a key: one line with the file, the line and the key."""
        where = _where(self._path, line_of(self._text, problem.key, problem.table))
        return InputError(f"{where}: {printable(problem.name)}: {problem.problem}")


def _where(path: Path, line: int | None = None) -> str:
    return printable(path) + (f", line {line}" if line else "")


def suggestion(word: str, known: Collection[str]) -> str:
    """Return ``(did you mean …?)`` with the most similar known word; empty if there is none."""
    near = difflib.get_close_matches(word, known, n=1)
    return f" (did you mean {near[0]}?)" if near else ""


def kind(value: object) -> str:
    """Return the type of a TOML value, for messages."""
    names = {bool: "true or false", str: "a string", list: "a list", dict: "a table"}
    numbers = {int: "an integer", float: "a number"}
    return {**names, **numbers}.get(type(value), "a date")
