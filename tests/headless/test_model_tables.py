"""The progress while a model is measured."""

from __future__ import annotations

import io
import sys
from collections.abc import Iterator

import pytest

from tests.headless.fakes import FakeTerminal
from tui_trainer.headless.model_tables import with_progress


def parts() -> Iterator[int]:
    yield from range(3)


def test_a_terminal_shows_the_progress_and_is_left_clean(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = FakeTerminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setenv("TERM", "xterm")

    assert list(with_progress("measuring", parts(), 3)) == [0, 1, 2]
    assert "measuring: 1 of 3 layers" in terminal.getvalue()
    assert terminal.getvalue().endswith("\r\x1b[K")


def test_a_file_gets_no_progress(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = io.StringIO()
    monkeypatch.setattr(sys, "stderr", stream)

    assert list(with_progress("measuring", parts(), 3)) == [0, 1, 2]
    assert stream.getvalue() == ""
