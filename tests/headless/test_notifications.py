from __future__ import annotations

import io
from collections.abc import Iterable

import pytest

from tests.headless.fakes import Engine, FakeTerminal, finished, started, whole_run
from tests.protocol.facts import finding
from tui_trainer.headless.runner import run_headless
from tui_trainer.protocol.commands import Inbox
from tui_trainer.protocol.events import Event, RunResumed

ENDED = "\a\x1b]777;notify;mnist-tui;era-s6 finished: test 99.31 % [99.13, 99.45], 2 epochs\x1b\\"
RESUMED = RunResumed(step=20, epoch=2, images=2_000, threads=1, lines=1)


@pytest.fixture(autouse=True)
def _terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("TMUX", "STY", "ZELLIJ"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "foot")


def heard(
    events: Iterable[Event],
    stderr: io.StringIO,
    *,
    notify: str = "auto",
    resuming: bool = False,
    error: Exception | None = None,
) -> str:
    """Return what a run writes to stderr."""
    run_headless(
        Engine(events, error),
        Inbox(),
        stdout=io.StringIO(),
        stderr=stderr,
        notify=notify,
        resuming=resuming,
    )
    return stderr.getvalue()


def test_a_terminal_is_notified_of_the_end() -> None:
    assert heard(whole_run(), FakeTerminal()).count(ENDED) == 1
    text = heard(whole_run(), FakeTerminal(), notify="bell")
    assert (text.count("\a"), text.count("\x1b]")) == (1, 0)
    assert "\a" not in heard(whole_run(), FakeTerminal(), notify="off")


def test_a_file_and_a_pipe_are_not() -> None:
    assert "\a" not in heard(whole_run(), io.StringIO())


def test_an_error_is_notified_once() -> None:
    error = finding(severity="error", title="dead ReLUs")
    text = heard([started(), error, error, finished("interrupted", correct=None)], FakeTerminal())
    assert text.count("\a") == 1
    assert "era-s6: error: dead ReLUs\x1b\\" in text


def test_a_failure_is_notified() -> None:
    text = heard([started()], FakeTerminal(), error=ValueError("a\x1b\\b;c"))
    assert "\a\x1b]777;notify;mnist-tui;era-s6 failed: ValueError: a \\b,c\x1b\\" in text


def test_the_past_of_a_resumed_run_notifies_nothing() -> None:
    past = [*whole_run(), RESUMED]
    assert "\a" not in heard(past, FakeTerminal(), resuming=True)
    assert heard([*past, finished()], FakeTerminal(), resuming=True).count(ENDED) == 1
