"""Finding runs, listing them, and reading what became of them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.run.facts import epoch_done, finished, started, step
from tui_trainer.run.config import RunConfig
from tui_trainer.run.errors import InputError
from tui_trainer.run.events import Event
from tui_trainer.run.folder import RunFolder, find_run, list_runs
from tui_trainer.run.recorder import Recorder


def record(folder: Path, *events: Event) -> RunFolder:
    list(Recorder.create(folder, RunConfig(model="tiny")).record(iter(events)))
    return RunFolder(folder)


def at(folder: RunFolder, time: int) -> None:
    os.utime(folder.events, (time, time))


def test_runs_are_listed_the_latest_first(tmp_path: Path) -> None:
    at(record(tmp_path / "old", started(), finished()), 100)
    at(record(tmp_path / "new", started(), step(1)), 300)
    at(record(tmp_path / "middle", started(), finished(reason="stopped")), 200)
    (tmp_path / "no run").mkdir()
    (tmp_path / "file").write_text("")
    listed = list_runs(tmp_path)
    assert [run.folder.name for run in listed] == ["new", "middle", "old"]
    states = [run.summary.state for run in listed if run.summary is not None]
    assert states == ["cut off", "stopped", "completed"]


def test_a_run_under_way_is_running(tmp_path: Path) -> None:
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
def test_a_damaged_summary_spoils_no_list(tmp_path: Path, text: str) -> None:
    folder = record(tmp_path / "run", started(), finished())
    folder.summary.write_text(text)
    (listed,) = list_runs(tmp_path)
    assert listed.summary is None
    assert "summary.json" in listed.fault
    assert "\n" not in listed.fault


def test_a_summary_of_a_newer_version_says_so(tmp_path: Path) -> None:
    folder = record(tmp_path, started(), finished())
    folder.summary.write_text('{"format": 2}')
    with pytest.raises(InputError, match=r"written by a newer mnist-tui \(format 2\)"):
        folder.read_summary()


def test_a_summary_reads_back_as_it_was_written(tmp_path: Path) -> None:
    folder = record(tmp_path, started(), step(1, loss=float("nan")), epoch_done(), finished())
    summary = folder.read_summary()
    assert summary.to_json() == folder.summary.read_text()
    assert summary.val_interval == epoch_done().val_interval


def test_there_are_no_runs_where_there_is_no_folder(tmp_path: Path) -> None:
    assert list_runs(tmp_path / "runs") == []
    with pytest.raises(InputError, match="no run in it yet"):
        find_run(None, tmp_path / "runs")


def test_a_run_is_found_by_name_by_path_and_as_the_last(tmp_path: Path) -> None:
    root = tmp_path / "runs"
    first = record(root / "first", started(), finished())
    second = record(root / "second", started(), finished())
    at(first, 200)
    at(second, 100)
    assert find_run("second", root) == second
    assert find_run(str(second.path), tmp_path / "elsewhere") == second
    assert find_run(None, root) == first


@pytest.mark.parametrize("name", ["", "third", "a\0b", "~nobody-of-that-name/run", ".."])
def test_no_such_run(tmp_path: Path, name: str) -> None:
    record(tmp_path / "first", started())
    with pytest.raises(InputError, match="no such run"):
        find_run(name, tmp_path)
