"""The values in filters of runs: how they are written, and compared with those of a run."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from tui_trainer.recording.query_error import HasFields
from tui_trainer.recording.run_fields import Field, Kind, Value
from tui_trainer.text.fmt import clip, one_line

Test = Callable[[HasFields], bool]
"""Whether a run matches."""


def contains(fields: Mapping[str, Value], word: str) -> bool:
    """Return whether name, model, note or a tag of a run contains a word in lower case."""
    texts = [fields["name"], fields["model"], fields["note"], *(fields["tag"] or ())]  # type: ignore[misc]
    return any(word in str(text).casefold() for text in texts if text is not None)


def comparison(field: Field, sign: str, wanted: Any) -> Test:
    """Return a comparison of a field with a parsed value."""
    name, compare = field.name, _COMPARISONS[sign.replace("!", "")]
    read = _READERS.get(field.kind, lambda value: value)
    is_inverted = sign == "!="

    def test(run: HasFields) -> bool:
        value = run.fields[name]
        if value is None:
            return is_inverted
        items = value if isinstance(value, tuple) else (value,)
        return any(compare(read(item), wanted) for item in items) != is_inverted

    return test


def _is_equal(value: Any, wanted: Any) -> bool:
    if isinstance(wanted, float) and isinstance(value, int | float):
        return math.isclose(value, wanted, rel_tol=1e-9, abs_tol=1e-15)
    return bool(value == wanted)


_COMPARISONS: Mapping[str, Callable[[Any, Any], bool]] = {
    "=": _is_equal,
    "<": lambda value, wanted: value < wanted and not _is_equal(value, wanted),
    ">": lambda value, wanted: value > wanted and not _is_equal(value, wanted),
    "<=": lambda value, wanted: value < wanted or _is_equal(value, wanted),
    ">=": lambda value, wanted: value > wanted or _is_equal(value, wanted),
    "~": lambda value, wanted: wanted in value,
}


def _moment(text: str) -> datetime:
    """Return an ISO time in UTC; without a zone it is local time."""
    return datetime.fromisoformat(text).astimezone(UTC)


def _moment_or_least(text: str) -> datetime:
    try:
        return _moment(text)
    except (ValueError, OverflowError):
        return datetime.min.replace(tzinfo=UTC)


_READERS: Mapping[Kind, Callable[[Any], Any]] = {
    Kind.TEXT: str.casefold,
    Kind.TAGS: str.casefold,
    Kind.TIME: _moment_or_least,
}

_SCALES = {"": 1.0, "%": 0.01, "k": 1e3, "M": 1e6, "G": 1e9}
_UNITS = {"h": 3600.0, "m": 60.0, "min": 60.0, "s": 1.0}


def _number(text: str) -> float:
    """Return a number; ``k``, ``M`` and ``%`` are factors.

    Raises:
        ValueError: If it is none.
    """
    match = re.fullmatch(r"(.*?)\s*([%kMG]?)", text)
    try:
        value = float(match[1]) * _SCALES[match[2]] if match else math.nan
    except ValueError:
        value = math.nan
    if math.isnan(value):
        raise ValueError(f"is a number, not {clip(one_line(text), 30)}")
    return value


def _fraction(text: str) -> float:
    value = _number(text)
    if not 0 <= value <= 1:
        raise ValueError(f"is a fraction from 0 to 1, not {clip(one_line(text), 30)}")
    return value


def _seconds(text: str) -> float:
    """Return a duration in seconds: ``90``, ``90s``, ``5m``, ``1h30m``, ``5:12``, ``1:02:03``.

    Raises:
        ValueError: If it is none.
    """
    if re.fullmatch(r"\d+(:\d\d){1,2}(\.\d+)?", text):
        seconds = 0.0
        for part in text.split(":"):
            seconds = seconds * 60 + float(part)
        return seconds
    number = r"(\d+(?:\.\d*)?|\.\d+)"
    if re.fullmatch(rf"(?:{number}(?:h|min|m|s))+", text):
        return sum(
            float(value) * _UNITS[unit] for value, unit in re.findall(rf"{number}(h|min|m|s)", text)
        )
    try:
        return float(text)
    except ValueError:
        raise ValueError(f"is a duration, not {clip(one_line(text), 30)}") from None


def _time(text: str) -> datetime:
    try:
        return _moment(text)
    except (ValueError, OverflowError):
        raise ValueError(f"is a time, not {clip(one_line(text), 30)}") from None


def _switch(text: str) -> bool:
    words = {"true": True, "yes": True, "on": True, "false": False, "no": False, "off": False}
    if text.casefold() not in words:
        raise ValueError(f"is true or false, not {clip(one_line(text), 30)}")
    return words[text.casefold()]


PARSERS: Mapping[Kind, Callable[[str], Any]] = {
    Kind.TEXT: str.casefold,
    Kind.TAGS: str.casefold,
    Kind.COUNT: _number,
    Kind.NUMBER: _number,
    Kind.FRACTION: _fraction,
    Kind.SECONDS: _seconds,
    Kind.TIME: _time,
    Kind.SWITCH: _switch,
}

WHAT = {
    Kind.TEXT: "text",
    Kind.TAGS: "list of tags",
    Kind.COUNT: "number",
    Kind.NUMBER: "number",
    Kind.FRACTION: "fraction",
    Kind.SECONDS: "duration",
    Kind.TIME: "time",
    Kind.SWITCH: "switch",
}

ORDERING = ("=", "!=", "<", "<=", ">", ">=")
SIGNS: Mapping[Kind, Sequence[str]] = {
    Kind.TEXT: ("=", "!=", "~"),
    Kind.TAGS: ("=", "!=", "~"),
    Kind.SWITCH: ("=", "!="),
    # Nobody knows the second of a start: an equal time would match nothing.
    Kind.TIME: ("<", "<=", ">", ">="),
}
"""The operators of the kinds that have not all of them."""

EXAMPLES = {
    Kind.TEXT: "write a word, or several in quotes",
    Kind.TAGS: "write a tag",
    Kind.COUNT: "write for example 5, 8k or 1.2M",
    Kind.NUMBER: "write for example 0.05",
    Kind.FRACTION: "write for example 0.99 or 99%",
    Kind.SECONDS: "write for example 90s, 5m, 1h30m or 5:12",
    Kind.TIME: "write for example 2026-11-20 or 2026-11-20T18:30",
    Kind.SWITCH: "write true or false",
}
