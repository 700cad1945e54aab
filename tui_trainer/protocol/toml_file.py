"""TOML that a person has written: what is wrong in it is reported with its line and key."""

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
"""More than any configuration needs, and little enough for tomllib, which can take its time."""

_SYNTAX_HINTS = {
    "Invalid value": '; texts and colours need quotes, as "#5fa8e6"',
    r"Illegal character '\n'": "; a closing quote is missing",
}


@dataclass(eq=False)
class TomlError(Exception):
    """A text is no TOML.

    Attributes:
        line: The line, from 1; None if it is not known.
        key: The key that the line sets; empty if it sets none.
    """

    problem: str
    line: int | None = None
    key: str = ""


def read_text(path: Path, name: str) -> str:
    """Return the text of a TOML file; ``name`` is how it is called in messages.

    Raises:
        InputError: If it cannot be read, is too large for what it is to be, or is no UTF-8.
    """
    try:
        # No more than that: a device or a pipe does not tell its size.
        with path.open("rb") as file:
            raw = file.read(MAX_FILE_BYTES + 1)
    except (OSError, ValueError) as error:
        raise InputError(f"{name}: cannot be read: {reason(error)}") from None
    if len(raw) > MAX_FILE_BYTES:
        raise InputError(f"{name}: larger than such a file can be; is it the right one?")
    try:
        # Some editors put a byte order mark in front, which TOML does not know.
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise InputError(f"{name}, line {line}: not UTF-8 text; save the file as UTF-8") from None


def parse_toml(text: str) -> dict[str, Any]:
    """Parse a text.

    Raises:
        TomlError: If it is no TOML.
    """
    try:
        return tomllib.loads(text)
    except RecursionError:
        raise TomlError("nested too deeply") from None
    except ValueError as error:  # not TOMLDecodeError alone: a number of 5,000 digits is another
        problem, _, place = str(error).partition(" (at ")
    if not place:
        raise TomlError(problem)
    lines = text.rstrip("\n").split("\n")
    known = re.match(r"line (\d+)", place)  # else it is "at end of document"
    number = min(int(known[1]), len(lines)) if known else len(lines)
    key = re.match(r"""\s*["']?([\w.-]+)["']?\s*=""", lines[number - 1])
    raise TomlError(problem, number, key[1] if key else "")


def line_of(text: str, key: str, table: str = "") -> int:
    """Return the line that sets a key of a table, from 1; 1 if no line looks like it."""
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
"""A comment or a text: no key is set in a comment, or within a text of several lines."""


def _without_lines(token: re.Match[str]) -> str:
    return "" if token[0].startswith("#") else "\n" * token[0].count("\n") or token[0]


class TomlKeyError(Exception):
    """What is wrong with one key; ``table`` is the TOML table that holds it, "" at the top.

    ``name`` is how the key is called, if not as it is written.
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
        table: What stands in it.
    """

    def __init__(self, path: Path) -> None:
        """Read and parse.

        Raises:
            InputError: If it cannot be read, or is no TOML: one line with the file and line.
        """
        self._path = path
        self._text = read_text(path, _where(path))
        try:
            self.table = parse_toml(self._text)
        except TomlError as error:
            named = f"{printable(error.key)}: " if error.key else ""
            problem = f"{printable(error.problem)}{_SYNTAX_HINTS.get(error.problem, '')}"
            where = _where(path, error.line or 1)
            raise InputError(f"{where}: {named}no valid TOML: {problem}") from None

    def error(self, fault: TomlKeyError) -> InputError:
        """Return what is wrong with a key as one line that names the file, its line and the key."""
        where = _where(self._path, line_of(self._text, fault.key, fault.table))
        return InputError(f"{where}: {printable(fault.name)}: {fault.problem}")


def _where(path: Path, line: int | None = None) -> str:
    return printable(path) + (f", line {line}" if line else "")


def suggestion(word: str, known: Collection[str]) -> str:
    """Return a hint at the known word that is most like a word; empty if none is like it."""
    near = difflib.get_close_matches(word, known, n=1)
    return f" (did you mean {near[0]}?)" if near else ""


def kind(value: object) -> str:
    """Return what a TOML value is, for a message."""
    names = {bool: "true or false", str: "a text", list: "a list", dict: "a table"}
    numbers = {int: "a whole number", float: "a number"}
    return {**names, **numbers}.get(type(value), "a date")
