"""Reading events back from the JSON lines that they were written to."""

from __future__ import annotations

import json
import math
import types
import typing
from collections.abc import Iterable, Iterator
from dataclasses import fields
from typing import Any, get_args, get_origin, get_type_hints

from tui_trainer.run import events
from tui_trainer.run.errors import InputError
from tui_trainer.run.events import Event, LayerRow

_KINDS: dict[str, type[Event]] = {kind.__name__: kind for kind in get_args(Event)}


def from_json(line: str) -> Event:
    """Return the event that :func:`tui_trainer.run.events.to_json` wrote as this line.

    A number that was not finite was written as null and comes back as NaN.

    Raises:
        InputError: If the line is no event.
    """
    try:
        record = json.loads(line)
        kind = _KINDS[record["event"]]
        hints = _HINTS[kind.__name__]
        return kind(**{f.name: _value(record[f.name], hints[f.name]) for f in fields(kind)})
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(f"no event: {line[:80]!r} ({error})") from None


def read_events(lines: Iterable[str], name: str) -> Iterator[Event]:
    """Yield the events of a recorded run, ``name`` being the file's for messages.

    Raises:
        InputError: At the first line that is no event.
    """
    for number, line in enumerate(lines, start=1):
        try:
            yield from_json(line)
        except InputError as error:
            raise InputError(f"{name}, line {number}: {error}") from None


_HINTS: dict[str, dict[str, Any]] = {
    kind.__name__: get_type_hints(kind, vars(events)) for kind in (*get_args(Event), LayerRow)
}


def _value(value: Any, hint: Any) -> Any:
    """Turn JSON's value into the field's type: tuples for lists, records for objects."""
    if hint is float:
        return math.nan if value is None else value
    if hint is LayerRow:
        hints = _HINTS[LayerRow.__name__]
        return LayerRow(**{name: _value(value[name], hints[name]) for name in hints})
    if get_origin(hint) in (typing.Union, types.UnionType):
        if value is None:
            return None
        return _value(value, next(arg for arg in get_args(hint) if arg is not type(None)))
    if get_origin(hint) is tuple:
        item, *others = get_args(hint)
        hints_of = [item] * len(value) if others in ([], [...]) else [item, *others]
        return tuple(
            _value(part, part_hint) for part, part_hint in zip(value, hints_of, strict=True)
        )
    return value
