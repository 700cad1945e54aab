"""Windows on a run of another process: killed, moved, several at once."""

from __future__ import annotations

import os
import shutil
import signal
from pathlib import Path

import pytest

from tests.faults.attaching import (
    Attach,
    assert_no_difference,
    assert_orderly,
    attach,
    endless,
    mnist_tui,
    path,
    press,
    process_of,
    trainer,
    trains,
)
from tests.faults.disks import FREE_AT, FULL_AT, headless
from tests.faults.forked_programs import ForkedProgram
from tests.faults.forks import Child
from tests.faults.runs import Left, assert_same, small_run
from tests.faults.test_full_disk import fill, little_disk
from tests.faults.test_signals import epochs_of, options, started, until
from tests.faults.windows import Window
from tui_trainer.protocol.config import RunConfig
from tui_trainer.protocol.events import CommandApplied, Rewound, SettingChanged
from tui_trainer.protocol.exit_codes import ExitCode
from tui_trainer.recording.command_file import sender
from tui_trainer.recording.folder import RunFolder

__all__ = ["attach", "endless", "little_disk", "path", "trainer"]


# The window ends, the training does not


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGHUP])
def test_the_end_of_an_attached_window_leaves_the_training_alone(
    number: signal.Signals, trainer: Child, path: Path, attach: Attach
) -> None:
    window = attach()
    trains(path)
    window.process.send_signal(number)
    code = window.wait()
    assert code == (-9 if number == signal.SIGKILL else 128 + number)
    if number != signal.SIGKILL:
        words = assert_orderly(window)
        assert f"the training continues; watch it again with: mnist-tui attach {path}" in words
    trains(path)
    assert process_of(path) == trainer.pid
    assert_no_difference(path)


def test_q_leaves_the_training_alone_and_prints_that(
    trainer: Child, path: Path, attach: Attach
) -> None:
    window = attach()
    press(window, "q")
    assert window.wait() == 0
    words = assert_orderly(window)
    assert f"the training continues; watch it again with: mnist-tui attach {path}" in words
    trains(path)
    assert process_of(path) == trainer.pid


@pytest.mark.slow
def test_a_window_whose_terminal_is_closed_ends(trainer: Child, path: Path, attach: Attach) -> None:
    window = attach()
    window.pull_out()
    assert window.wait() == ExitCode.DISCONNECTED
    trains(path)


# The trainer ends, the window does not


@pytest.mark.slow
@pytest.mark.parametrize("half", ['{"event": "StepD', pytest.param("", marks=pytest.mark.slow)])
def test_without_its_trainer_the_window_shows_it_and_y_resumes_the_run(
    half: str, trainer: Child, path: Path, attach: Attach
) -> None:
    window = attach()
    trains(path)
    os.kill(trainer.pid, signal.SIGKILL)
    trainer.wait()
    with RunFolder(path).events.open("a") as file:
        file.write(half)
    window.wait_until(lambda: b"The trainer is gone." in window.shown)
    assert b"killed" in window.shown
    here = epochs_of(path)
    press(window, "y")
    window.wait_until(lambda: epochs_of(path) > here + 2)
    assert process_of(path) not in (None, trainer.pid, window.process.pid)
    since = len(window.shown)
    window.wait_until(lambda: b"img/s" in window.shown[since:])
    press(window, "q")
    assert window.wait() == 0
    assert "the training continues" in assert_orderly(window)
    assert_no_difference(path)


@pytest.mark.slow
def test_a_run_that_is_moved_ends_the_window_with_one_line(
    trainer: Child, path: Path, attach: Attach
) -> None:
    window = attach()
    other = path.with_name("elsewhere")
    path.rename(other)
    assert window.wait() == ExitCode.BAD_INPUT
    words = assert_orderly(window)
    assert f"mnist-tui: error: {path}: moved or deleted while it was followed" in words
    trains(other)


@pytest.mark.slow
def test_a_full_disk_of_the_trainer_is_survived_by_both(
    little_disk: Path, config: RunConfig, whole: Left, attach: Attach, tmp_path: Path
) -> None:
    run, filler, freed = little_disk / "run", little_disk / "filler", tmp_path / "freed"

    def at_step(step: int) -> None:
        if step == FULL_AT:
            fill(filler)
        if step == FREE_AT:
            until(freed.exists)
            filler.unlink()

    run.mkdir()
    child = Child(lambda: headless(run, config, at_step), tmp_path / "output")
    until(filler.exists)
    window = attach(words=("attach", str(run)))
    press(window, "-")
    # Before the disk has room again: a command that fits would change the run.
    window.wait_until(lambda: b"cannot be written: No space left" in window.shown)
    freed.touch()
    assert child.wait().code == 0
    window.wait_until(lambda: b"finished" in window.shown)
    press(window, "q")
    assert window.wait() == 0
    assert "completed in epoch 3 of 3" in assert_orderly(window)
    assert_same(run, whole)


@pytest.mark.slow
def test_a_diverged_run_in_the_background_is_rewound_from_a_window(
    endless: RunConfig, path: Path, attach: Attach
) -> None:
    begun = mnist_tui(path, "--detach", "--no-ui", *options(endless, path), "--lr", 1_000)
    assert begun.code == 0, begun.err
    window = attach()
    window.wait_until(lambda: b"The run diverged" in window.shown)
    here = epochs_of(path)
    press(window, "y")
    until(lambda: epochs_of(path) > here + 1)
    assert any(isinstance(event, Rewound) for event in RunFolder(path).read_events().events)


# Several windows


@pytest.mark.slow
def test_two_windows_steer_and_a_third_only_watches(
    trainer: Child, path: Path, attach: Attach
) -> None:
    first, second, third = attach(), attach(), attach("--read-only")
    press(third, "-", ">", " ", "x", "y")
    press(first, "-")
    until(lambda: len(changes(path)) == 1)
    press(second, ">")
    until(lambda: len(changes(path)) == 2)
    assert [(change.setting, change.by) for change in changes(path)] == [
        ("base_lr", sender()),
        ("batch_size", sender()),
    ]
    for window in (first, second, third):
        window.wait_until(lambda window=window: b"batch 16" in window.shown)  # type: ignore[misc]
        press(window, "q")
        assert window.wait() == 0
    applied = [e for e in RunFolder(path).read_events().events if isinstance(e, CommandApplied)]
    assert len({event.request for event in applied}) == len(applied) == 2
    assert_no_difference(path)


def changes(path: Path) -> list[SettingChanged]:
    return [e for e in RunFolder(path).read_events().events if isinstance(e, SettingChanged)]


# Runs that nobody trains


@pytest.mark.slow
@pytest.mark.parametrize("old", [False, True], ids=["finished", "of version 0.1"])
def test_a_finished_run_opens_and_offers_nothing(
    old: bool, path: Path, whole_run: Path, attach: Attach
) -> None:
    shutil.copytree(whole_run if not old else old_run(), path)
    before = {file.name: file.read_bytes() for file in path.iterdir() if file.is_file()}
    window = attach()
    window.wait_until(lambda: b"completed" in window.shown)
    press(window, "-", " ", "R", "q")
    assert window.wait() == 0
    words = assert_orderly(window)
    assert "completed in epoch" in words
    assert "the training continues" not in words
    assert {file.name: file.read_bytes() for file in path.iterdir() if file.is_file()} == before


def old_run() -> Path:
    runs = Path(__file__).parent.parent / "recording" / "runs_0_1"
    return next(run for run in sorted(runs.iterdir()) if run.is_dir())


@pytest.mark.slow
def test_a_run_that_cannot_be_resumed_shows_why_and_can_be_tried_again(
    data: Path, path: Path, attach: Attach, tmp_path: Path
) -> None:
    here = shutil.copytree(data, tmp_path / data.name)
    child = started(small_run(here, epochs=9_000), path)
    os.kill(child.pid, signal.SIGKILL)
    child.wait()
    here.rename(tmp_path / "elsewhere")
    before = RunFolder(path).events.read_bytes()
    window = attach()
    window.wait_until(lambda: b"The trainer is gone." in window.shown)
    press(window, "y")
    window.wait_until(lambda: b"not possible" in window.shown)
    assert RunFolder(path).events.read_bytes() == before
    (tmp_path / "elsewhere").rename(here)
    since = len(window.shown)
    press(window, "R")
    window.wait_until(lambda: b" training" in window.shown[since:])
    press(window, "q")
    assert window.wait() == 0
    assert "the training continues" in assert_orderly(window)


@pytest.mark.parametrize("kind", ["empty", "none", "nobody"])
def test_what_is_no_run_is_one_line(kind: str, path: Path, tmp_path: Path) -> None:
    if kind == "empty":
        path.mkdir()
    here = os.getcwd()
    os.chdir(tmp_path)
    try:
        words = [] if kind == "nobody" else [str(path)]
        window = Window("attach", *words, start=ForkedProgram)
    finally:
        os.chdir(here)
    try:
        assert window.wait() == ExitCode.BAD_INPUT
        assert window.shown.startswith(b"mnist-tui: error: ")
        assert window.shown.count(b"mnist-tui: ") == 1
    finally:
        window.close()
