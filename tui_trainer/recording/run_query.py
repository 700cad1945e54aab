"""Filters, sort keys and groups of runs, as a person writes them.

A filter is made of words and comparisons::

    small                                     name, model, note or a tag contains "small"
    val_acc > 99% and model = small           compare fields; the names are in FIELDS
    (lr in (0.1, 0.05) or not tag = old) and time < 5m

Comparisons are joined by ``and`` and ``or``; words next to each other must all be found. A run
without a value (``none``) meets only ``!=``, ``not in`` and ``= none``.
"""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Generic, Protocol, TypeVar

from tui_trainer.protocol.errors import InputError
from tui_trainer.recording.run_fields import FIELDS, Field, Kind, Value, field_named
from tui_trainer.text.fmt import clip, one_line, printable

LONGEST = 2_000
"""The longest filter, in characters."""

DEEPEST = 40
"""The most parentheses and ``not`` within each other."""

SHOWN = 60
"""Columns of a filter in an error message."""


class HasFields(Protocol):
    """A run in a list."""

    @property
    def fields(self) -> Mapping[str, Value]:
        """Its fields by name."""


RunT = TypeVar("RunT", bound=HasFields)


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


Test = Callable[[HasFields], bool]


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
    return Filter(text, _Parser(text).parse())


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
        found.append((word, _field(text, name, column)))
    if not found:
        raise QueryError(text, "names no field; write for example val_acc,name", 0)
    return found


def _field(text: str, name: str, column: int) -> Field:
    field = field_named(name)
    if field is None:
        near = difflib.get_close_matches(name.casefold()[:40], FIELDS, n=1)
        advice = f"did you mean {near[0]}?" if near else "`mnist-tui runs --fields` lists them all"
        raise QueryError(text, f"unknown field {clip(one_line(name), 40)}; {advice}", column)
    return field


# --- the parts of a filter

_TOKEN = re.compile(
    r"""\s*(?:
      (?P<string>"[^"]*"|'[^']*')
    | (?P<op><=|>=|==|!=|<>|[=<>~≤≥≠])
    | (?P<mark>[(),])
    | (?P<bad>["'&|!]+)
    | (?P<word>(?:(?!!=)[^\s()=<>~≤≥≠,&|])+)
    )""",
    re.VERBOSE,
)

_OPERATORS = {"==": "=", "<>": "!=", "≠": "!=", "≤": "<=", "≥": ">="}

_BAD = {"&": "write and", "|": "write or", "!": "write not, or != between a field and a value"}


@dataclass(frozen=True, slots=True)
class _Token:
    kind: str
    text: str
    column: int

    def is_word(self, *words: str) -> bool:
        return self.kind == "word" and self.text.casefold() in words


def _tokens(text: str) -> list[_Token]:
    found, place = [], 0
    while text[place:].strip():
        match = _TOKEN.match(text, place)
        assert match is not None  # every character begins a token
        kind = str(match.lastgroup)
        token = _Token(kind, match[kind], match.start(kind))
        if kind == "bad":
            first = token.text[0]
            advice = _BAD.get(first, f"the closing {first} is missing")
            raise QueryError(text, advice, token.column)
        if kind == "string":
            token = _Token(kind, token.text[1:-1], token.column)
        found.append(token)
        place = match.end()
    return [*found, _Token("end", "", len(text.rstrip()))]


class _Parser:
    """A parser by recursive descent: or, and, not, then a comparison or a word."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._tokens = _tokens(text)
        self._place = 0
        self._depth = 0

    def parse(self) -> Test:
        if self._next.kind == "end":
            return lambda run: True
        test = self._any()
        if self._next.kind != "end":
            raise self._error(self._surplus(self._next))
        return test

    @property
    def _next(self) -> _Token:
        return self._tokens[self._place]

    def _after(self, more: int = 1) -> _Token:
        return self._tokens[min(self._place + more, len(self._tokens) - 1)]

    def _take(self) -> _Token:
        token = self._next
        self._place = min(self._place + 1, len(self._tokens) - 1)
        return token

    def _error(self, problem: str, token: _Token | None = None) -> QueryError:
        return QueryError(self._text, problem, (token or self._next).column)

    def _surplus(self, token: _Token) -> str:
        if token.text == ")":
            return "this ) closes nothing; remove it"
        if token.kind in ("op", "mark"):
            return f"a field is missing before {token.text}; write for example val_acc > 0.99"
        return f"and or or is missing before {clip(token.text, 30)}; quote a value of several words"

    def _any(self) -> Test:
        tests = [self._all()]
        while self._next.is_word("or"):
            self._take()
            tests.append(self._all())
        return tests[0] if len(tests) == 1 else lambda run: any(test(run) for test in tests)

    def _all(self) -> Test:
        tests = [self._inverted()]
        while self._next.is_word("and"):
            self._take()
            tests.append(self._inverted())
        return tests[0] if len(tests) == 1 else lambda run: all(test(run) for test in tests)

    def _inverted(self) -> Test:
        if self._next.is_word("not"):
            self._take()
            test = self._nested(self._inverted)
            return lambda run: not test(run)
        return self._term()

    def _nested(self, parse: Callable[[], Test]) -> Test:
        self._depth += 1
        if self._depth > DEEPEST:
            raise self._error(f"nested more than {DEEPEST} deep; simplify the filter")
        test = parse()
        self._depth -= 1
        return test

    def _term(self) -> Test:
        token = self._next
        if token.text == "(" and token.kind == "mark":
            self._take()
            test = self._nested(self._any)
            if self._next.text != ")" or self._next.kind != "mark":
                is_end = self._next.kind == "end"
                raise self._error(
                    "the closing ) is missing" if is_end else self._surplus(self._next)
                )
            self._take()
            return test
        if token.kind == "end" or token.is_word("and", "or"):
            raise self._error("a comparison or a word is missing here")
        if token.kind in ("op", "mark"):
            raise self._error(self._surplus(token))
        return self._comparison() if self._is_comparison() else self._words()

    def _is_comparison(self) -> bool:
        """Return whether the next word is a field before an operator."""
        if self._next.kind != "word":
            return False
        after = self._after()
        if after.kind == "op":
            return True
        is_list = after.is_word("in") or (after.is_word("not") and self._after(2).is_word("in"))
        return is_list and field_named(self._next.text) is not None

    def _words(self) -> Test:
        """Parse words next to each other, which a run must all contain."""
        words: list[str] = []
        while self._next.kind in ("word", "string"):
            token = self._next
            if token.is_word("and", "or", "not"):
                break
            if self._is_comparison():
                raise self._error(self._surplus(token))
            field = field_named(token.text) if token.kind == "word" else None
            after = self._after()
            is_joined = after.is_word("and", "or") or after.kind not in ("word", "string")
            if field is not None and not is_joined:
                raise self._error(
                    f"an operator is missing: write {field.name} = …, or quote the word "
                    f'"{token.text}" to search for it',
                    after,
                )
            words.append(self._take().text.casefold())
        return lambda run: all(_contains(run.fields, word) for word in words)

    def _comparison(self) -> Test:
        name = self._take()
        field = _field(self._text, name.text, name.column)
        operator = self._take()
        if operator.kind == "word":
            is_not = operator.is_word("not")
            if is_not:
                self._take()
            found = self._list(field)
            return lambda run: any(test(run) for test in found) != is_not
        sign = _OPERATORS.get(operator.text, operator.text)
        if sign not in _SIGNS.get(field.kind, _ORDERING):
            signs = ", ".join(_SIGNS.get(field.kind, _ORDERING))
            raise self._error(
                f"{field.name} is a {_WHAT[field.kind]}, which {sign} does not compare; "
                f"use {signs}",
                operator,
            )
        return self._compared(field, sign)

    def _list(self, field: Field) -> list[Test]:
        """Parse the values after ``in``, with or without parentheses."""
        is_open = self._next.text == "(" and self._next.kind == "mark"
        if is_open:
            self._take()
        tests = [self._compared(field, "=")]
        while self._next.text == "," and self._next.kind == "mark":
            self._take()
            tests.append(self._compared(field, "="))
        if is_open:
            if self._next.text != ")" or self._next.kind != "mark":
                raise self._error(f"a comma or ) is missing in the list of {field.name}")
            self._take()
        return tests

    def _compared(self, field: Field, sign: str) -> Test:
        """Parse a value; return the comparison with it."""
        token = self._next
        if token.kind not in ("word", "string") or token.is_word("and", "or", "not"):
            raise self._error(
                f"a value is missing after {field.name} {sign}; {_EXAMPLES[field.kind]}"
            )
        self._take()
        if token.is_word("none"):
            if sign not in ("=", "!="):
                raise self._error("none is compared with = or !=", token)
            return lambda run: (run.fields[field.name] is None) == (sign == "=")
        text = token.text
        if self._next.is_word("%") and field.kind is Kind.FRACTION:
            self._take()
            text += "%"
        try:
            wanted = _PARSERS[field.kind](text)
        except ValueError as error:
            raise self._error(f"{field.name} {error}; {_EXAMPLES[field.kind]}", token) from None
        return _test(field, sign, wanted)


def _contains(fields: Mapping[str, Value], word: str) -> bool:
    texts = [fields["name"], fields["model"], fields["note"], *(fields["tag"] or ())]  # type: ignore[misc]
    return any(word in str(text).casefold() for text in texts if text is not None)


def _test(field: Field, sign: str, wanted: Any) -> Test:
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


_PARSERS: Mapping[Kind, Callable[[str], Any]] = {
    Kind.TEXT: str.casefold,
    Kind.TAGS: str.casefold,
    Kind.COUNT: _number,
    Kind.NUMBER: _number,
    Kind.FRACTION: _fraction,
    Kind.SECONDS: _seconds,
    Kind.TIME: _time,
    Kind.SWITCH: _switch,
}

_WHAT = {
    Kind.TEXT: "text",
    Kind.TAGS: "list of tags",
    Kind.COUNT: "number",
    Kind.NUMBER: "number",
    Kind.FRACTION: "fraction",
    Kind.SECONDS: "duration",
    Kind.TIME: "time",
    Kind.SWITCH: "switch",
}

_ORDERING = ("=", "!=", "<", "<=", ">", ">=")
_SIGNS: Mapping[Kind, Sequence[str]] = {
    Kind.TEXT: ("=", "!=", "~"),
    Kind.TAGS: ("=", "!=", "~"),
    Kind.SWITCH: ("=", "!="),
    # Nobody knows the second of a start: an equal time would match nothing.
    Kind.TIME: ("<", "<=", ">", ">="),
}
"""The operators of the kinds that have not all of them."""

_EXAMPLES = {
    Kind.TEXT: "write a word, or several in quotes",
    Kind.TAGS: "write a tag",
    Kind.COUNT: "write for example 5, 8k or 1.2M",
    Kind.NUMBER: "write for example 0.05",
    Kind.FRACTION: "write for example 0.99 or 99%",
    Kind.SECONDS: "write for example 90s, 5m, 1h30m or 5:12",
    Kind.TIME: "write for example 2026-11-20 or 2026-11-20T18:30",
    Kind.SWITCH: "write true or false",
}
