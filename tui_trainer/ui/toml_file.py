"""A TOML file that a person has written: what is wrong in it is told with its line and key."""

from __future__ import annotations

import difflib
import re
import tomllib
from collections.abc import Collection
from pathlib import Path
from typing import Any

from tui_trainer.protocol.config_file import read_text
from tui_trainer.protocol.errors import InputError
from tui_trainer.text.fmt import printable

_SYNTAX_HINTS = {
    "Invalid value": '; texts and colours need quotes, as "#5fa8e6"',
    r"Illegal character '\n'": "; a closing quote is missing",
}


class Fault(Exception):
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
        self.table = self._parsed()

    def _parsed(self) -> dict[str, Any]:
        try:
            return tomllib.loads(self._text)
        except RecursionError:
            raise InputError(f"{_where(self._path, 1)}: nested too deeply") from None
        except ValueError as error:
            reason, _, place = str(error).partition(" (at ")
            lines = self._text.rstrip("\n").split("\n")
            numbers = re.findall(
                r"\d+", place
            )  # Line and column; none of them "at end of document".
            number = int(numbers[0]) if numbers else len(lines)
            key, equals, _ = lines[min(number, len(lines)) - 1].partition("=")
            named = f"{printable(key.strip())}: " if equals else ""
            problem = f"{named}no valid TOML: {printable(reason)}{_SYNTAX_HINTS.get(reason, '')}"
            raise InputError(f"{_where(self._path, number)}: {problem}") from None

    def error(self, fault: Fault) -> InputError:
        """Return what is wrong with a key as one line that names the file, its line and the key."""
        where = _where(self._path, _line_of(self._text, fault.table, fault.key))
        return InputError(f"{where}: {printable(fault.name)}: {fault.problem}")


def _line_of(text: str, table: str, key: str) -> int:
    """Find the line that sets a key, which tomllib does not tell; 1 if no line looks like it."""
    bare = rf"""["']?{re.escape(key)}["']?"""
    header = re.compile(rf"\s*\[+\s*({re.escape(table)}\s*\.\s*)?{bare}\s*[\].]")
    assignment = re.compile(rf"\s*{bare}\s*[=.]")
    anywhere = re.compile(rf"(?<![\w-]){bare}\s*=")
    current, loose = "", 1
    for number, line in enumerate(text.split("\n"), 1):
        if header.match(line):
            return number
        if section := re.match(r"\s*\[+\s*([^\]]+?)\s*\]", line):
            current = section[1].strip("\"'")
        elif current == table and assignment.match(line):
            return number
        elif loose == 1 and not line.lstrip().startswith("#") and anywhere.search(line):
            loose = number
    return loose


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
