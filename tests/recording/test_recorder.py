"""The run folder: its files, its lock, and errors of the disk."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from tests.protocol.facts import changed, epoch_done, finished, started, step
from tests.protocol.questions import ask_model
from tui_trainer.protocol.answers import Answered, ModelDescription
from tui_trainer.protocol.config import RunConfig
from tui_trainer.protocol.config_file import compose, read_config
from tui_trainer.protocol.errors import InputError
from tui_trainer.protocol.events import (
    CommandRejected,
    Event,
    RecordingFailed,
    RecordingRestored,
    RecordingStarted,
    RunFailed,
    RunResumed,
    StateChanged,
    to_json,
)
from tui_trainer.recording.folder import RunFolder
from tui_trainer.recording.lock import Lock
from tui_trainer.recording.recorder import Recorder

CONFIG = RunConfig(model="small", epochs=2, seed=7)
PREPARING = StateChanged(state="preparing", step=0, detail="…")
FILES = [".lock", "commands.jsonl", "config.toml", "events.jsonl", "summary.json"]


def a_run() -> list[Event]:
    return [PREPARING, started(), step(1), step(2), epoch_done(), step(3), finished()]


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def lines(folder: Path) -> list[str]:
    return (folder / "events.jsonl").read_text(encoding="utf-8").splitlines()


def refusal(folder: Path) -> str:
    with pytest.raises(InputError) as caught:
        Recorder.create(folder, CONFIG)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def recorded(folder: Path, events: list[Event]) -> list[Event]:
    """Record a run, and return the yielded events after ``RecordingStarted``."""
    message = list(Recorder.create(folder, CONFIG).record(iter(events)))
    assert message[0] == RecordingStarted(folder=str(folder))
    return message[1:]


class Disk:
    """Replaces a function of the system; fails while the disk is full."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self.function = function
        self.is_full = False
        self.refused = 0

    def __call__(self, *args: Any, **more: Any) -> Any:
        if self.is_full:
            self.refused += 1
            raise OSError(28, "No space left on device")
        return self.function(*args, **more)


@pytest.fixture
def writes(monkeypatch: pytest.MonkeyPatch) -> Disk:
    """The function that appends lines."""
    disk = Disk(os.write)
    monkeypatch.setattr("tui_trainer.recording.line_file.os.write", disk)
    return disk


# The files


def test_the_files_of_a_run(tmp_path: Path) -> None:
    folder = tmp_path / "new" / "run"
    run = a_run()
    assert recorded(folder, run) == run
    assert names(folder) == FILES
    assert compose(read_config(folder / "config.toml")) == CONFIG
    assert lines(folder) == [to_json(event) for event in run]
    summary = RunFolder(folder).read_summary()
    assert (summary.state, summary.model, summary.epochs_done) == ("completed", "era-s6", 1)
    assert (summary.best_val_accuracy, summary.best_epoch) == (0.9, 1)
    assert summary.updated_at >= summary.started_at > "2020"


def test_an_event_is_written_before_it_is_yielded(tmp_path: Path) -> None:
    for event in Recorder.create(tmp_path, CONFIG).record(iter(a_run())):
        if event in (PREPARING, started(), epoch_done(), finished()):
            assert lines(tmp_path)[-1] == to_json(event)


def test_a_closed_run_keeps_its_events(tmp_path: Path) -> None:
    def endless() -> Iterator[Event]:
        yield started()
        number = 0
        while True:
            number += 1
            yield step(number)

    events = Recorder.create(tmp_path, CONFIG).record(endless())
    seen = [next(events) for _ in range(50)]
    events.close()  # type: ignore[attr-defined]
    assert lines(tmp_path) == [to_json(event) for event in seen[1:]]
    assert RunFolder(tmp_path).read_summary().state == "killed"


def test_steps_are_written_in_batches(tmp_path: Path, writes: Disk) -> None:
    run: list[Event] = [started(), *(step(number) for number in range(1, 200))]
    events = Recorder.create(tmp_path, CONFIG).record(iter(run))
    for _ in range(100):
        next(events)
    assert 64 <= len(lines(tmp_path)) < 99


def test_non_finite_numbers_are_null(tmp_path: Path) -> None:
    recorded(tmp_path, [step(1, loss=float("nan"))])
    assert json.loads(lines(tmp_path)[0], parse_constant=pytest.fail)["loss"] is None


def test_a_position_counts_flushed_lines(tmp_path: Path) -> None:
    recorder = Recorder.create(tmp_path, CONFIG)
    events = recorder.record(iter([started(), step(1), step(2)]))
    for _ in range(4):
        next(events)
    assert recorder.position() == 3
    assert len(lines(tmp_path)) == 3


# The folder


@pytest.mark.parametrize("name", ["config.toml", "events.jsonl", "summary.json", "checkpoints"])
def test_an_existing_run_is_never_overwritten(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("precious")
    message = refusal(tmp_path)
    assert message == f"--out {tmp_path}: already contains a run ({name}); choose another folder"
    assert names(tmp_path) == [name]
    assert (tmp_path / name).read_text() == "precious"


def test_a_folder_with_other_files_is_accepted(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    recorded(tmp_path, a_run())
    assert (tmp_path / "notes.txt").read_text() == "mine"


def test_a_file_instead_of_the_folder(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for folder in (tmp_path / "file", tmp_path / "file" / "below"):
        assert refusal(folder).startswith(f"--out {folder}: cannot be written: ")


@pytest.mark.parametrize("method", ["mkdir", "open"])
def test_a_folder_that_cannot_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, method: str
) -> None:
    def refuse(*args: Any, **more: Any) -> None:
        raise PermissionError(13, "Permission denied")

    folder = tmp_path / "run"
    with monkeypatch.context() as patch:
        patch.setattr(Path, method, refuse)
        message = refusal(folder)
    assert message == f"--out {folder}: cannot be written: Permission denied; choose another folder"
    # No files are left, so that the next attempt can use the folder.
    Recorder.create(folder, CONFIG).close()


def test_runs_in_a_folder_have_unique_names(tmp_path: Path) -> None:
    recorders = [Recorder.create_below(tmp_path / "runs", CONFIG) for _ in range(3)]
    called = [recorder.folder.path.name for recorder in recorders]
    assert len(set(called)) == 3
    assert all("-small" in name for name in called)
    for recorder in recorders:
        recorder.close()


def test_the_folder_of_runs_cannot_be_created(tmp_path: Path) -> None:
    (tmp_path / "runs").write_text("a file")
    with pytest.raises(InputError, match="choose a folder with --out DIR, or --no-save"):
        Recorder.create_below(tmp_path / "runs", CONFIG)


# Runs that cannot start


def refused(*events: Event) -> Iterator[Event]:
    yield from events
    raise InputError("no such data")


def test_a_run_that_cannot_start_leaves_the_folder_free(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    for _ in range(2):
        with pytest.raises(InputError, match="no such data"):
            list(Recorder.create(folder, CONFIG).record(refused(PREPARING)))
        assert not folder.exists()


def test_a_run_that_cannot_start_removes_no_other_files(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(InputError):
        list(Recorder.create(tmp_path, CONFIG).record(refused(PREPARING)))
    assert names(tmp_path) == ["notes.txt"]


def left(*events: Event) -> Iterator[Event]:
    yield from events
    raise GeneratorExit


def broken(*events: Event) -> Iterator[Event]:
    yield from events
    raise RuntimeError("a mistake in a network")


@pytest.mark.parametrize(
    ("end", "events"),
    [
        *((end, events) for end in (refused, broken, left) for events in ([], [PREPARING])),
        (refused, [PREPARING, started()]),
        (broken, [PREPARING, started()]),
    ],
)
def test_a_run_without_a_step_leaves_nothing(
    tmp_path: Path, end: Callable[..., Iterator[Event]], events: list[Event]
) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    for folder in (tmp_path / "made" / "for" / "it", tmp_path):
        recorder = Recorder.create(folder, CONFIG)
        recorder.folder.output.write_text("importing")
        recorder.folder.checkpoints.mkdir()
        recorder.folder.checkpoint("last").write_bytes(b"step 0")
        with suppress(InputError, RuntimeError, GeneratorExit):
            list(recorder.record(end(*events)))
        assert names(tmp_path) == ["notes.txt"]


def test_other_files_in_a_created_folder_are_kept(tmp_path: Path) -> None:
    recorder = Recorder.create(tmp_path / "run", CONFIG)
    (tmp_path / "run" / "notes.txt").write_text("mine")
    with pytest.raises(InputError):
        list(recorder.record(refused()))
    assert names(tmp_path / "run") == ["notes.txt"]


def test_a_recorder_that_never_recorded_leaves_nothing(tmp_path: Path) -> None:
    Recorder.create_below(tmp_path / "new" / "runs", CONFIG).discard_if_empty()
    assert names(tmp_path) == []


def test_a_run_that_was_stopped_before_its_first_step_is_kept(tmp_path: Path) -> None:
    recorded(tmp_path, [started(), finished(reason="stopped")])
    assert names(tmp_path) == FILES


def test_a_failed_run_is_recorded(tmp_path: Path) -> None:
    def failing() -> Iterator[Event]:
        yield started()
        yield step(1)
        raise RuntimeError("out of\nmemory")

    with pytest.raises(RuntimeError):
        list(Recorder.create(tmp_path, CONFIG).record(failing()))
    assert RunFolder(tmp_path).read_summary().state == "failed"
    last = RunFolder(tmp_path).read_events().events[-1]
    assert isinstance(last, RunFailed)
    assert last.message == "RuntimeError: out of memory"


def test_a_started_run_is_always_kept(tmp_path: Path) -> None:
    with pytest.raises(InputError):
        list(Recorder.create(tmp_path, CONFIG).record(refused(started(), step(1))))
    assert names(tmp_path) == FILES


# One process at a time


def test_a_locked_folder_is_refused_until_it_is_released(tmp_path: Path) -> None:
    recorded(tmp_path, a_run())
    past = RunFolder(tmp_path).read_events()
    first = Recorder.reopen(RunFolder(tmp_path), past, past.events)
    with pytest.raises(InputError, match=r"in use: process \d+ is writing this run"):
        Recorder.reopen(RunFolder(tmp_path), past, past.events)
    first.close()
    Recorder.reopen(RunFolder(tmp_path), past, past.events).close()


def test_a_run_that_changed_since_it_was_read_is_refused(tmp_path: Path) -> None:
    recorded(tmp_path, a_run())
    past = RunFolder(tmp_path).read_events()
    with (tmp_path / "events.jsonl").open("a") as file:
        file.write(to_json(step(4)) + "\n")
    with pytest.raises(InputError, match="changed while it was being read; try again"):
        Recorder.reopen(RunFolder(tmp_path), past, past.events)
    again = RunFolder(tmp_path).read_events()
    Recorder.reopen(RunFolder(tmp_path), again, again.events).close()


# Resuming


def test_a_resumed_run_appends_to_the_same_file(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    recorded(tmp_path, a_run())
    with folder.events.open("a") as file:
        file.write('{"event": "StepDo')  # incomplete after a kill
    (tmp_path / ".summary.json.99.being-written").write_text("half")
    before = folder.read_summary()
    past = folder.read_events()
    recorder = Recorder.reopen(folder, past, past.before(4))
    assert recorder.position() == 7
    more: list[Event] = [
        RunResumed(step=2, epoch=1, images=200, threads=1, lines=4),
        step(3),
        finished(),
    ]
    list(recorder.record(iter(more)))
    assert lines(tmp_path) == [to_json(event) for event in [*a_run(), *more]]
    assert folder.read_events().events == (*a_run()[:4], *more)
    assert names(tmp_path) == FILES
    assert folder.read_summary().started_at == before.started_at
    assert folder.read_summary().epochs_done == 0, "the epoch is void"


# A full disk


def test_a_full_disk_is_reported_once_and_lines_are_written_later(
    tmp_path: Path, writes: Disk
) -> None:
    run: list[Event] = [*a_run()[:-1], changed("epochs", 2, 3, images=300), finished()]
    events = Recorder.create(tmp_path, CONFIG).record(iter(run))
    message = [next(events) for _ in range(3)]
    writes.is_full = True
    message += [next(events) for _ in range(5)]
    assert lines(tmp_path) == [to_json(event) for event in run[:2]]
    writes.is_full = False
    message += list(events)
    file = str(tmp_path / "events.jsonl")
    failure = RecordingFailed(path=file, message="No space left on device")
    assert message.count(failure) == 1
    assert message.index(failure) < message.index(RecordingRestored(path=file))
    assert [event for event in message if event in run] == run
    assert lines(tmp_path) == [to_json(event) for event in run]


def test_a_write_that_fails_midway_leaves_no_incomplete_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = os.write
    calls: list[int] = []

    def some(handle: int, content: bytes) -> int:
        calls.append(len(content))
        if len(calls) == 3:
            raise OSError(28, "No space left on device")
        return write(handle, content[:10] if len(calls) == 2 else content)

    recorder = Recorder.create(tmp_path, CONFIG)
    monkeypatch.setattr("tui_trainer.recording.line_file.os.write", some)
    events = recorder.record(iter(a_run()))
    next(events), next(events)
    assert isinstance(next(events), RecordingFailed)
    assert lines(tmp_path) == [to_json(PREPARING)]
    list(events)
    assert lines(tmp_path) == [to_json(event) for event in a_run()]


def test_a_summary_that_cannot_be_written_is_reported_and_the_old_one_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk = Disk(os.fsync)
    monkeypatch.setattr("tui_trainer.recording.atomic.os.fsync", disk)
    events = Recorder.create(tmp_path, CONFIG).record(iter(a_run()))
    message = [next(events) for _ in range(5)]
    disk.is_full = True
    message += list(events)
    assert [type(event) for event in message].count(RecordingFailed) == 1
    assert message[-1] == finished()
    assert RunFolder(tmp_path).read_summary().epochs_done == 0
    assert names(tmp_path) == FILES, "nothing half-written is left"


# --- answers to questions


def test_answers_are_yielded_and_not_recorded(tmp_path: Path) -> None:
    content = ModelDescription(model="tiny", about="", layers=(), review=())
    answer = Answered(question=ask_model("tiny"), content=content, step=3)
    run: list[Event] = [PREPARING, started(), step(1), answer, epoch_done(), finished(), answer]

    assert recorded(tmp_path / "run", run) == run
    written = [to_json(event) for event in run if event is not answer]
    assert lines(tmp_path / "run") == written


def test_the_lock_is_released_when_the_run_ends_although_questions_are_still_answered(
    tmp_path: Path,
) -> None:
    rejected = CommandRejected(command="SetLearningRate", reason="the run is over", step=2)
    recorder = Recorder.create(tmp_path / "run", CONFIG)
    for event in recorder.record(iter([*a_run(), rejected])):
        held = Lock.is_held(RunFolder(tmp_path / "run").lock)
        assert held == (event not in (finished(), rejected))
    assert lines(tmp_path / "run")[-1] == to_json(finished())
