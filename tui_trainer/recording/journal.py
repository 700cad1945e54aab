"""Reading events back from the JSON lines that they were written to."""

from __future__ import annotations

import functools
import json
import math
import types
import typing
from collections.abc import Mapping
from dataclasses import MISSING, dataclass, field, fields
from typing import Any, Literal, get_args, get_origin, get_type_hints

from tui_trainer.protocol.answers import Answered
from tui_trainer.protocol.commands import KNOBS
from tui_trainer.protocol.diagnosis import Diagnosis
from tui_trainer.protocol.errors import InputError
from tui_trainer.protocol.events import Event, SettingChanged
from tui_trainer.protocol.layers import LayerRow
from tui_trainer.protocol.probed import LayerProbe, ParameterProbe
from tui_trainer.protocol.schema import upgraded

_GOING_BACK = ('{"event": "RunResumed"', '{"event": "Rewound"')
_LOOK = '{"event": "TestEvaluated"'

_PARTS = (LayerRow, Diagnosis, ParameterProbe, LayerProbe)
"""The records that events have in them."""

_KINDS: dict[str, type[Event]] = {
    kind.__name__: kind for kind in get_args(Event) if kind is not Answered
}


def from_json(line: str) -> Event:
    """Return the event that :func:`tui_trainer.protocol.events.to_json` wrote as this line.

    A number that was not finite was written as null and comes back as NaN.

    Raises:
        InputError: If the line is no event.
    """
    try:
        record = upgraded(json.loads(line))
        kind = _KINDS[record["event"]]
        event: Event = record_of(record, kind)
        if isinstance(event, SettingChanged):
            KNOBS[event.setting](event.new)  # what cannot be wished for did not happen
    except (ValueError, KeyError, TypeError, ArithmeticError, RecursionError) as error:
        raise InputError(f"no event: {line[:80]!r} ({error})") from None
    return event


@dataclass(frozen=True, slots=True)
class Recorded:
    """A run as its folder tells it.

    Attributes:
        events: What holds: without what came after a state that the run later went back to.
        test_evaluations: How often the test set was read, void parts of the run included.
        lines: How many lines there are, each ended by a line break; the rest was cut off.
    """

    events: tuple[Event, ...]
    test_evaluations: int
    lines: int
    _returns: Mapping[int, int] = field(repr=False)
    _void: Mapping[int, str] = field(repr=False)
    _name: str = field(repr=False)

    def before(self, lines: int | None) -> tuple[Event, ...]:
        """Return the events that held when there were but ``lines`` lines; all if None.

        A run can go back to a state of before, and then on from a later one: that is of a time
        before the return, and what led to it holds again.

        Raises:
            InputError: If a line that held then is no event.
        """
        if lines is None:
            return self.events
        now = dict(zip(_holding(self._returns, self.lines), self.events, strict=True))
        then = _holding(self._returns, min(lines, self.lines))
        return tuple(
            now[place] if place in now else _event(self._void[place], self._name, place)
            for place in then
        )


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
    returns: dict[int, int] = {}
    for number, line in enumerate(lines):
        if line.startswith(_GOING_BACK):
            held = getattr(_event(line, name, number), "lines", None)
            returns[number] = number if held is None else min(held, number)
    looks = sum(line.startswith(_LOOK) for line in lines)
    holding = _holding(returns, len(lines))
    events = tuple(_event(lines[number], name, number) for number in holding)
    void = {number: lines[number] for number in {*range(len(lines))} - {*holding}}
    return Recorded(events, looks, len(lines), returns, void, name)


def _holding(returns: Mapping[int, int], lines: int) -> list[int]:
    """Return the lines that hold among the first ``lines``.

    Args:
        returns: The lines that tell of going back, each with how many before it still hold.
        lines: How many lines there are.
    """
    holding: list[int] = []
    for place in sorted(returns, reverse=True):
        if place < lines:
            holding += range(lines - 1, place - 1, -1)
            lines = returns[place]
    holding += range(lines - 1, -1, -1)
    return holding[::-1]


def _event(line: str, name: str, number: int) -> Event:
    """Return the event of a line; ``number`` counts from 0."""
    try:
        return from_json(line)
    except InputError as error:
        raise InputError(f"{name}, line {number + 1}: {error}") from None


_hints = functools.cache(get_type_hints)


def record_of(value: Any, kind: Any) -> Any:
    """Return the record of this kind that JSON's object tells of.

    A field that came later has a default, so that older files can still be read.

    Raises:
        TypeError, ValueError, KeyError, OverflowError: If it is another thing.
    """
    hints = _hints(kind)
    told = [f.name for f in fields(kind) if f.default is MISSING or f.name in value]
    return kind(**{name: _value(value[name], hints[name]) for name in told})


def _value(value: Any, hint: Any) -> Any:
    """Turn JSON's value into the field's type: tuples for lists, records for objects.

    Raises:
        TypeError, ValueError, KeyError, OverflowError: If it is another thing.
    """
    if hint is float:
        if value is None:
            return math.nan
        if type(value) is not float and type(value) is not int:
            raise TypeError(f"{value!r} is no number")
        float(value)  # a whole number can be too large for one
        return value
    if hint in (int, str, bool):
        if type(value) is not hint or (hint is int and abs(value) >= 1 << 63):
            raise TypeError(f"{value!r} is no {hint.__name__}")
        return value
    if hint in _PARTS:
        return record_of(value, hint)
    if get_origin(hint) in (typing.Union, types.UnionType):
        if value is None:
            return None
        return _value(value, next(arg for arg in get_args(hint) if arg is not type(None)))
    if get_origin(hint) is Literal and value not in get_args(hint):
        raise ValueError(f"{value!r} is none of {get_args(hint)}")
    if get_origin(hint) is tuple:
        if not isinstance(value, list):
            raise TypeError(f"{value!r} is no list")
        item, *others = get_args(hint)
        hints_of = [item] * len(value) if others in ([], [...]) else [item, *others]
        return tuple(
            _value(part, part_hint) for part, part_hint in zip(value, hints_of, strict=True)
        )
    return value
