"""Reading events from the JSON lines of ``events.jsonl``."""

from __future__ import annotations

import functools
import itertools
import json
import math
import types
import typing
from collections.abc import Callable, Iterator, Mapping
from dataclasses import MISSING, dataclass, field, fields
from typing import Any, Literal, get_args, get_origin, get_type_hints

from tui_trainer.protocol.answers import Answered
from tui_trainer.protocol.commands import KNOBS
from tui_trainer.protocol.diagnosis import Cause, Diagnosis
from tui_trainer.protocol.errors import InputError
from tui_trainer.protocol.events import Event, RecordRead, SettingChanged
from tui_trainer.protocol.layers import LayerRow
from tui_trainer.protocol.loop_probed import LossProbe, SchedulerProbe
from tui_trainer.protocol.probed import LayerProbe, NeighborLabels, ParameterProbe, TriedRate
from tui_trainer.protocol.schema import upgraded

_VOIDING = ('{"event": "RunResumed"', '{"event": "Rewound"')
_TEST_EVALUATED = '{"event": "TestEvaluated"'

PART = 1 << 21
"""Bytes of a part of a long record: some 10,000 steps, which a window applies in 0.1 s."""

_PARTS = (
    *(LayerRow, Diagnosis, Cause, ParameterProbe, LayerProbe, NeighborLabels, TriedRate),
    *(LossProbe, SchedulerProbe),
)
"""The dataclasses nested in events."""

_KINDS: dict[str, type[Event]] = {
    kind.__name__: kind for kind in get_args(Event) if kind not in (Answered, RecordRead)
}


_COUNTS = {"correct": "sample_size", "val_correct": "val_total", "test_correct": "test_total"}
"""The fields that count correct predictions, with those that count the images."""


def from_json(line: str) -> Event:
    """Parse a line written by :func:`tui_trainer.protocol.events.to_json`.

    Numbers that were not finite were written as null and are read as NaN.

    Raises:
        InputError: If the line is no event.
    """
    try:
        record = upgraded(json.loads(line))
        kind = _KINDS[record["event"]]
        event: Event = record_of(record, kind)
        if isinstance(event, SettingChanged):
            KNOBS[event.setting](event.new)  # raises if no command can set this value
        _check_counts(event)
    except (ValueError, KeyError, TypeError, ArithmeticError, RecursionError) as error:
        raise InputError(f"not an event: {line[:80]!r} ({error})") from None
    return event


def _check_counts(event: Event) -> None:
    """Check that no event counts more correct predictions than images; rules divide by these.

    Raises:
        ValueError: If one does, or counts no images.
    """
    for name, total_name in _COUNTS.items():
        correct, total = getattr(event, name, None), getattr(event, total_name, None)
        if correct is None or total is None:
            continue
        if not (0 <= correct <= total and total > 0):
            raise ValueError(f"{name} is {correct} of {total} images")


@dataclass(frozen=True, slots=True)
class Recorded:
    """The events of a recorded run.

    Attributes:
        events: The valid events: without those that a later rewind or resume made void.
        test_evaluations: The number of test evaluations, void parts of the run included.
        lines: The number of complete lines; an incomplete last line is ignored.
    """

    events: tuple[Event, ...]
    test_evaluations: int
    lines: int
    _returns: Mapping[int, int] = field(repr=False)
    _void: Mapping[int, str] = field(repr=False)
    _name: str = field(repr=False)

    def before(self, lines: int | None) -> tuple[Event, ...]:
        """Return the events that were valid after the first ``lines`` lines; all if None.

        A run can be rewound and later resumed from a checkpoint that was written before the rewind:
        the events that led to that checkpoint are then valid again.

        Raises:
            InputError: If a line that was valid then is no event.
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
    """Parse the text of an ``events.jsonl``.

    The last line may be incomplete, if the process was killed while it wrote.

    Args:
        text: The file's text.
        name: The file's name, for messages.

    Raises:
        InputError: At the first valid line that is no event.
    """
    whole, _, _torn = text.rpartition("\n")
    lines = whole.split("\n") if whole else []
    returns: dict[int, int] = {}
    for number, line in enumerate(lines):
        _note_return(returns, line, number, name)
    test_evaluations = sum(line.startswith(_TEST_EVALUATED) for line in lines)
    holding = _holding(returns, len(lines))
    events = tuple(_event(lines[number], name, number) for number in holding)
    void = {number: lines[number] for number in {*range(len(lines))} - {*holding}}
    return Recorded(events, test_evaluations, len(lines), returns, void, name)


def read_parts(
    read: Callable[[int, int], bytes], size: int, name: str
) -> Iterator[tuple[tuple[Event, ...], bytes]]:
    """Parse an ``events.jsonl`` in parts, so that a long one needs little memory.

    Args:
        read: Returns bytes of the file, given their number and position.
        size: The bytes to read; an incomplete line at their end is ignored.
        name: The file's name, for messages.

    Yields:
        The valid events of each part, and its bytes: whole lines.

    Raises:
        InputError: At the first valid line that is no event.
    """
    lines = 0
    returns: dict[int, int] = {}
    for content in _parts(read, size):
        if any(f"\n{start}".encode() in b"\n" + content for start in _VOIDING):
            for number, line in enumerate(content.decode("utf-8", "replace").split("\n"), lines):
                _note_return(returns, line, number, name)
        lines += content.count(b"\n")
    valid = _valid(returns, lines)
    lines = 0
    for content in _parts(read, size):
        text = content.decode("utf-8", "replace").split("\n")[:-1]
        first, lines = lines, lines + len(text)
        holding = (range(max(each.start, first), min(each.stop, lines)) for each in valid)
        numbers = itertools.chain.from_iterable(holding)
        yield tuple(_event(text[number - first], name, number) for number in numbers), content


def _parts(read: Callable[[int, int], bytes], size: int) -> Iterator[bytes]:
    """Yield the bytes of a file in parts that end with a line break."""
    position, length = 0, PART
    while position < size:
        content = read(min(length, size - position), position)
        whole = content[: content.rfind(b"\n") + 1]
        if whole:
            yield whole
            position, length = position + len(whole), PART
        elif len(content) < length:
            return  # the file has become shorter
        else:
            length *= 2  # a line that is longer than a part


def _note_return(returns: dict[int, int], line: str, number: int, name: str) -> None:
    """Note the number of valid lines before a rewind or a resume."""
    if line.startswith(_VOIDING):
        held = getattr(_event(line, name, number), "lines", None)
        returns[number] = number if held is None else min(held, number)


def _holding(returns: Mapping[int, int], lines: int) -> list[int]:
    """Return the numbers of the valid lines within the first ``lines``; see :func:`_valid`."""
    return [*itertools.chain.from_iterable(_valid(returns, lines))]


def _valid(returns: Mapping[int, int], lines: int) -> list[range]:
    """Return the ranges of the valid lines within the first ``lines``.

    Args:
        returns: The lines of rewinds and resumes, each with the number of lines valid before it.
        lines: The number of lines.
    """
    valid: list[range] = []
    for place in sorted(returns, reverse=True):
        if place < lines:
            valid.append(range(place, lines))
            lines = returns[place]
    valid.append(range(lines))
    return valid[::-1]


def _event(line: str, name: str, number: int) -> Event:
    """Parse the event of a line; ``number`` counts from 0."""
    try:
        return from_json(line)
    except InputError as error:
        raise InputError(f"{name}, line {number + 1}: {error}") from None


_hints = functools.cache(get_type_hints)


def record_of(value: Any, kind: Any) -> Any:
    """Return a JSON object as a dataclass.

    A field that was added later has a default, so that older files can still be read.

    Raises:
        TypeError, ValueError, KeyError, OverflowError: If the object does not fit.
    """
    hints = _hints(kind)
    given = [f.name for f in fields(kind) if f.default is MISSING or f.name in value]
    return kind(**{name: _value(value[name], hints[name]) for name in given})


def _value(value: Any, hint: Any) -> Any:
    """Convert a JSON value to a field's type: lists to tuples, objects to dataclasses.

    Raises:
        TypeError, ValueError, KeyError, OverflowError: If the value does not fit.
    """
    if hint is float:
        if value is None:
            return math.nan
        if type(value) is not float and type(value) is not int:
            raise TypeError(f"{value!r} is no number")
        float(value)  # an int can be too large for a float
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
    if get_origin(hint) is dict and not isinstance(value, dict):
        raise TypeError(f"{value!r} is no object")
    if get_origin(hint) is tuple:
        if not isinstance(value, list):
            raise TypeError(f"{value!r} is no list")
        item, *others = get_args(hint)
        hints_of = [item] * len(value) if others in ([], [...]) else [item, *others]
        return tuple(
            _value(part, part_hint) for part, part_hint in zip(value, hints_of, strict=True)
        )
    return value
