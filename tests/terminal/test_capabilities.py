"""Capabilities of a terminal and its streams."""

from __future__ import annotations

import io
import os

import pytest

from tui_trainer.terminal.capabilities import (
    CELL_FALLBACK,
    FALLBACK,
    encodable,
    is_dumb,
    is_plausible,
    terminal_size,
    use_fallback,
)

TEXT = "3×3 → … σ² “é” █▏ \udcff 数"


@pytest.mark.parametrize(
    ("encoding", "expected"),
    [
        ("ascii", '3x3 -> ... sigma^2 "?" #| ? ??'),
        ("latin-1", '3×3 -> ... sigma² "é" #| ? ??'),
        ("cp1252", "3×3 -> … sigma² “é” #| ? ??"),
        ("utf-8", "3×3 → … σ² “é” █▏ ? 数"),
        ("utf-16", "3×3 → … σ² “é” █▏ ? 数"),
    ],
)
def test_unencodable_characters_become_ascii(encoding: str, expected: str) -> None:
    stream = io.TextIOWrapper(io.BytesIO(), encoding=encoding)
    assert encodable(TEXT, stream) == expected
    assert TEXT.encode(encoding, FALLBACK).decode(encoding) == expected
    use_fallback(stream)
    print(TEXT, file=stream, flush=True)


def test_the_cell_fallback_keeps_the_width() -> None:
    shown = TEXT.encode("ascii", CELL_FALLBACK).decode()
    assert shown == '3x3 > . s2 "?" #| ? ??'
    assert len(shown) == len(TEXT) + 1, "the last one has two cells"


@pytest.mark.parametrize(
    ("kind", "dumb"),
    [("dumb", True), ("unknown", True), ("", True), (" Dumb ", True), ("xterm", False)],
)
def test_dumb_terminals(monkeypatch: pytest.MonkeyPatch, kind: str, dumb: bool) -> None:
    monkeypatch.setenv("TERM", kind)
    assert is_dumb() == dumb


def test_an_empty_term_is_dumb(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TERM", raising=False)
    assert is_dumb()


@pytest.mark.parametrize(
    ("columns", "width"),
    [("100", 100), ("abc", 80), ("0", 80), ("-5", 80), ("999999999", 80), ("", 80), ("1e3", 80)],
)
def test_variables_are_used_without_a_terminal(
    monkeypatch: pytest.MonkeyPatch, columns: str, width: int
) -> None:
    monkeypatch.setenv("COLUMNS", columns)
    monkeypatch.setenv("LINES", columns)
    monkeypatch.setattr(os, "get_terminal_size", lambda *_: os.terminal_size((0, 0)))
    assert terminal_size(io.StringIO()).columns == width
    assert is_plausible(columns) == (width == 100)


def test_the_size_of_the_terminal_takes_precedence(monkeypatch: pytest.MonkeyPatch) -> None:
    class Sized(io.StringIO):
        def fileno(self) -> int:
            return 2

    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setattr(os, "get_terminal_size", lambda *_: os.terminal_size((90, 30)))
    assert terminal_size(Sized()) == (90, 30)
