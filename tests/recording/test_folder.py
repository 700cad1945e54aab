"""Finding runs, listing them, and reading their summaries."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.protocol.facts import epoch_done, finished, started, step
from tui_trainer.protocol.config import RunConfig
from tui_trainer.protocol.errors import InputError
from tui_trainer.protocol.events import Event
from tui_trainer.protocol.schema import SCHEMA
from tui_trainer.recording.folder import RunFolder, find_run, list_runs
from tui_trainer.recording.lock import Lock
from tui_trainer.recording.recorder import Recorder


def record(folder: Path, *events: Event) -> RunFolder:
    list(Recorder.create(folder, RunConfig(model="tiny")).record(iter(events)))
    return RunFolder(folder)


def at(folder: RunFolder, minute: int) -> None:
    """Set the last change of a run, and file dates in the opposite order."""
    record = json.loads(folder.summary.read_text())
    record["updated_at"] = f"2026-11-22T20:{minute:02}:00+00:00"
    folder.summary.write_text(json.dumps(record))
    for path in folder.path.iterdir():
        os.utime(path, (1_000 - minute, 1_000 - minute))


def test_runs_are_listed_latest_first(tmp_path: Path) -> None:
    at(record(tmp_path / "old", started(), finished()), 1)
    at(record(tmp_path / "new", started(), step(1)), 3)
    at(record(tmp_path / "middle", started(), finished(reason="stopped")), 2)
    (tmp_path / "no run").mkdir()
    (tmp_path / "file").write_text("")
    listed = list_runs(tmp_path)
    assert [run.folder.name for run in listed] == ["new", "middle", "old"]
    states = [run.summary.state for run in listed if run.summary is not None]
    assert states == ["killed", "stopped", "completed"]


def test_a_locked_run_is_running(tmp_path: Path) -> None:
    events = Recorder.create(tmp_path, RunConfig()).record(iter([started(), epoch_done()]))
    next(events), next(events)
    assert RunFolder(tmp_path).read_summary().state == "running"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[1]",
        "[" * 100_000,
        '{"format": 1, "step": "many"}',
        '{"format": 1, "val_interval": [1]}',
        '{"format": 1, "model": null}',
        "\0\0\0",
    ],
)
def test_a_damaged_summary_is_listed_with_its_error(tmp_path: Path, text: str) -> None:
    folder = record(tmp_path / "run", started(), finished())
    folder.summary.write_text(text)
    (listed,) = list_runs(tmp_path)
    assert listed.summary is None
    assert "summary.json" in listed.error
    assert "\n" not in listed.error


def test_a_summary_of_a_newer_version_is_refused(tmp_path: Path) -> None:
    folder = record(tmp_path, started(), finished())
    folder.summary.write_text(f'{{"format": {SCHEMA + 1}}}')
    with pytest.raises(InputError, match="written by a newer mnist-tui"):
        folder.read_summary()


def test_summary_round_trip(tmp_path: Path) -> None:
    folder = record(tmp_path, started(), step(1, loss=float("nan")), epoch_done(), finished())
    summary = folder.read_summary()
    assert summary.to_json() == folder.summary.read_text()
    assert summary.val_interval == epoch_done().val_interval


def test_a_missing_folder_has_no_runs(tmp_path: Path) -> None:
    assert list_runs(tmp_path / "runs") == []
    with pytest.raises(InputError, match="contains no runs"):
        find_run(None, tmp_path / "runs")


def test_a_run_is_found_by_name_by_path_and_as_the_latest(tmp_path: Path) -> None:
    root = tmp_path / "runs"
    first = record(root / "first", started(), finished())
    second = record(root / "second", started(), finished())
    at(first, 2)
    at(second, 1)
    assert find_run("second", root) == second
    assert find_run(str(second.path), tmp_path / "elsewhere") == second
    assert find_run(None, root) == first


@pytest.mark.parametrize("name", ["", "third", "a\0b", "~nobody-of-that-name/run", ".."])
def test_no_such_run(tmp_path: Path, name: str) -> None:
    record(tmp_path / "first", started())
    with pytest.raises(InputError, match="no such run"):
        find_run(name, tmp_path)


def copied(folder: RunFolder) -> RunFolder:
    return RunFolder(shutil.copytree(folder.path, folder.path.with_name("copy")))


def test_a_copy_keeps_its_date(tmp_path: Path) -> None:
    old, new = (record(tmp_path / name, started(), finished()) for name in ("old", "new"))
    at(old, 1)
    at(new, 2)
    copied(old)
    assert find_run(None, tmp_path) == new


def test_a_run_without_a_summary_is_dated_by_its_name(tmp_path: Path) -> None:
    for name in ("2026-11-22-2001-tiny", "2026-11-22-2003-tiny", "2026-11-22-2002-tiny", "other"):
        record(tmp_path / name, started(), step(1)).summary.unlink()
    listed = [run.folder.name for run in list_runs(tmp_path)]
    assert listed == [f"2026-11-22-200{minute}-tiny" for minute in (3, 2, 1)] + ["other"]


@pytest.mark.parametrize("time", ["", "yesterday", "9999-99-99", "2026-11-22T20:00:00"])
def test_an_invalid_time_is_tolerated(tmp_path: Path, time: str) -> None:
    folder = record(tmp_path / "run", started(), finished())
    text = json.loads(folder.summary.read_text())
    folder.summary.write_text(json.dumps({**text, "updated_at": time, "started_at": time}))
    assert len(list_runs(tmp_path)) == 1


def saved(folder: RunFolder) -> RunFolder:
    folder.checkpoints.mkdir()
    folder.checkpoint("last").write_bytes(b"")
    return folder


def test_resumable_runs_are_preferred_to_resume(tmp_path: Path) -> None:
    left = saved(record(tmp_path / "left", started(), step(1)))
    stopped = saved(record(tmp_path / "stopped", started(), step(1), finished(reason="stopped")))
    complete = saved(record(tmp_path / "complete", started(), step(1), finished()))
    unsaved = record(tmp_path / "unsaved", started(), step(1))
    for minute, folder in enumerate((stopped, left, complete, unsaved)):
        at(folder, minute)
    assert find_run(None, tmp_path) == unsaved
    assert find_run(None, tmp_path, to_resume=True) == left
    shutil.rmtree(left.path)
    assert find_run(None, tmp_path, to_resume=True) == stopped
    shutil.rmtree(stopped.path)
    assert find_run(None, tmp_path, to_resume=True) == unsaved


def test_a_running_run_is_not_resumed(tmp_path: Path) -> None:
    complete = saved(record(tmp_path / "complete", started(), step(1), finished()))
    events = Recorder.create(tmp_path / "now", RunConfig()).record(iter([started(), step(1)]))
    for _ in range(3):
        next(events)
    saved(RunFolder(tmp_path / "now"))
    assert find_run(None, tmp_path) == RunFolder(tmp_path / "now")
    assert find_run(None, tmp_path, to_resume=True) == complete


def test_a_run_is_found_by_any_spelling_of_its_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = record(tmp_path / "run", started(), finished())
    (tmp_path / "link").symlink_to(folder.path)
    monkeypatch.chdir(folder.path)
    for name in (f"{folder.path}/", ".", "../run", str(tmp_path / "link"), f"{tmp_path}/./run//"):
        assert find_run(name).read_events().lines == 2, name
    assert find_run(".").name == "run"


def test_only_runs_that_have_changed_are_read_again(tmp_path: Path) -> None:
    same, changed, noted, killed = (
        record(tmp_path / name, started(), step(1)) for name in ("same", "changed", "noted", "now")
    )
    lock = Lock(killed.lock)
    before = {run.folder: run for run in list_runs(tmp_path)}
    lock.release()
    at(changed, 5)
    noted.about.write_text('{"note": "good", "tags": []}', encoding="utf-8")
    new = record(tmp_path / "new", started(), step(1))
    after = {run.folder: run for run in list_runs(tmp_path, before.values())}
    assert {folder for folder, run in after.items() if run is not before.get(folder)} == {
        *(changed, noted, killed, new)
    }
    assert after[same] is before[same]
    assert after[noted].about.note == "good"
    assert [before[killed].is_running, after[killed].is_running] == [True, False]


def test_a_list_of_runs_reads_no_events_and_no_settings(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(3):
        record(tmp_path / f"run-{number}", started(), step(1), finished())
    opened = []
    open_file = Path.open

    def noting(path: Path, *arguments: Any, **options: Any) -> Any:
        opened.append(path.name)
        return open_file(path, *arguments, **options)

    monkeypatch.setattr(Path, "open", noting)
    runs = list_runs(tmp_path)
    assert {run.fields["batch_size"] for run in runs} == {128}
    assert opened == ["summary.json"] * 3
