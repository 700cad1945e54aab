"""TOML that a person has written: what is wrong in it is reported with its line and key."""

from __future__ import annotations

import re
import tomllib
from typing import Any


class TomlError(Exception):
    """A text is no TOML.

    Attributes:
        reason: What is wrong.
        line: The line, from 1; None if it is not known.
        key: The key that the line sets; empty if it sets none.
    """

    def __init__(self, reason: str, line: int | None, key: str) -> None:
        super().__init__(reason)
        self.reason = reason
        self.line = line
        self.key = key


def parse_toml(text: str) -> dict[str, Any]:
    """Parse a text.

    Raises:
        TomlError: If it is no TOML.
    """
    try:
        return tomllib.loads(text)
    except RecursionError:
        raise TomlError("nested too deeply", None, "") from None
    except ValueError as error:  # not TOMLDecodeError alone: a number of 5,000 digits is another
        reason, _, place = str(error).partition(" (at ")
    if not place:
        raise TomlError(reason, None, "")
    lines = text.rstrip("\n").split("\n")
    known = re.match(r"line (\d+)", place)  # else it is "at end of document"
    number = min(int(known[1]), len(lines)) if known else len(lines)
    key = re.match(r"""\s*["']?([\w.-]+)["']?\s*=""", lines[number - 1])
    raise TomlError(reason, number, key[1] if key else "")


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
