"""Notifications and failed hooks in the window."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
from collections.abc import Sequence

import pytest

from tests.ui.fakes import FakeEngine, recording, until, wait_for_events, window
from tui_trainer.protocol.config import RunConfig
from tui_trainer.protocol.events import Diverged, Event, HookFailed, RunFinished, RunResumed
from tui_trainer.ui.app import MnistTui
from tui_trainer.ui.pacing import Governor

PAUSED, DIVERGED, DONE = recording("paused"), recording("diverged"), recording("finished")
SIZE = (120, 40)
RESUMED = RunResumed(step=1, epoch=1, images=1, threads=1, lines=1)


class Heard(MnistTui):
    """The app, with what it wrote to the terminal."""

    def __init__(self, engine: FakeEngine, *, notify: str, resuming: bool = False) -> None:
        super().__init__(
            engine,
            RunConfig(),
            notify=notify,
            resuming=resuming,
            governor=Governor(cpu_time=lambda: 0.0),
        )
        self.heard: list[str] = []

    def write_to_terminal(self, sequence: str) -> None:
        if sequence:
            self.heard.append(sequence)


async def heard(
    events: Sequence[Event], *, notify: str = "auto", resuming: bool = False
) -> list[str]:
    app = Heard(FakeEngine(events), notify=notify, resuming=resuming)
    async with app.run_test(size=SIZE) as pilot:
        await wait_for_events(pilot, app, events)
    return app.heard


@pytest.fixture(autouse=True)
def _terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("TMUX", "STY", "ZELLIJ"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "foot")


async def test_the_end_of_a_run_notifies() -> None:
    [sequence] = await heard(DONE)
    assert sequence.startswith("\a\x1b]777;notify;mnist-tui;")
    assert " finished: test 9" in sequence
    assert await heard(DONE, notify="bell") == ["\a"]
    assert await heard(DONE, notify="off") == []


async def test_a_divergence_notifies_once() -> None:
    events = [event for event in DIVERGED if not isinstance(event, RunFinished)]
    step = next(event.step for event in events if isinstance(event, Diverged))
    [sequence] = [text for text in await heard(events) if "diverged" in text]
    assert f"diverged at step {step:,}" in sequence


async def test_the_past_of_a_resumed_run_notifies_nothing() -> None:
    assert await heard([*DONE, RESUMED, *PAUSED], resuming=True) == []
    assert len(await heard([*DONE, RESUMED, *DONE], resuming=True)) == 1


async def test_a_failed_hook_is_a_toast_and_does_not_end_the_run() -> None:
    app, _ = window(PAUSED)
    async with app.run_test(size=SIZE) as pilot:
        await wait_for_events(pilot, app, PAUSED)
        failure = HookFailed(hook="on-end", message="exit code 3: no mail server")
        threading.Thread(target=app.post_hook_failure, args=(failure,)).start()
        await until(pilot, lambda app: bool(app._notifications), app)
        [toast] = app._notifications
        assert toast.message == ("--on-end: exit code 3: no mail server; the run is not affected")
        assert app.live_run.is_running


async def test_a_signal_waits_for_the_hooks_after_the_run_has_stopped() -> None:
    app, engine = window(PAUSED)
    waited = threading.Event()

    def wait() -> None:
        assert engine.received, "the run was stopped before"
        waited.set()

    app.before_exit = wait
    async with app.run_test(size=SIZE) as pilot:
        await wait_for_events(pilot, app, PAUSED)
        os.kill(os.getpid(), signal.SIGTERM)
        await asyncio.to_thread(waited.wait, 20)
    assert waited.is_set()
