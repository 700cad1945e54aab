"""Processes that train, rename, tag and delete runs at once; every run and tag is kept."""

from __future__ import annotations

import multiprocessing
import os
import random
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import ModuleType

import pytest

from tests.protocol.facts import epoch_done, finished, started, step
from tui_trainer.protocol.config import RunConfig
from tui_trainer.protocol.errors import InputError
from tui_trainer.protocol.events import Event
from tui_trainer.recording.about import read_about
from tui_trainer.recording.folder import RunFolder, list_runs
from tui_trainer.recording.manage_runs import change_tags, delete, rename
from tui_trainer.recording.recorder import Recorder

NAMES = [f"run-{number}" for number in range(6)]
EVENTS: list[Event] = [
    started(),
    *(step(number) for number in range(1, 30)),
    epoch_done(),
    finished(),
]

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="forks")


class Place:
    """The folders of the test, and what its processes report."""

    def __init__(self, folder: Path) -> None:
        self.runs, self.trash, self.log = (folder / name for name in ("runs", "trash", "log"))
        for path in (self.runs, self.trash, self.log):
            path.mkdir()

    def report(self, kind: str, text: str) -> None:
        with (self.log / f"{kind}-{os.getpid()}").open("a") as file:
            file.write(f"{text}\n")

    def reported(self, kind: str) -> list[str]:
        return [line for file in self.log.glob(f"{kind}-*") for line in file.read_text().split()]

    def some_run(self, rng: random.Random) -> Path:
        """Return the folder of a run; that of no run if there is none."""
        runs = list_runs(self.runs)
        return rng.choice(runs).folder.path if runs else self.runs / "none"


def train(place: Place, rng: random.Random) -> None:
    """Record runs in folders with few names, each with a file that identifies it."""
    for number in range(12):
        recorder = None
        while recorder is None:
            with refusals_are_one_line():
                recorder = Recorder.create(place.runs / rng.choice(NAMES), RunConfig())
        run = f"{os.getpid()}-{number}"
        (recorder.folder.path / "identity").write_text(run)
        for _ in recorder.record(iter(EVENTS)):
            pass
        place.report("trained", run)
        with refusals_are_one_line():
            delete(recorder.folder.path)  # or there are soon no free names


def move(place: Place, rng: random.Random) -> None:
    for _ in range(40):
        with refusals_are_one_line():
            rename(place.some_run(rng), rng.choice(NAMES))


def tag(place: Place, rng: random.Random) -> None:
    for number in range(30):
        name = f"{os.getpid()}-{number}"
        with refusals_are_one_line():
            change_tags(place.some_run(rng), [name])
            place.report("tagged", name)


@contextmanager
def refusals_are_one_line() -> Iterator[None]:
    try:
        yield
    except InputError as error:
        if "\n" in str(error):
            raise AssertionError from error


def test_every_run_and_every_tag_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place = Place(tmp_path)
    trash = ModuleType("send2trash")
    places = iter(range(1_000))

    def to_trash(path: str) -> None:
        os.rename(path, place.trash / f"{os.getpid()}-{next(places)}")

    trash.send2trash = to_trash  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "send2trash", trash)
    # So that there is a run to rename and to tag at once.
    list(Recorder.create(place.runs / "first", RunConfig()).record(iter(EVENTS)))
    fork = multiprocessing.get_context("fork")
    actions: list[Callable[[Place, random.Random], None]] = [train, train, move, move, tag, tag]
    workers = [
        fork.Process(target=action, args=(place, random.Random(seed)))
        for seed, action in enumerate(actions)
    ]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(120)
    assert [worker.exitcode for worker in workers] == [0] * len(workers)

    folders = [*place.runs.iterdir(), *place.trash.iterdir()]
    found: dict[str, RunFolder] = {}
    for folder in folders:
        with suppress(FileNotFoundError):
            found[(folder / "identity").read_text()] = RunFolder(folder)
    assert set(place.reported("trained")) == set(found)
    assert len(found) == 24
    for run in found.values():
        assert run.read_events().lines == len(EVENTS)
        assert run.read_summary().state == "completed"
    tags = {tag for folder in folders for tag in read_about(folder).tags}
    assert tags == set(place.reported("tagged"))
