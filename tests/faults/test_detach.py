"""Trainings in the background, and how they are started."""

from __future__ import annotations

import os
import shutil
import threading
from pathlib import Path

import pytest

from tests.faults.attaching import (
    Attach,
    assert_no_difference,
    assert_orderly,
    attach,
    end,
    endless,
    mnist_tui,
    path,
    press,
    process_of,
    trains,
)
from tests.faults.test_signals import epochs_of, options, until
from tests.faults.windows import Window
from tui_trainer.cli.attach import Attached
from tui_trainer.cli.detach import Trainer
from tui_trainer.protocol.config import RunConfig
from tui_trainer.protocol.errors import InputError
from tui_trainer.protocol.events import RunResumed
from tui_trainer.protocol.exit_codes import ExitCode
from tui_trainer.recording.folder import RunFolder

__all__ = ["attach", "endless", "path"]


# In the background


@pytest.mark.slow
def test_a_trainer_in_the_background_survives_its_terminal(
    endless: RunConfig, path: Path, attach: Attach
) -> None:
    window = attach(words=("--detach", *options(endless, path)))
    trains(path)
    number = process_of(path)
    assert number is not None
    assert os.getsid(number) == number
    assert os.readlink(f"/proc/{number}/fd/0") == "/dev/null"
    assert os.readlink(f"/proc/{number}/fd/1") == str(RunFolder(path).train_log)
    window.pull_out()
    assert window.wait() == ExitCode.DISCONNECTED
    trains(path)
    assert process_of(path) == number
    other = attach()
    press(other, "x", "y")
    until(lambda: process_of(path) is None)
    assert RunFolder(path).read_summary().state == "stopped"
    other.wait_until(lambda: b"stopped" in other.shown)
    press(other, "q")
    assert other.wait() == 0


@pytest.mark.slow
def test_a_window_that_is_closed_at_once_leaves_a_trainer_that_starts(
    endless: RunConfig, path: Path
) -> None:
    window = Window("--detach", *options(endless, path))
    try:
        window.wait_until(lambda: b"\x1b[?1049h" in window.shown)
        press(window, "q")
        assert window.wait() == 0
        words = assert_orderly(window)
        assert words.endswith(f"watch it again with: mnist-tui attach {path}")
        until(lambda: epochs_of(path) > 1)
        assert "epoch" in RunFolder(path).train_log.read_text()
    finally:
        window.close()


def test_a_trainer_that_still_starts_is_not_started_again(path: Path, whole_run: Path) -> None:
    shutil.copytree(whole_run, path)
    trainer = Trainer(RunFolder(path), ["--version"])
    with pytest.raises(InputError, match="its trainer is starting or ending; try again soon"):
        Attached(RunFolder(path), trainer).resume(None)
    until(lambda: not trainer.is_running)
    assert trainer.problem == ""


def test_after_a_failed_start_no_thread_keeps_the_process(path: Path) -> None:
    path.mkdir()
    trainer = Trainer(RunFolder(path), ["--no-such-option"])
    with pytest.raises(InputError, match="--no-such-option"):
        Attached(RunFolder(path), trainer).announce(is_resumed=False)
    threads = set(threading.enumerate()) - {threading.main_thread()}
    assert all(thread.daemon for thread in threads)


@pytest.mark.slow
def test_ctrl_c_while_the_trainer_starts_reports_that_it_continues(
    endless: RunConfig, path: Path
) -> None:
    window = Window("--detach", "--no-ui", *options(endless, path))
    try:
        window.wait_until(lambda: RunFolder(path).is_run)  # it loads PyTorch now
        os.write(window.master, b"\x03")
        assert window.wait() == ExitCode.INTERRUPTED
        assert f"watch it with: mnist-tui attach {path}" in assert_orderly(window)
        until(lambda: epochs_of(path) > 1)
    finally:
        window.close()


@pytest.mark.slow
def test_without_a_window_it_prints_the_folder_and_resume_does_too(
    endless: RunConfig, path: Path
) -> None:
    begun = mnist_tui(path, "--detach", "--no-ui", *options(endless, path))
    assert (begun.code, begun.out) == (0, f"{path}\n"), begun.err
    assert f"watch it with: mnist-tui attach {path}" in begun.err
    trains(path)
    again = mnist_tui(path, "resume", path, "--detach", "--no-ui")
    assert (again.code, again.out) == (ExitCode.BAD_INPUT, "")
    assert "in use: a process trains this run already" in again.err
    end(path)
    again = mnist_tui(path, "resume", path, "--detach", "--no-ui")
    assert (again.code, again.out) == (0, f"{path}\n"), again.err
    trains(path)
    events = RunFolder(path).read_events().events
    assert any(isinstance(event, RunResumed) for event in events)
    assert_no_difference(path)


@pytest.mark.slow
def test_without_a_name_it_attaches_to_the_latest_run_that_is_trained(
    endless: RunConfig, tmp_path: Path, attach: Attach, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    words = options(endless, tmp_path)[:-2]
    made: list[Path] = []
    try:
        for _ in range(2):
            begun = mnist_tui(tmp_path / "run", "--detach", "--no-ui", *words)
            assert begun.code == 0, begun.err
            made.append(tmp_path / begun.out.strip())
        end(made[1])
        window = attach(words=("attach",))
        press(window, "q")
        assert window.wait() == 0
        assert f"mnist-tui attach {made[0].relative_to(tmp_path)}" in assert_orderly(window)
    finally:
        for folder in made:
            end(folder)


BAD = [
    (["--data-dir", "/no/such/folder"], "/no/such/folder: no such folder"),
    (["--model", "unknown"], "--model: unknown model 'unknown'"),
    (["--model", "no/file.py:Model"], "no/file.py"),
    (["--device", "cuda"], "cuda"),
    (["--out", "/proc/self/none"], "--out /proc/self/none: cannot be written"),
    (["--no-save"], "--no-save: cannot be used with"),
    (["--json"], "--json"),
]

SLOW = {"/no/such/folder: no such folder", "no/file.py", "cuda"}
"""Those that are only found by a process that has loaded torch."""


@pytest.mark.parametrize(
    ("more", "problem"),
    [pytest.param(*each, marks=pytest.mark.slow if each[1] in SLOW else ()) for each in BAD],
    ids=[more[0] + more[-1] for more, _ in BAD],
)
def test_bad_input_in_the_background_is_one_line_and_leaves_nothing(
    more: list[str], problem: str, endless: RunConfig, path: Path
) -> None:
    words = options(endless, path)
    if more == ["--no-save"]:
        words = words[:-2]
    ended = mnist_tui(path, *words, "--detach", "--no-ui", *more)
    assert (ended.code, ended.out) == (ExitCode.BAD_INPUT, "")
    (line,) = ended.err.splitlines()
    assert line.startswith("mnist-tui: error: ")
    assert problem in line
    assert not path.exists()


@pytest.mark.slow
def test_a_folder_with_other_files_keeps_them(endless: RunConfig, path: Path) -> None:
    path.mkdir()
    (path / "notes.txt").write_text("mine")
    more = ["--data-dir", "/no/such/folder"]
    ended = mnist_tui(path, *options(endless, path), "--detach", "--no-ui", *more)
    assert ended.code == ExitCode.BAD_INPUT
    assert [file.name for file in path.iterdir()] == ["notes.txt"]


def test_a_folder_with_a_run_is_refused(endless: RunConfig, path: Path, whole_run: Path) -> None:
    shutil.copytree(whole_run, path)
    before = {file.name for file in path.iterdir()}
    ended = mnist_tui(path, *options(endless, path), "--detach", "--no-ui")
    assert ended.code == ExitCode.BAD_INPUT
    assert "already contains a run (config.toml)" in ended.err
    assert {file.name for file in path.iterdir()} == before


@pytest.mark.slow
def test_bad_input_behind_a_window_is_one_line_too(endless: RunConfig, path: Path) -> None:
    window = Window("--detach", *options(endless, path), "--data-dir", "/no/such/folder")
    try:
        assert window.wait() == ExitCode.BAD_INPUT
        words = assert_orderly(window)
        assert words.endswith("mnist-tui: error: /no/such/folder: no such folder; check the path")
        assert not path.exists()
    finally:
        window.close()
