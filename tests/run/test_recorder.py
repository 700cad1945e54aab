from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.run.facts import epoch_done, finished, started, step
from tui_trainer.run.config import RunConfig
from tui_trainer.run.config_file import compose, read_config
from tui_trainer.run.errors import InputError
from tui_trainer.run.events import Event, RecordingFailed, StateChanged, to_json
from tui_trainer.run.recorder import Recorder

CONFIG = RunConfig(model="small", epochs=2, seed=7)
PREPARING = StateChanged(state="preparing", step=0, detail="…")


def a_run() -> list[Event]:
    return [PREPARING, started(), step(1), step(2), epoch_done(), step(3), finished()]


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def refusal(folder: Path) -> str:
    with pytest.raises(InputError) as caught:
        Recorder(folder, CONFIG)
    assert "\n" not in str(caught.value)
    return str(caught.value)


class FullDisk:
    """A file that takes nothing from some call on, nor can it be closed."""

    def __init__(self, room: int) -> None:
        self.room = room
        self.writes = 0

    def write(self, text: str) -> None:
        self.writes += 1
        if self.writes > self.room:
            raise OSError(28, "No space left on device")

    def flush(self) -> None:
        pass

    def close(self) -> None:
        raise OSError(28, "No space left on device")


def test_the_folder_tells_the_run(tmp_path: Path) -> None:
    folder = tmp_path / "new" / "run"
    run = a_run()
    assert list(Recorder(folder, CONFIG).record(iter(run))) == run
    assert names(folder) == ["config.toml", "events.jsonl", "summary.json"]
    assert compose(read_config(folder / "config.toml")) == CONFIG
    lines = (folder / "events.jsonl").read_text(encoding="utf-8").splitlines()
    assert lines == [to_json(event) for event in run]
    summary = json.loads((folder / "summary.json").read_text(encoding="utf-8"))
    assert summary == json.loads(lines[-1])


def test_an_event_is_on_the_disk_before_anyone_sees_it(tmp_path: Path) -> None:
    for event in Recorder(tmp_path, CONFIG).record(iter(a_run())):
        lines = (tmp_path / "events.jsonl").read_text(encoding="utf-8").splitlines()
        if event in (PREPARING, started(), epoch_done(), finished()):
            assert lines[-1] == to_json(event)


def test_a_run_that_is_left_keeps_what_happened(tmp_path: Path) -> None:
    def endless() -> Iterator[Event]:
        yield started()
        number = 0
        while True:
            number += 1
            yield step(number)

    events = Recorder(tmp_path, CONFIG).record(endless())
    seen = [next(events) for _ in range(50)]
    events.close()  # type: ignore[attr-defined]
    lines = (tmp_path / "events.jsonl").read_text(encoding="utf-8").splitlines()
    assert lines == [to_json(event) for event in seen]
    assert "summary.json" not in names(tmp_path)


@pytest.mark.parametrize("name", ["config.toml", "events.jsonl", "summary.json"])
def test_what_is_there_is_never_overwritten(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("precious")
    told = refusal(tmp_path)
    assert told == f"--out {tmp_path}: holds a run already ({name}); choose another folder"
    assert names(tmp_path) == [name]
    assert (tmp_path / name).read_text() == "precious"


def test_a_folder_with_other_things_in_it_will_do(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    list(Recorder(tmp_path, CONFIG).record(iter(a_run())))
    assert (tmp_path / "notes.txt").read_text() == "mine"


def test_a_file_in_its_place(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for folder in (tmp_path / "file", tmp_path / "file" / "below"):
        assert refusal(folder).startswith(f"--out {folder}: cannot be written: ")


@pytest.mark.parametrize("method", ["mkdir", "write_text", "open"])
def test_a_folder_that_cannot_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, method: str
) -> None:
    def refuse(*args: Any, **more: Any) -> None:
        raise PermissionError(13, "Permission denied")

    folder = tmp_path / "run"
    with monkeypatch.context() as patch:
        patch.setattr(Path, method, refuse)
        told = refusal(folder)
    assert told == f"--out {folder}: cannot be written: Permission denied; choose another folder"
    # Nothing is left, so that the next attempt is not told that there is a run.
    Recorder(folder, CONFIG)


def test_a_full_disk_is_told_once_and_the_run_goes_on(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path, CONFIG)
    recorder._close()
    disk = FullDisk(room=2)
    recorder._file = disk  # type: ignore[assignment]
    run = a_run()
    told = list(recorder.record(iter(run)))
    failure = RecordingFailed(path=str(tmp_path), message="No space left on device")
    assert told == [*run[:2], failure, *run[2:]]
    assert disk.writes == 3


def test_a_summary_that_cannot_be_written_is_told_before_the_end(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path, CONFIG)
    (tmp_path / "summary.json").mkdir()
    told = list(recorder.record(iter(a_run())))
    assert isinstance(told[-2], RecordingFailed)
    assert told[-1] == finished()


def refused(*events: Event) -> Iterator[Event]:
    yield from events
    raise InputError("no such data")


def test_a_run_that_cannot_begin_leaves_the_folder_free(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    for _ in range(2):
        with pytest.raises(InputError, match="no such data"):
            list(Recorder(folder, CONFIG).record(refused(PREPARING)))
        assert not folder.exists()


def test_a_run_that_cannot_begin_takes_nothing_else_away(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(InputError):
        list(Recorder(tmp_path, CONFIG).record(refused(PREPARING)))
    assert names(tmp_path) == ["notes.txt"]


def test_a_run_that_began_is_kept_whatever_happens(tmp_path: Path) -> None:
    with pytest.raises(InputError):
        list(Recorder(tmp_path, CONFIG).record(refused(started(), step(1))))
    assert names(tmp_path) == ["config.toml", "events.jsonl"]


def test_numbers_that_json_has_not_are_null(tmp_path: Path) -> None:
    list(Recorder(tmp_path, CONFIG).record(iter([step(1, loss=float("nan"))])))
    text = (tmp_path / "events.jsonl").read_text(encoding="utf-8")
    assert json.loads(text, parse_constant=pytest.fail)["loss"] is None
