"""Mistakes in filters, sort keys and lists of fields, with their places."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from typing import Protocol

from tui_trainer.protocol.errors import InputError
from tui_trainer.recording.run_fields import FIELDS, Field, Value, field_named
from tui_trainer.text.fmt import clip, one_line, printable

SHOWN = 60
"""Columns of a filter in an error message."""


class HasFields(Protocol):
    """A run in a list."""

    @property
    def fields(self) -> Mapping[str, Value]:
        """Its fields by name."""


class QueryError(InputError):
    """A filter, a sort key or a list of fields is invalid.

    Attributes:
        text: What was written.
        problem: What is wrong, and what to write.
        column: The place of the mistake in ``text``, from 0; at most its length.
    """

    def __init__(self, text: str, problem: str, column: int) -> None:
        shown = clip(printable(text), SHOWN)
        super().__init__(f"{shown}: column {column + 1}: {problem}")
        self.text, self.problem, self.column = text, problem, column


def known_field(text: str, name: str, column: int) -> Field:
    """Return a field by its name; ``column`` is the place of the name in ``text``.

    Raises:
        QueryError: If there is none.
    """
    field = field_named(name)
    if field is None:
        near = difflib.get_close_matches(name.casefold()[:40], FIELDS, n=1)
        advice = f"did you mean {near[0]}?" if near else "`mnist-tui runs --fields` lists them all"
        raise QueryError(text, f"unknown field {clip(one_line(name), 40)}; {advice}", column)
    return field
