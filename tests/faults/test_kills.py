"""kill -9 at any time: the checkpoints are intact, and a resumed run ends like an uninterrupted
one."""

from __future__ import annotations

import random
import shutil
import signal
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.faults.crash_points import PLACES, die, set_trap
from tests.faults.forks import Child, call
from tests.faults.runs import (
    COMMANDS,
    CommandInbox,
    Left,
    assert_same,
    begin,
    is_over,
    resume_to_end,
    save_each_step,
)
from tui_trainer.models.checkpoints import read_checkpoint
from tui_trainer.protocol.config import RunConfig
from tui_trainer.recording.folder import RunFolder
from tui_trainer.recording.lock import Lock

LONGEST = 0.6
"""Seconds after which a run is killed, at most; it takes about one with a checkpoint a step."""


def train_on(path: Path, config: RunConfig) -> None:
    """Start or resume the run, saving after each step."""
    save_each_step()
    if RunFolder(path).checkpoint("last").exists():
        resume_to_end(path)
    else:
        # Killed before its first checkpoint, there is nothing to resume.
        shutil.rmtree(path, ignore_errors=True)
        for _ in begin(path, config, CommandInbox(COMMANDS)):
            pass


def assert_sound(path: Path) -> None:
    """The files of a killed process are readable and not locked."""
    folder = RunFolder(path)
    assert not Lock.is_held(folder.lock)
    if folder.checkpoint("last").exists():
        read_checkpoint(folder.checkpoint("last"))
        assert folder.read_events().events
        assert folder.read_summary().state in ("killed", "completed")
    if folder.checkpoint("best").exists():
        read_checkpoint(folder.checkpoint("best"))


def has_torn(path: Path) -> bool:
    """Return whether a checkpoint was being written when the process died."""
    return any(file.name.startswith(".") for file in (path / "checkpoints").glob("*"))


def to_its_end(path: Path, config: RunConfig, whole: Left, place: Path) -> int:
    """Resume a run to its end and compare it; return the number of differing bits."""
    folder = RunFolder(path)
    unfinished = has_nothing_left(path)
    if not unfinished:
        ended = call(lambda: train_on(path, config), place)
        assert ended.code == 0, ended.err
        assert folder.read_summary().state == "completed"
        assert not has_torn(path)
    return assert_same(path, whole, unfinished=unfinished and not is_reported(folder))


def has_nothing_left(path: Path) -> bool:
    """Return whether ``resume`` reports that all epochs are done."""
    return RunFolder(path).checkpoint("last").exists() and is_over(path)


def is_reported(folder: RunFolder) -> bool:
    return any(type(event).__name__ == "RunFinished" for event in folder.read_events().events)


@dataclass
class Figures:
    """Statistics of many kills."""

    kills: int = 0
    in_a_checkpoint: int = 0
    checked: int = 0
    bits: int = 0

    def __str__(self) -> str:
        return (
            f"{self.kills} kills survived, {self.in_a_checkpoint} of them in the midst of writing "
            f"a checkpoint; {self.checked} runs checked to their end, {self.bits} bits differ"
        )


@pytest.mark.slow
@pytest.mark.parametrize(("kills", "lives"), [(4, 2), (60, 4)], ids=["4", "60"])
def test_a_run_that_is_killed_again_and_again_ends_like_one_that_was_not(
    kills: int, lives: int, config: RunConfig, whole: Left, tmp_path: Path
) -> None:
    """Every kill is checked: a copy of the folder is trained to its end and compared."""
    rng = random.Random(4)
    figures = Figures()
    path, alive = tmp_path / "0", 0
    while figures.kills < kills:
        child = Child(lambda path=path: train_on(path, config), tmp_path / "said")  # type: ignore[misc]
        child.kill_after(rng.uniform(0.0, LONGEST))
        ended = child.wait()
        was_at_work = ended.signal == signal.SIGKILL
        if not was_at_work:
            assert ended.code == 0, ended.err
        if was_at_work and path.exists():
            figures.kills += 1
            alive += 1
            figures.in_a_checkpoint += has_torn(path)
            assert_sound(path)
            copy = tmp_path / f"copy-{figures.kills}"
            shutil.copytree(path, copy)
            figures.bits += to_its_end(copy, config, whole, tmp_path / "said")
            figures.checked += 1
            shutil.rmtree(copy)
        if not was_at_work or alive > lives or has_nothing_left(path):
            figures.bits += to_its_end(path, config, whole, tmp_path / "said")
            figures.checked += 1
            path, alive = tmp_path / f"{figures.checked}", 0
    print(f"\nkill -9 at random times: {figures}")
    assert figures.bits == 0


def killed_at(
    place: str, number: int, path: Path, config: RunConfig, whole: Left, figures: Figures
) -> bool:
    """Kill a run at one passing of a place and check the result; return False past the last."""

    def work() -> None:
        set_trap(place, number, die)
        train_on(path, config)

    ended = call(work, path.with_suffix(".said"))
    if ended.signal != signal.SIGKILL:
        assert ended.code == 0, ended.err
        return False
    figures.kills += 1
    figures.in_a_checkpoint += has_torn(path)
    assert_sound(path)
    figures.bits += to_its_end(path, config, whole, path.with_suffix(".said"))
    figures.checked += 1
    return True


@pytest.mark.parametrize(
    ("place", "number", "is_in_a_checkpoint"),
    [
        ("half a write", 30, False),
        ("half a file", 4, True),
        pytest.param("fsync", 57, True, marks=pytest.mark.slow),
        pytest.param("replace", 13, True, marks=pytest.mark.slow),
    ],
)
def test_a_run_that_dies_while_saving_can_be_resumed(
    place: str,
    number: int,
    is_in_a_checkpoint: bool,
    config: RunConfig,
    whole: Left,
    tmp_path: Path,
) -> None:
    """At the first such passing from ``number`` on: each event more in a run moves the others."""
    figures = Figures()
    for passing in range(number, number + 12):
        path = tmp_path / str(passing)
        assert killed_at(place, passing, path, config, whole, figures)
        assert figures.bits == 0
        if bool(figures.in_a_checkpoint) == is_in_a_checkpoint:
            return
    pytest.fail(f"no passing of {place} is in a checkpoint")


@pytest.mark.slow
def test_a_run_can_die_at_every_single_place(
    config: RunConfig, whole: Left, tmp_path: Path
) -> None:
    figures, places = Figures(), Counter[str]()
    for place in PLACES:
        number = 1
        path = tmp_path / "run"
        while killed_at(place, number, path, config, whole, figures):
            shutil.rmtree(path)
            places[place] += 1
            number += 1
        shutil.rmtree(path)
    print(f"\nkill -9 at every place ({dict(places)}): {figures}")
    assert figures.bits == 0
    assert min(places[place] for place in PLACES) > 10
