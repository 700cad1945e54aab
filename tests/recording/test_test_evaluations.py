"""Test evaluations after a run: counted in its folder, by one process at a time."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.protocol.facts import epoch_done, evaluated, finished, started, step
from tui_trainer.protocol.config import RunConfig
from tui_trainer.protocol.errors import InputError
from tui_trainer.protocol.events import (
    Event,
    RunFinished,
    RunResumed,
    StateChanged,
    TestEvaluated,
    to_json,
)
from tui_trainer.recording.folder import RunFolder
from tui_trainer.recording.lock import Lock
from tui_trainer.recording.recorder import Recorder
from tui_trainer.recording.test_evaluations import counted

AT_START = StateChanged(state="preparing", step=0, detail="reading")


@pytest.fixture
def folder(tmp_path: Path) -> RunFolder:
    """A finished run of three steps; its last checkpoint is after the first four lines."""
    run: list[Event] = [
        started(),
        step(1),
        step(2),
        epoch_done(),
        evaluated(evaluation=1),
        finished(),
    ]
    for _ in Recorder.create(tmp_path, RunConfig(model="small")).record(iter(run)):
        pass
    return RunFolder(tmp_path)


def evaluate(folder: RunFolder, *events: Event) -> list[Event]:
    return list(counted(events, folder, folder.read_events()))


def test_an_evaluation_is_recorded_before_it_is_shown(folder: RunFolder) -> None:
    before = folder.events.read_text(encoding="utf-8")
    events: list[Event] = [AT_START, started(), evaluated(evaluation=2)]
    passed = []
    for event in counted(iter(events), folder, folder.read_events()):
        passed.append(event)
        written = folder.events.read_text(encoding="utf-8").removeprefix(before)
        assert written == (
            f"{to_json(evaluated(evaluation=2))}\n" if event == evaluated(evaluation=2) else ""
        )

    assert passed == events
    assert folder.read_events().test_evaluations == 2


def test_the_summary_counts_it_and_is_otherwise_unchanged(folder: RunFolder) -> None:
    before = folder.read_summary()
    evaluate(folder, evaluated(evaluation=2, test_correct=7))
    after = folder.read_summary()

    assert (before.test_evaluations, after.test_evaluations, after.test_correct) == (1, 2, 7)
    assert (after.state, after.epochs_done, after.step) == ("completed", 1, before.step)
    assert after.started_at == before.started_at
    assert after.updated_at >= before.updated_at


def test_other_events_leave_the_files_unchanged(folder: RunFolder) -> None:
    before = {path: path.read_bytes() for path in folder.path.iterdir() if path != folder.lock}
    evaluate(folder, AT_START, started())
    assert {path: path.read_bytes() for path in before} == before


def test_it_is_void_but_counted_once_the_run_is_resumed(folder: RunFolder) -> None:
    evaluate(folder, evaluated(evaluation=2))
    recorded = folder.read_events()
    recorder = Recorder.reopen(folder, recorded, recorded.before(4))
    resumed = RunResumed(step=2, epoch=1, images=20, threads=1, lines=4)
    for _ in recorder.record(iter([resumed, step(3), evaluated(evaluation=3), finished()])):
        pass
    after = folder.read_events()

    assert after.test_evaluations == 3
    assert [e.evaluation for e in after.events if isinstance(e, TestEvaluated)] == [3]
    assert sum(isinstance(event, RunFinished) for event in after.events) == 1
    assert folder.read_summary().test_evaluations == 3


def test_a_locked_run_is_not_evaluated(folder: RunFolder) -> None:
    def judged() -> Iterator[Event]:
        pytest.fail("it was evaluated")
        yield evaluated(evaluation=2)

    recorded, before = folder.read_events(), folder.events.read_bytes()
    lock = Lock(folder.lock)
    with pytest.raises(InputError, match=f"in use: process {os.getpid()} is writing this run"):
        next(counted(judged(), folder, recorded))
    lock.release()
    assert folder.events.read_bytes() == before


def test_the_lock_is_released_at_the_end(folder: RunFolder) -> None:
    events = counted([evaluated(evaluation=2), AT_START], folder, folder.read_events())
    next(events)
    assert Lock.is_held(folder.lock)
    events.close()  # type: ignore[attr-defined]
    assert not Lock.is_held(folder.lock)
    evaluate(folder, evaluated(evaluation=3))
    assert not Lock.is_held(folder.lock)


def test_a_run_that_changed_must_be_read_again(folder: RunFolder) -> None:
    recorded = folder.read_events()
    evaluate(folder, evaluated(evaluation=2))
    with pytest.raises(InputError, match="changed while it was being read; try again"):
        next(counted([evaluated(evaluation=2)], folder, recorded))


def test_an_evaluation_that_cannot_be_counted_is_not_shown(
    folder: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("tui_trainer.recording.line_file.os.write", full)
    with pytest.raises(
        InputError, match="the test evaluation cannot be counted: No space left on device"
    ):
        evaluate(folder, evaluated(evaluation=2))
    assert folder.read_events().test_evaluations == 1
    assert not Lock.is_held(folder.lock)
