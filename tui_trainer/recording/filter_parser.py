"""The parser of filters of runs, by recursive descent."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from tui_trainer.recording.filter_values import (
    EXAMPLES,
    ORDERING,
    PARSERS,
    SIGNS,
    WHAT,
    Test,
    comparison,
    contains,
)
from tui_trainer.recording.query_error import QueryError, known_field
from tui_trainer.recording.run_fields import Field, Kind, field_named
from tui_trainer.text.fmt import clip

DEEPEST = 40
"""The most parentheses and ``not`` within each other."""

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


class FilterParser:
    """A parser of one filter: or, and, not, then a comparison or a word."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._tokens = _tokens(text)
        self._place = 0
        self._depth = 0

    def parse(self) -> Test:
        """Return the test that the filter is.

        Raises:
            QueryError: If it is invalid.
        """
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
        return lambda run: all(contains(run.fields, word) for word in words)

    def _comparison(self) -> Test:
        name = self._take()
        field = known_field(self._text, name.text, name.column)
        operator = self._take()
        sign = _OPERATORS.get(operator.text, operator.text)
        is_list, signs = operator.kind == "word", SIGNS.get(field.kind, ORDERING)
        if ("=" if is_list else sign) not in signs:
            raise self._error(
                f"{field.name} is a {WHAT[field.kind]}, which {sign} does not compare; "
                f"use {', '.join(signs)}",
                operator,
            )
        if not is_list:
            return self._compared(field, sign)
        is_not = operator.is_word("not")
        if is_not:
            self._take()
        found = self._list(field)
        return lambda run: any(test(run) for test in found) != is_not

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
                f"a value is missing after {field.name} {sign}; {EXAMPLES[field.kind]}"
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
            wanted = PARSERS[field.kind](text)
        except ValueError as error:
            raise self._error(f"{field.name} {error}; {EXAMPLES[field.kind]}", token) from None
        return comparison(field, sign, wanted)
