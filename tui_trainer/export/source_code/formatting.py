"""Python code as text, formatted as ``ruff format`` formats it with its defaults."""

from __future__ import annotations

import io
import tokenize
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from tui_trainer.text.fmt import clip, one_line

WIDTH = 88
"""The line length of ruff and black."""

LONGEST_COMMENT = 160


def literal(value: Any) -> str:
    """Return the code of a constant: a number, a text, a bool, None, or tuples of these.

    The code of a text is one string literal, with any characters in the text.
    """
    if isinstance(value, tuple):
        inner = ", ".join(map(literal, value))
        return f"({inner},)" if len(value) == 1 else f"({inner})"
    if isinstance(value, int) and not isinstance(value, bool):
        return f"{value:_}" if value >= 10_000 else str(value)
    if not isinstance(value, str):
        return repr(value)
    # repr prefers single quotes; with one of them in front it chooses double quotes.
    return f'"{repr(chr(39) + value)[2:]}' if '"' not in value else repr(value)


def comment(text: str) -> str:
    """Return a text as a comment on one line, without control characters, at most 160 long."""
    return f"# {clip(one_line(text), LONGEST_COMMENT)}"


def call(lead: str, arguments: Sequence[str], tail: str = "", *, indent: int = 0) -> str:
    """Return a call on one line if it fits, else with its arguments on their own lines.

    Args:
        lead: What comes before the parenthesis: ``self.conv1 = nn.Conv2d``.
        arguments: The arguments; each can have several lines, written for an indent of 0.
        tail: What follows the closing parenthesis.
        indent: The spaces before the first line; those of the other lines are added to it.
    """
    space = " " * indent
    flat = f"{space}{lead}({', '.join(arguments)}){tail}"
    if "\n" not in flat and len(flat) <= WIDTH:
        return flat
    inner = " " * (indent + 4)
    joined = f"{inner}{', '.join(arguments)}"
    if "\n" not in joined and len(joined) <= WIDTH:
        return f"{space}{lead}(\n{joined}\n{space}){tail}"
    comma = "," if len(arguments) > 1 else ""
    lines = [indented(argument, indent + 4) for argument in arguments]
    body = ",\n".join(lines)
    return f"{space}{lead}(\n{body}{comma}\n{space}){tail}"


def assignment(name: str, values: Sequence[Any]) -> str:
    """Return the assignment of a tuple of constants, on one line if it fits.

    The name has the indent of the statement before it.
    """
    flat = f"{name} = {literal(tuple(values))}"
    if len(flat) <= WIDTH:
        return flat
    space = name[: len(name) - len(name.lstrip())]
    inner = (f"{space}    {literal(value)}," for value in values)
    return "\n".join([f"{name} = (", *inner, f"{space})"])


def indented(text: str, spaces: int) -> str:
    """Return a text with so many spaces before each line that is not empty."""
    return "\n".join(" " * spaces + line if line else "" for line in text.split("\n"))


def joined(parts: Iterable[str], blank_lines: int = 2) -> str:
    """Return the parts that are not empty, separated by blank lines."""
    return ("\n" * (blank_lines + 1)).join(filter(None, parts))


def renamed(code: str, names: Mapping[str, str]) -> str:
    """Return code with other names for variables, functions and classes; not for attributes."""
    if not names:
        return code
    lines = code.split("\n")
    tokens = list(tokenize.generate_tokens(io.StringIO(f"\n{code}").readline))
    depth = 0
    found = []
    for previous, token, following in zip(tokens, tokens[1:], tokens[2:], strict=False):
        depth += (token.string in "([{" and token.type == tokenize.OP) - (
            token.string in ")]}" and token.type == tokenize.OP
        )
        is_keyword = depth > 0 and following.string == "="
        if (
            token.type == tokenize.NAME
            and token.string in names
            and previous.string != "."
            and not is_keyword
        ):
            found.append(token)
    for token in reversed(found):
        row, column = token.start
        line = lines[
            row - 2
        ]  # of the code, after an empty line: its first token has a previous one
        end = column + len(token.string)
        lines[row - 2] = f"{line[:column]}{names[token.string]}{line[end:]}"
    return "\n".join(lines)
