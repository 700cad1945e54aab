"""Hooks: when they run, what they read, and that they never touch the run."""

from __future__ import annotations

import io
import json
import os
import signal
import threading
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.headless.fakes import finished, started, step, whole_run
from tests.protocol.facts import finding
from tui_trainer.headless.hooks import MAX_WAITING, Hooks, hook_record
from tui_trainer.headless.runner import run_headless
from tui_trainer.history.run_state import RunState
from tui_trainer.protocol.commands import Inbox, Stop
from tui_trainer.protocol.errors import InputError
from tui_trainer.protocol.events import (
    Diverged,
    Event,
    FindingCleared,
    FindingRaised,
    HookFailed,
    RecordingStarted,
    RecordRead,
    RunFailed,
    StateChanged,
)

pytestmark = pytest.mark.skipif(os.name == "nt", reason="the commands are for a POSIX shell")

WARNING = finding(code="overfitting")
ERROR = finding(code="dead_units", severity="error", title="dead ReLUs")
NOTE = finding(code="plateau", severity="note")
CLEARED = FindingCleared(code=WARNING.code, step=40)


def writing(path: Path) -> str:
    """A command that appends its input as a line."""
    return f"cat >> {path}; echo >> {path}"


def read(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def watched(hooks: Hooks, events: Iterable[Event], past: Iterable[Event] = ()) -> list[Event]:
    """The events of a run that waits for its hooks at the end."""
    return list(hooks.watch(iter([*events]), past, Inbox()))


def codes(path: Path) -> list[str]:
    return [record["finding"]["code"] for record in read(path)]


@pytest.mark.parametrize(
    "reason", ["completed", "stopped", "diverged", "interrupted", "terminated", "disconnected"]
)
def test_on_end_reads_the_summary(tmp_path: Path, reason: str) -> None:
    hooks = Hooks(on_end=writing(tmp_path / "end"))
    events = [RecordingStarted(folder="runs/one"), *whole_run()[:-1], finished(reason)]
    assert watched(hooks, events) == events
    [record] = read(tmp_path / "end")
    assert record["event"] == "end"
    assert record["folder"] == os.path.abspath("runs/one")
    assert (record["state"], record["model"], record["step"]) == (reason, "era-s6", 20)
    assert record["finding"] is record["failure"] is None


def test_an_unrecorded_run_has_no_folder(tmp_path: Path) -> None:
    watched(Hooks(on_end=writing(tmp_path / "end")), whole_run())
    assert read(tmp_path / "end")[0]["folder"] is None


def test_a_path_that_is_not_utf_8_is_still_json() -> None:
    run = RunState.of([RecordingStarted(folder="/runs/\udcff")])
    text = json.dumps(hook_record(run))
    assert json.loads(text)["folder"] == "/runs/\udcff"
    assert text.isascii()


def test_a_handed_over_run_has_not_ended(tmp_path: Path) -> None:
    events = whole_run()[:-1]
    watched(Hooks(on_end=writing(tmp_path / "end")), [*events, finished("detached")])
    assert read(tmp_path / "end") == []


def test_a_run_that_raises_has_ended(tmp_path: Path) -> None:
    def failing() -> Iterator[Event]:
        yield started()
        raise ValueError("no memory")

    run = Hooks(on_end=f"{writing(tmp_path / 'end')}; exit 3").watch(failing(), (), Inbox())
    seen = [next(run), next(run)]
    assert seen == [started(), HookFailed(hook="on-end", message="exit code 3")]
    with pytest.raises(ValueError, match="no memory"):
        next(run)
    [record] = read(tmp_path / "end")
    assert (record["state"], record["failure"]) == ("failed", "ValueError: no memory")


def test_a_reported_failure_is_an_end(tmp_path: Path) -> None:
    watched(
        Hooks(on_end=writing(tmp_path / "end")), [started(), RunFailed(message="m", traceback="")]
    )
    assert [record["state"] for record in read(tmp_path / "end")] == ["failed"]


def test_a_run_that_cannot_start_has_no_end(tmp_path: Path) -> None:
    def refused() -> Iterator[Event]:
        yield from ()
        raise InputError("no such file")

    with pytest.raises(InputError):
        list(Hooks(on_end=writing(tmp_path / "end")).watch(refused(), (), Inbox()))
    assert read(tmp_path / "end") == []


def test_on_finding_runs_once_until_the_finding_clears(tmp_path: Path) -> None:
    hooks = Hooks(on_finding=writing(tmp_path / "found"))
    events: list[Event] = [started(), NOTE, WARNING, WARNING, ERROR, CLEARED, WARNING, finished()]
    assert watched(hooks, events) == events
    assert codes(tmp_path / "found") == ["overfitting", "dead_units", "overfitting"]
    record = read(tmp_path / "found")[1]
    assert (record["event"], record["state"]) == ("finding", "running")
    found = record["finding"]
    assert (found["severity"], found["title"], found["step"]) == ("error", "dead ReLUs", 30)
    assert {"cause", "causes", "advice"} <= found.keys()


def test_a_divergence_counts_as_a_finding(tmp_path: Path) -> None:
    divergence = finding(code="divergence", severity="error")
    events: list[Event] = [
        started(),
        Diverged(step=3, epoch=1, lr=1.0),
        divergence,
        finished("diverged"),
    ]
    watched(Hooks(on_finding=writing(tmp_path / "found")), events)
    assert codes(tmp_path / "found") == ["divergence"]
    assert read(tmp_path / "found")[0]["state"] == "diverged"


def test_the_past_of_a_resumed_run_starts_nothing(tmp_path: Path) -> None:
    hooks = Hooks(writing(tmp_path / "end"), writing(tmp_path / "found"))
    past = [*whole_run()[:-1], WARNING]
    watched(hooks, [WARNING, ERROR, finished()], past)
    assert codes(tmp_path / "found") == ["dead_units"]
    [record] = read(tmp_path / "end")
    assert record["model"] == "era-s6", "the summary knows the past"


def test_the_record_of_an_attached_run_starts_nothing(tmp_path: Path) -> None:
    hooks = Hooks(writing(tmp_path / "end"), writing(tmp_path / "found"))
    read_before = RecordRead(events=(*whole_run()[:-1], WARNING))
    killed = StateChanged(state="killed", step=20)
    watched(hooks, [read_before, WARNING, ERROR, killed])
    assert codes(tmp_path / "found") == ["dead_units"]
    assert [record["state"] for record in read(tmp_path / "end")] == ["killed"]
    ended = RecordRead(events=tuple(whole_run()))
    assert watched(Hooks(on_end="exit 3"), [ended]) == [ended]


def test_without_commands_the_events_are_untouched() -> None:
    events = iter(whole_run())
    assert Hooks(None, "").watch(events) is events


def test_a_failure_is_an_event_and_nothing_else(tmp_path: Path) -> None:
    events = whole_run()
    hooks = Hooks(on_end="echo why >&2; exit 3")
    failure = HookFailed(hook="on-end", message="exit code 3: why")
    assert watched(hooks, events) == [*events, failure]
    out, err = io.StringIO(), io.StringIO()
    inbox = Inbox()
    run = Hooks(on_end="echo why >&2; exit 3").watch(iter(events), (), inbox)
    assert run_headless(run, inbox, stdout=out, stderr=err) == 0
    assert "▲ --on-end: exit code 3: why; the run is not affected" in err.getvalue()


def test_a_failure_is_yielded_during_training() -> None:
    hooks = Hooks(on_finding="exit 3")

    def training() -> Iterator[Event]:
        yield started()
        yield WARNING
        number = 0
        while True:
            number += 1
            yield step(number)
            time.sleep(0.01)

    run = hooks.watch(training(), (), Inbox())
    failure = next(event for event in run if isinstance(event, HookFailed))
    assert failure == HookFailed(hook="on-finding", message="exit code 3")


def test_training_does_not_wait_and_one_command_runs_at_a_time(tmp_path: Path) -> None:
    """The first command runs until all events have been taken."""
    go, log = tmp_path / "go", tmp_path / "log"
    command = f"echo begin >> {log}; while [ ! -e {go} ]; do sleep 0.02; done; echo end >> {log}"
    run = Hooks(on_finding=command).watch(iter([started(), WARNING, ERROR]), (), Inbox())
    assert [next(run) for _ in range(3)] == [started(), WARNING, ERROR]
    go.touch()
    assert list(run) == []
    assert log.read_text().split() == ["begin", "end", "begin", "end"]


def test_many_findings_are_bounded(tmp_path: Path) -> None:
    go = tmp_path / "go"
    hooks = Hooks(on_finding=f"while [ ! -e {go} ]; do sleep 0.02; done; echo >> {tmp_path}/log")
    many = [finding(code=f"code{number}") for number in range(100)]
    run = hooks.watch(iter([started(), *many, finished()]), (), Inbox())
    seen = []
    for event in run:
        seen.append(event)
        if event == finished():
            go.touch()
    failures = [event for event in seen if isinstance(event, HookFailed)]
    # The first command may start, and make room, before all findings are there.
    assert 1 <= len(failures) <= 2
    assert {failure.message for failure in failures} == {
        f"{MAX_WAITING} commands are waiting; further findings start none"
    }
    started_ones = len((tmp_path / "log").read_text().splitlines())
    assert MAX_WAITING <= started_ones <= MAX_WAITING + 1


def test_the_end_comes_before_the_findings_that_wait(tmp_path: Path) -> None:
    """A slow command for findings does not use up the time of the command for the end."""
    log = tmp_path / "log"
    hooks = Hooks(f"echo end >> {log}", f"echo finding >> {log}; exec sleep 1000", limit=0.5)

    def training() -> Iterator[Event]:
        yield started()
        yield from (finding(code=f"code{number}") for number in range(9))
        while not log.exists():
            time.sleep(0.02)
        yield finished()

    seen = list(hooks.watch(training(), (), Inbox()))
    assert log.read_text().split()[:2] == ["finding", "end"]
    failures = [event.message for event in seen if isinstance(event, HookFailed)]
    assert failures[0] == "killed after 0.5 seconds"
    assert failures[-1].startswith("commands that were not started: ")


def test_a_stop_ends_the_wait(tmp_path: Path) -> None:
    inbox = Inbox(Stop())  # this one came before the end
    began = tmp_path / "began"
    hooks = Hooks(on_end=f"echo > {began}; exec sleep 1000")
    run = hooks.watch(iter([started(), finished()]), (), inbox)

    def stop() -> None:
        while not began.exists():
            time.sleep(0.02)
        inbox.send(Stop(reason="interrupted", test=False))

    threading.Thread(target=stop, daemon=True).start()
    failure = HookFailed(hook="on-end", message="killed before its end")
    assert list(run) == [started(), finished(), failure]


def test_ctrl_c_ends_the_wait_and_the_exit_code_is_that_of_the_run(tmp_path: Path) -> None:
    began, inbox = tmp_path / "began", Inbox()
    hooks = Hooks(on_end=f"echo > {began}; exec sleep 1000")

    def press() -> None:
        while not began.exists():
            time.sleep(0.02)
        os.kill(os.getpid(), signal.SIGINT)

    threading.Thread(target=press, daemon=True).start()
    out, err = io.StringIO(), io.StringIO()
    run = hooks.watch(iter(whole_run()), (), inbox)
    assert run_headless(run, inbox, stdout=out, stderr=err) == 0
    assert "interrupted: no longer waiting for the command of --on-end" in err.getvalue()
    assert "killed before its end" in err.getvalue()
    assert "test 99.31 %" in out.getvalue()


def test_a_window_gets_failures_on_the_thread_that_waits() -> None:
    reported: list[HookFailed] = []
    hooks = Hooks(on_end="exit 3")
    hooks.report = reported.append
    assert list(hooks.watch(iter(whole_run()))) == whole_run()
    hooks.finish()
    assert reported == [HookFailed(hook="on-end", message="exit code 3")]
    hooks.finish()  # a signal and the end of the window may both wait


def test_no_thread_can_be_started(monkeypatch: pytest.MonkeyPatch) -> None:
    def start(self: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", start)
    seen = watched(Hooks(on_end="true"), whole_run())
    assert seen[-1] == HookFailed(hook="on-end", message="cannot start: can't start new thread")


def test_an_unexpected_error_does_not_end_the_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*arguments: object, **options: object) -> str:
        raise AttributeError("a bug")

    monkeypatch.setattr("tui_trainer.headless.hooks.run_command", broken)
    events: list[Event] = [started(), WARNING, ERROR, finished()]
    seen = watched(Hooks(on_finding="true"), events)
    failures = [event for event in seen if isinstance(event, HookFailed)]
    assert failures == 2 * [HookFailed(hook="on-finding", message="a bug")]
    assert [event for event in seen if isinstance(event, FindingRaised)] == [WARNING, ERROR]
