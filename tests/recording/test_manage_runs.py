"""Renaming, annotating and deleting runs, also from several processes at once."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import ModuleType

import pytest

from tests.protocol.facts import epoch_done, finished, started, step
from tui_trainer.protocol.config import RunConfig
from tui_trainer.protocol.errors import InputError
from tui_trainer.recording import manage_runs
from tui_trainer.recording.about import About, read_about
from tui_trainer.recording.folder import RunFolder, find_group, find_run, list_runs
from tui_trainer.recording.lock import Lock
from tui_trainer.recording.manage_runs import NoTrashError, change_tags, delete, rename, set_note
from tui_trainer.recording.recorder import Recorder


def record(path: Path) -> Path:
    recorder = Recorder.create(path, RunConfig(model="tiny"))
    list(recorder.record(iter([started(), step(1), epoch_done(), finished()])))
    return path


def group(path: Path, seeds: int = 2) -> Path:
    for seed in range(seeds):
        record(path / f"seed-{seed}")
    (path / "seeds.toml").write_text("seeds = 2\n")
    return path


@pytest.fixture
def trash(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A trash in a folder of the test."""
    place = tmp_path / "trash"
    place.mkdir()
    module = ModuleType("send2trash")

    def move(path: str) -> None:
        os.rename(path, place / Path(path).name)

    module.send2trash = move  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "send2trash", module)
    return place


def names(root: Path) -> list[str]:
    return sorted(run.name for run in list_runs(root))


def test_a_renamed_run_keeps_its_files(tmp_path: Path) -> None:
    path = record(tmp_path / "old")
    set_note(path, "keep me")
    events = RunFolder(path).events.read_bytes()
    assert rename(path, "new name") == tmp_path / "new name"
    assert names(tmp_path) == ["new name"]
    assert RunFolder(tmp_path / "new name").events.read_bytes() == events
    assert find_run("new name", tmp_path).path == tmp_path / "new name"
    assert read_about(tmp_path / "new name").note == "keep me"
    assert rename(tmp_path / "new name", "new name").exists(), "its own name is no conflict"


@pytest.mark.parametrize(
    "name",
    [
        "",
        " ",
        "a ",
        ".hidden",
        "-option",
        "a/b",
        "..",
        "a\\b",
        "a\nb",
        "a\0b",
        "x" * 300,
        "a.",
        "a:",
    ],
)
def test_a_name_that_cannot_be_a_folder_is_refused(tmp_path: Path, name: str) -> None:
    path = record(tmp_path / "old")
    with pytest.raises(InputError, match="choose another name") as caught:
        rename(path, name)
    assert "\n" not in str(caught.value)
    assert names(tmp_path) == ["old"]


@pytest.mark.parametrize("is_file", [True, False])
def test_a_name_that_is_taken_is_refused(tmp_path: Path, is_file: bool) -> None:
    path, other = record(tmp_path / "old"), tmp_path / "other"
    if is_file:
        other.write_text("")
    else:
        record(other)
    with pytest.raises(InputError, match="already exists"):
        rename(path, "other")
    assert path.is_dir()
    assert other.exists()


@pytest.mark.parametrize("is_permanent", [True, False])
def test_a_trained_run_is_neither_renamed_nor_deleted(
    tmp_path: Path, trash: Path, is_permanent: bool
) -> None:
    path = record(tmp_path / "old")
    lock = Lock(RunFolder(path).lock)
    with pytest.raises(InputError, match=f"process {os.getpid()} is training it"):
        rename(path, "new")
    with pytest.raises(InputError, match="is training it; stop it, or wait, to delete it"):
        delete(path, permanently=is_permanent)
    assert names(tmp_path) == ["old"]
    set_note(path, "a note may be written meanwhile")
    assert read_about(path).note
    lock.release()
    delete(path, permanently=is_permanent)
    assert names(tmp_path) == []
    assert [*map(str, trash.glob("*/events.jsonl"))] == (
        [] if is_permanent else [str(trash / "old" / "events.jsonl")]
    )


def test_without_a_trash_nothing_is_deleted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = record(tmp_path / "old")

    def refuse(path: str) -> None:
        raise PermissionError(13, "Permission denied")

    module = ModuleType("send2trash")
    module.send2trash = refuse  # type: ignore[attr-defined]
    for there in (module, None):
        monkeypatch.setitem(sys.modules, "send2trash", there)
        with pytest.raises(NoTrashError, match="add --permanently"):
            delete(path)
    assert names(tmp_path) == ["old"]
    assert not Lock.is_held(RunFolder(path).lock)


@pytest.mark.parametrize("has_successor", [False, True])
def test_the_lock_of_a_renamed_run_cannot_be_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, has_successor: bool
) -> None:
    """A process that waited for the lock must not train a run that has another place by then."""
    path = record(tmp_path / "old")
    take = Lock._take

    def late(lock: Lock, file: object) -> None:
        if path.exists():
            monkeypatch.setattr(Lock, "_take", take)
            rename(path, "new")
            if has_successor:
                Lock(record(path) / ".lock").release()
        take(lock, file)  # type: ignore[arg-type]

    monkeypatch.setattr(Lock, "_take", late)
    with pytest.raises(InputError, match="renamed or deleted"):
        Recorder.reopen(RunFolder(path), RunFolder(path).read_events(), [])
    assert names(tmp_path) == ["new", *(["old"] if has_successor else [])]
    assert not Lock.is_held(RunFolder(tmp_path / "new").lock)


@pytest.mark.parametrize("action", [lambda path: rename(path, "b"), delete, set_note])
def test_a_run_that_is_gone(tmp_path: Path, action: Callable[..., object]) -> None:
    gone = tmp_path / "gone"
    with pytest.raises(InputError, match="no such run"):
        action(gone, "x") if action is set_note else action(gone)
    assert not gone.exists()


def test_of_two_renames_to_one_name_one_is_refused(tmp_path: Path) -> None:
    paths = [record(tmp_path / f"old-{number}") for number in range(4)]

    def attempt(path: Path) -> bool:
        try:
            rename(path, "new")
        except InputError:
            return False
        return True

    with ThreadPoolExecutor(4) as pool:
        done = [*pool.map(attempt, paths)]
    assert done.count(True) == 1
    assert len(names(tmp_path)) == 4
    assert "new" in names(tmp_path)


def test_tags_that_several_add_at_once_are_all_there(tmp_path: Path) -> None:
    path = record(tmp_path / "run")
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda number: change_tags(path, [f"tag-{number}"]), range(8)))
    set_note(path, "a note\nin two lines")
    about = read_about(path)
    assert sorted(about.tags) == [f"tag-{number}" for number in range(8)]
    assert about.note == "a note in two lines"


def test_tags_are_added_and_removed(tmp_path: Path) -> None:
    path = record(tmp_path / "run")
    assert change_tags(path, ["a", "b", "A"]) == About("", ("a", "b"))
    assert change_tags(path, ["c"], remove=["B", "x"]) == About("", ("a", "c"))
    for tag in ("", "two words", "a,b", "x" * 41, "a\n"):
        with pytest.raises(InputError, match="tag"):
            change_tags(path, [tag])
    with pytest.raises(InputError, match="50 tags"):
        change_tags(path, [f"tag-{number}" for number in range(60)])
    with pytest.raises(InputError, match="at most 2,000"):
        set_note(path, "x" * 2_001)
    (listed,) = list_runs(tmp_path)
    assert listed.about == About("", ("a", "c"))


@pytest.mark.parametrize(
    "text", ["", "{", "[1]", '{"note": 1, "tags": "x"}', "[" * 100_000, "\xff"]
)
def test_a_damaged_note_is_empty(tmp_path: Path, text: str) -> None:
    path = record(tmp_path / "run")
    RunFolder(path).about.write_text(text, encoding="latin-1")
    assert read_about(path) == About()
    assert change_tags(path, ["new"]).tags == ("new",)


def test_runs_of_a_group_are_listed_and_found_with_its_name(tmp_path: Path) -> None:
    root = tmp_path / "runs"
    place = group(root / "fast-5")
    record(root / "single")
    assert names(root) == ["fast-5/seed-0", "fast-5/seed-1", "single"]
    assert names(place) == ["fast-5/seed-0", "fast-5/seed-1"]
    found = find_run("fast-5/seed-1", root)
    assert found.path == place / "seed-1"
    assert found.name == "fast-5/seed-1"
    assert {run.fields["group"] for run in list_runs(root)} == {"fast-5", None}
    assert find_group("fast-5", root) == find_group(str(place), tmp_path) == place
    assert find_group("single", root) is find_group("x" * 5_000, root) is None
    with pytest.raises(InputError, match=r"is a group of runs; name one .* as fast-5/seed-0"):
        find_run("fast-5", root)


def test_a_group_is_renamed_and_deleted_as_one(tmp_path: Path, trash: Path) -> None:
    root = tmp_path / "runs"
    place = group(root / "fast-5")
    with pytest.raises(InputError, match="is part of the group fast-5"):
        rename(place / "seed-0", "new")
    lock = Lock(RunFolder(place / "seed-1").lock)
    for refused in (lambda: rename(place, "new"), lambda: delete(place)):
        with pytest.raises(InputError, match=r"seed-1: process .* is training it"):
            refused()
    lock.release()
    of_group = Lock(place / ".lock")
    with pytest.raises(InputError, match=r"fast-5: process .* is training it"):
        delete(place / "seed-0")
    of_group.release()
    place = rename(place, "new")
    assert names(root) == ["new/seed-0", "new/seed-1"]
    delete(place / "seed-0")
    assert names(root) == ["new/seed-1"]
    delete(place, permanently=True)
    assert names(root) == []
    assert [path.name for path in trash.iterdir()] == ["seed-0"]
    assert manage_runs.runs_in(root) == []


@pytest.mark.skipif(sys.platform == "win32", reason="open files are not moved there")
@pytest.mark.parametrize("act", [lambda path: rename(path, "other"), delete])
def test_a_run_whose_note_is_being_written_stays_where_it_is(
    tmp_path: Path, trash: Path, monkeypatch: pytest.MonkeyPatch, act: Callable[[Path], object]
) -> None:
    path = record(tmp_path / "runs" / "one")
    monkeypatch.setattr(manage_runs, "WAITS", 1)
    lock = Lock(RunFolder(path).about_lock)
    with pytest.raises(InputError, match="is writing its note or its tags; try again"):
        act(path)
    lock.release()
    assert names(path.parent) == ["one"]
    act(path)
    assert "one" not in names(path.parent)
