"""Filters, sort keys and groups of runs, as a person writes them.

A filter is made of words and comparisons::

    small                                     name, model, note or a tag contains "small"
    val_acc > 99% and model = small           compare fields; the names are in FIELDS
    (lr in (0.1, 0.05) or not tag = old) and time < 5m

Comparisons are joined by ``and`` and ``or``; words next to each other must all be found. A run
without a value (``none``) meets only ``!=``, ``not in`` and ``= none``.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from tui_trainer.recording.filter_parser import FilterParser
from tui_trainer.recording.filter_values import Test
from tui_trainer.recording.query_error import HasFields, QueryError, known_field
from tui_trainer.recording.run_fields import FIELDS, Field, Value

LONGEST = 2_000
"""The longest filter, in characters."""

RunT = TypeVar("RunT", bound=HasFields)


@dataclass(frozen=True, slots=True)
class Filter:
    """A parsed filter; call :meth:`matches`. An empty text matches every run."""

    text: str
    matches: Test


def parse_filter(text: str) -> Filter:
    """Parse a filter.

    Raises:
        QueryError: If it is invalid, with the place of the mistake.
    """
    if len(text) > LONGEST:
        raise QueryError(text, f"longer than {LONGEST:,} characters; shorten it", LONGEST)
    return Filter(text, FilterParser(text).parse())


@dataclass(frozen=True, slots=True)
class Sort:
    """A parsed list of sort keys, each a field and whether the largest is first."""

    keys: tuple[tuple[Field, bool], ...]

    def apply(self, runs: Iterable[RunT]) -> list[RunT]:
        """Return the runs in order; runs without the value are last in either direction."""
        ordered = [*runs]
        for field, is_descending in reversed(self.keys):
            name = field.name
            there = [run for run in ordered if run.fields[name] is not None]
            missing = [run for run in ordered if run.fields[name] is None]
            there.sort(key=lambda run: sort_key(run.fields[name]), reverse=is_descending)
            ordered = there + missing
        return ordered


def parse_sort(text: str) -> Sort:
    """Parse sort keys: ``-val_acc,name`` is the highest validation accuracy first, then the name.

    Raises:
        QueryError: If a field is unknown.
    """
    return Sort(tuple((field, word.startswith("-")) for word, field in _named(text, signs="-+")))


def parse_fields(text: str) -> tuple[Field, ...]:
    """Parse a list of fields: ``model,lr``.

    Raises:
        QueryError: If a field is unknown.
    """
    return tuple(field for _, field in _named(text))


def sort_key(value: Value) -> Any:
    """Return a key for the values of one field; numbers in texts are ordered by their size."""
    if isinstance(value, str):
        parts = re.split(r"(\d+)", value.casefold())
        return [(int(part), "") if place % 2 else (-1, part) for place, part in enumerate(parts)]
    return [sort_key(part) for part in value] if isinstance(value, tuple) else value


@dataclass(frozen=True, slots=True)
class RunGroup(Generic[RunT]):
    """The runs that have the same values of some fields.

    Attributes:
        fields: The fields.
        values: Their values in these runs.
        runs: The runs, in the order given.
    """

    fields: tuple[Field, ...]
    values: tuple[Value, ...]
    runs: tuple[RunT, ...]


def group_runs(runs: Iterable[RunT], fields: Sequence[Field]) -> list[RunGroup[RunT]]:
    """Return the runs grouped by the values of fields, in the order of these values.

    Runs of different datasets are never in one group: their results cannot be averaged. ``dataset``
    is then one more field of every group.
    """
    ordered = [*runs]
    groups = _grouped(ordered, tuple(fields))
    dataset = FIELDS["dataset"]
    if any(len({run.fields["dataset"] for run in group.runs}) > 1 for group in groups):
        groups = _grouped(ordered, (*fields, dataset))
    return groups


def _grouped(runs: Iterable[RunT], fields: tuple[Field, ...]) -> list[RunGroup[RunT]]:
    found: dict[tuple[Value, ...], list[RunT]] = {}
    for run in runs:
        found.setdefault(tuple(run.fields[field.name] for field in fields), []).append(run)
    groups = [RunGroup(fields, values, tuple(members)) for values, members in found.items()]
    return sorted(
        groups, key=lambda group: [(value is None, sort_key(value)) for value in group.values]
    )


def _named(text: str, signs: str = "") -> list[tuple[str, Field]]:
    """Return the words of a list of fields, each with its field.

    Raises:
        QueryError: If a field is unknown.
    """
    found = []
    for match in re.finditer(r"[^,]+", text):
        word = match[0].strip()
        name = word.lstrip(signs) if signs else word
        if not word:
            continue
        column = match.start() + match[0].index(word) + len(word) - len(name)
        found.append((word, known_field(text, name, column)))
    if not found:
        raise QueryError(text, "names no field; write for example val_acc,name", 0)
    return found
