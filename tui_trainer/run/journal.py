"""Reading events back from the JSON lines that they were written to."""

from __future__ import annotations

import bisect
import json
import math
import types
import typing
from collections.abc import Iterable, Iterator
from dataclasses import MISSING, dataclass, fields
from typing import Any, get_args, get_origin, get_type_hints

from tui_trainer.run import events
from tui_trainer.run.errors import InputError
from tui_trainer.run.events import Event, LayerRow, Rewound, RunResumed

_GOING_BACK = ('{"event": "RunResumed"', '{"event": "Rewound"')
_LOOK = '{"event": "TestEvaluated"'

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
        # A field that came later has a default, so that older files can still be read.
        told = [f.name for f in fields(kind) if f.default is MISSING or f.name in record]
        return kind(**{name: _value(record[name], hints[name]) for name in told})
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(f"no event: {line[:80]!r} ({error})") from None


@dataclass(frozen=True, slots=True)
class Recorded:
    """A run as its folder tells it.

    Attributes:
        events: What holds: without what came after a state that the run later went back to.
        looks: How often the test set was read, void parts of the run included.
        places: The line of each of them, counted from 0.
        lines: How many lines there are, each ended by a line break; the rest was cut off.
    """

    events: tuple[Event, ...]
    looks: int
    places: tuple[int, ...]
    lines: int

    def before(self, lines: int | None) -> tuple[Event, ...]:
        """Return the events that hold among the first ``lines`` lines; all if None."""
        end = len(self.places) if lines is None else bisect.bisect_left(self.places, lines)
        return self.events[:end]


def read_recorded(text: str, name: str) -> Recorded:
    """Return a recorded run from the whole text of its ``events.jsonl``.

    The last line may be torn, for the process was killed while it wrote.

    Args:
        text: The file's text.
        name: The file's name, for messages.

    Raises:
        InputError: At the first line that holds and is no event.
    """
    whole, _, _torn = text.rpartition("\n")
    lines = whole.split("\n") if whole else []
    holding: list[int] = []
    looks = 0
    for number, line in enumerate(lines):
        if line.startswith(_GOING_BACK):
            kept = _lines_that_hold(_event(line, name, number))
            while holding and holding[-1] >= kept:
                holding.pop()
        looks += line.startswith(_LOOK)
        holding.append(number)
    events = tuple(_event(lines[number], name, number) for number in holding)
    return Recorded(events, looks, tuple(holding), len(lines))


def read_events(lines: Iterable[str], name: str) -> Iterator[Event]:
    """Yield the events of a recorded run, ``name`` being the file's for messages.

    Raises:
        InputError: At the first line that is no event.
    """
    for number, line in enumerate(lines):
        yield _event(line, name, number)


def _lines_that_hold(event: Event) -> float:
    if isinstance(event, Rewound | RunResumed) and event.lines is not None:
        return event.lines
    return math.inf


def _event(line: str, name: str, number: int) -> Event:
    """Return the event of a line; ``number`` counts from 0."""
    try:
        return from_json(line)
    except InputError as error:
        raise InputError(f"{name}, line {number + 1}: {error}") from None


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
