from __future__ import annotations

import io
import os
import signal
import threading
from collections.abc import Iterator

import pytest

from tests.headless.fakes import FakeClock, FakeTerminal, finished, started, step
from tui_trainer.headless.runner import run_headless
from tui_trainer.protocol.commands import Inbox, Stop
from tui_trainer.protocol.events import Event, StateChanged


@pytest.fixture(autouse=True)
def _handler() -> Iterator[None]:
    """A test may leave another handler behind."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


class WaitingEngine:
    """Trains until it is stopped; presses Ctrl+C itself, ``presses`` times."""

    def __init__(self, inbox: Inbox, presses: int) -> None:
        self.inbox, self.presses = inbox, presses
        self.taken: list[object] = []
        self.cleaned_up = False

    def __call__(self) -> Iterator[Event]:
        try:
            yield started()
            yield StateChanged(state="training", step=0)
            yield step(1)
            for _ in range(self.presses):
                signal.raise_signal(signal.SIGINT)
            yield step(2)
            self.taken += self.inbox.take(2)
            yield finished("interrupted" if self.taken else "completed")
        finally:
            self.cleaned_up = True


def test_the_first_interrupt_asks_for_a_report() -> None:
    inbox, out, err = Inbox(), io.StringIO(), io.StringIO()
    engine = WaitingEngine(inbox, presses=1)
    assert run_headless(engine(), inbox, stdout=out, stderr=err) == 130
    assert engine.taken == [Stop(reason="interrupted", test=False)]
    assert "press Ctrl+C again to exit at once" in err.getvalue()
    assert "test 99.31 %" in out.getvalue()
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_the_second_interrupt_leaves_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    inbox, out, err = Inbox(), io.StringIO(), FakeTerminal()
    engine = WaitingEngine(inbox, presses=2)
    assert run_headless(engine(), inbox, stdout=out, stderr=err, clock=FakeClock()) == 130
    assert engine.cleaned_up
    assert engine.taken == []
    assert out.getvalue() == ""
    assert err.getvalue().endswith("exited at once, without a report\n")
    assert "Traceback" not in err.getvalue()
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


@pytest.mark.parametrize("resumes", [False, True])
def test_before_the_training_the_first_interrupt_is_enough(resumes: bool) -> None:
    """A folder of a million pictures is read for an hour; there is nothing to save."""
    cleaned_up = []

    def reading() -> Iterator[Event]:
        try:
            if resumes:
                yield from (started(), StateChanged(state="training", step=0), step(1))
            yield StateChanged(state="preparing", step=0, detail="reading the images")
            signal.raise_signal(signal.SIGINT)
            yield started()
        finally:
            cleaned_up.append(True)

    out, err = io.StringIO(), io.StringIO()
    code = run_headless(reading(), Inbox(), stdout=out, stderr=err, resuming=resumes)
    assert (code, cleaned_up, out.getvalue()) == (130, [True], "")
    assert err.getvalue().endswith("interrupted before the training began\n")


def test_an_interrupt_after_the_last_batch_spoils_nothing() -> None:
    def engine() -> Iterator[Event]:
        yield started()
        yield finished()
        signal.raise_signal(signal.SIGINT)

    code = run_headless(engine(), Inbox(), stdout=io.StringIO(), stderr=io.StringIO())
    assert code == 0


def test_a_stream_that_is_being_written_to_is_not_written_to_again() -> None:
    class Busy(io.StringIO):
        def write(self, text: str) -> int:
            if "Ctrl+C" in text:
                raise RuntimeError("reentrant call inside <_io.BufferedWriter>")
            return super().write(text)

    inbox = Inbox()
    engine = WaitingEngine(inbox, presses=1)
    assert run_headless(engine(), inbox, stdout=io.StringIO(), stderr=Busy()) == 130
    assert engine.taken == [Stop(reason="interrupted", test=False)]


def test_an_ignored_interrupt_stays_ignored() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    inbox = Inbox()
    engine = WaitingEngine(inbox, presses=3)
    assert run_headless(engine(), inbox, stdout=io.StringIO(), stderr=io.StringIO()) == 0
    assert engine.taken == []
    assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN


def test_another_thread_leaves_the_signals_alone() -> None:
    codes: list[int] = []
    inbox = Inbox()
    engine = WaitingEngine(inbox, presses=0)

    def work() -> None:
        codes.append(run_headless(engine(), inbox, stdout=io.StringIO(), stderr=io.StringIO()))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join(timeout=30)
    assert codes == [0]


def test_a_paused_engine_is_woken() -> None:
    inbox = Inbox()

    def engine() -> Iterator[Event]:
        yield started()
        threading.Timer(0.05, os.kill, (os.getpid(), signal.SIGINT)).start()
        assert inbox.take(0, wait=True) == [Stop(reason="interrupted", test=False)]
        yield finished("interrupted")

    assert run_headless(engine(), inbox, stdout=io.StringIO(), stderr=io.StringIO()) == 130
