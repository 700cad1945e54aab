"""What a terminal and its streams can show."""

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
    ("encoding", "told"),
    [
        ("ascii", '3x3 -> ... sigma^2 "?" #| ? ??'),
        ("latin-1", '3×3 -> ... sigma² "é" #| ? ??'),
        ("cp1252", "3×3 -> … sigma² “é” #| ? ??"),
        ("utf-8", "3×3 → … σ² “é” █▏ ? 数"),
        ("utf-16", "3×3 → … σ² “é” █▏ ? 数"),
    ],
)
def test_what_cannot_be_encoded_is_readable_ascii(encoding: str, told: str) -> None:
    stream = io.TextIOWrapper(io.BytesIO(), encoding=encoding)
    assert encodable(TEXT, stream) == told
    assert TEXT.encode(encoding, FALLBACK).decode(encoding) == told
    use_fallback(stream)
    print(TEXT, file=stream, flush=True)


def test_on_a_screen_every_character_keeps_its_cells() -> None:
    shown = TEXT.encode("ascii", CELL_FALLBACK).decode()
    assert shown == '3x3 > . s2 "?" #| ? ??'
    assert len(shown) == len(TEXT) + 1, "the last one has two cells"


@pytest.mark.parametrize(
    ("kind", "dumb"),
    [("dumb", True), ("unknown", True), ("", True), (" Dumb ", True), ("xterm", False)],
)
def test_terminals_that_move_no_cursor(
    monkeypatch: pytest.MonkeyPatch, kind: str, dumb: bool
) -> None:
    monkeypatch.setenv("TERM", kind)
    assert is_dumb() == dumb


def test_no_kind_at_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TERM", raising=False)
    assert is_dumb()


@pytest.mark.parametrize(
    ("columns", "width"),
    [("100", 100), ("abc", 80), ("0", 80), ("-5", 80), ("999999999", 80), ("", 80), ("1e3", 80)],
)
def test_columns_count_where_there_is_no_terminal(
    monkeypatch: pytest.MonkeyPatch, columns: str, width: int
) -> None:
    monkeypatch.setenv("COLUMNS", columns)
    monkeypatch.setenv("LINES", columns)
    monkeypatch.setattr(os, "get_terminal_size", lambda *_: os.terminal_size((0, 0)))
    assert terminal_size(io.StringIO()).columns == width
    assert is_plausible(columns) == (width == 100)


def test_a_terminal_knows_its_size_better_than_a_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    class Sized(io.StringIO):
        def fileno(self) -> int:
            return 2

    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setattr(os, "get_terminal_size", lambda *_: os.terminal_size((90, 30)))
    assert terminal_size(Sized()) == (90, 30)
