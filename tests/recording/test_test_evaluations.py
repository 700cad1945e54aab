"""Looks at the test set after a run: counted in its folder, by one process at a time."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.protocol.facts import epoch_done, finished, look, started, step
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
    """A finished run of three steps; its last checkpoint would lie behind the first four lines."""
    run: list[Event] = [started(), step(1), step(2), epoch_done(), look(evaluation=1), finished()]
    for _ in Recorder.create(tmp_path, RunConfig(model="small")).record(iter(run)):
        pass
    return RunFolder(tmp_path)


def look_at(folder: RunFolder, *events: Event) -> list[Event]:
    return list(counted(events, folder, folder.read_events()))


def test_a_look_is_in_the_file_before_anyone_sees_it(folder: RunFolder) -> None:
    before = folder.events.read_text(encoding="utf-8")
    events: list[Event] = [AT_START, started(), look(evaluation=2)]
    passed = []
    for event in counted(iter(events), folder, folder.read_events()):
        passed.append(event)
        written = folder.events.read_text(encoding="utf-8").removeprefix(before)
        assert written == (
            f"{to_json(look(evaluation=2))}\n" if event == look(evaluation=2) else ""
        )

    assert passed == events
    assert folder.read_events().test_evaluations == 2


def test_the_summary_counts_it_and_stays_as_it_was_otherwise(folder: RunFolder) -> None:
    before = folder.read_summary()
    look_at(folder, look(evaluation=2, test_correct=7))
    after = folder.read_summary()

    assert (before.test_evaluations, after.test_evaluations, after.test_correct) == (1, 2, 7)
    assert (after.state, after.epochs_done, after.step) == ("completed", 1, before.step)
    assert after.started_at == before.started_at
    assert after.updated_at >= before.updated_at


def test_what_is_no_look_leaves_every_file_as_it_was(folder: RunFolder) -> None:
    before = {path: path.read_bytes() for path in folder.path.iterdir() if path != folder.lock}
    look_at(folder, AT_START, started())
    assert {path: path.read_bytes() for path in before} == before


def test_it_is_void_but_counted_once_the_run_goes_on(folder: RunFolder) -> None:
    look_at(folder, look(evaluation=2))
    recorded = folder.read_events()
    recorder = Recorder.reopen(folder, recorded, recorded.before(4))
    resumed = RunResumed(step=2, epoch=1, images=20, threads=1, lines=4)
    for _ in recorder.record(iter([resumed, step(3), look(evaluation=3), finished()])):
        pass
    after = folder.read_events()

    assert after.test_evaluations == 3
    assert [e.evaluation for e in after.events if isinstance(e, TestEvaluated)] == [3]
    assert sum(isinstance(event, RunFinished) for event in after.events) == 1
    assert folder.read_summary().test_evaluations == 3


def test_a_run_that_is_being_written_is_not_looked_at(folder: RunFolder) -> None:
    def judged() -> Iterator[Event]:
        pytest.fail("it was looked at")
        yield look(evaluation=2)

    recorded, before = folder.read_events(), folder.events.read_bytes()
    lock = Lock(folder.lock)
    with pytest.raises(InputError, match=f"in use: process {os.getpid()} is writing this run"):
        next(counted(judged(), folder, recorded))
    lock.release()
    assert folder.events.read_bytes() == before


def test_the_folder_is_let_go_when_it_is_over_or_left(folder: RunFolder) -> None:
    events = counted([look(evaluation=2), AT_START], folder, folder.read_events())
    next(events)
    assert Lock.is_held(folder.lock)
    events.close()  # type: ignore[attr-defined]
    assert not Lock.is_held(folder.lock)
    look_at(folder, look(evaluation=3))
    assert not Lock.is_held(folder.lock)


def test_a_run_that_has_grown_is_read_again_first(folder: RunFolder) -> None:
    recorded = folder.read_events()
    look_at(folder, look(evaluation=2))
    with pytest.raises(InputError, match="changed while it was being read; try again"):
        next(counted([look(evaluation=2)], folder, recorded))


def test_nobody_is_told_of_a_look_that_cannot_be_counted(
    folder: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("tui_trainer.recording.line_file.os.write", full)
    with pytest.raises(
        InputError, match="the test evaluation cannot be counted: No space left on device"
    ):
        look_at(folder, look(evaluation=2))
    assert folder.read_events().test_evaluations == 1
    assert not Lock.is_held(folder.lock)
