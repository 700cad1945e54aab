"""Windows on a run of another process: killed, moved, several at once, in the background."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from tests.faults.disks import FREE_AT, FULL_AT, headless
from tests.faults.forks import Child, Ended, call, command
from tests.faults.runs import Left, assert_same, small_run
from tests.faults.test_full_disk import fill, little_disk
from tests.faults.test_signals import epochs_of, options, started, until
from tests.faults.windows import Window
from tui_trainer.cli.attach import Attached
from tui_trainer.cli.detach import Trainer
from tui_trainer.protocol.config import RunConfig
from tui_trainer.protocol.errors import InputError
from tui_trainer.protocol.events import CommandApplied, Rewound, RunResumed, SettingChanged
from tui_trainer.protocol.exit_codes import ExitCode
from tui_trainer.recording.command_file import sender
from tui_trainer.recording.folder import RunFolder
from tui_trainer.recording.lock import Lock

__all__ = ["little_disk"]

STARTED = re.compile(rb"epoch +[\d,]+ of ")
"""On the screen once the record is read."""


@pytest.fixture
def endless(data: Path) -> RunConfig:
    """A run that lasts longer than a test."""
    return small_run(data, epochs=9_000)


@pytest.fixture
def path(tmp_path: Path) -> Iterator[Path]:
    """The folder of a run; its trainer ends with the test."""
    path = tmp_path / "run"
    yield path
    for place in (path, tmp_path / "elsewhere"):
        end(place)


@pytest.fixture
def trainer(endless: RunConfig, path: Path) -> Child:
    """A process that trains the run without a window."""
    return started(endless, path)


Attach = Callable[..., Window]


@pytest.fixture
def attach(path: Path) -> Iterator[Attach]:
    """Return a function that attaches a window to the run, and waits for its curves."""
    opened: list[Window] = []

    def one(*more: str, words: tuple[str, ...] | None = None) -> Window:
        opened.append(Window(*(words or ("attach", str(path))), *more))
        opened[-1].wait_until(lambda: STARTED.search(opened[-1].shown))
        return opened[-1]

    yield one
    for window in opened:
        window.close()


def process_of(path: Path) -> int | None:
    """Return the id of the process that trains a run; None if there is none."""
    with suppress(OSError, ValueError):
        if Lock.is_held(RunFolder(path).lock):
            return int(json.loads(RunFolder(path).lock.read_text())["pid"])
    return None


def end(path: Path) -> None:
    """Kill the process that trains a run."""
    number = process_of(path)
    if number is not None and number != os.getpid():
        with suppress(ProcessLookupError):
            os.kill(number, signal.SIGKILL)
        with suppress(ChildProcessError):
            os.waitpid(number, 0)
        until(lambda: not Lock.is_held(RunFolder(path).lock))


def trains(path: Path) -> None:
    """Wait until a run has made progress."""
    here = epochs_of(path)
    until(lambda: epochs_of(path) > here)


def press(window: Window, *keys: str) -> None:
    """Press keys."""
    for key in keys:
        os.write(window.master, key.encode())
        window.read(0.3)


def mnist_tui(place: Path, *words: object) -> Ended:
    """Run the command line in a forked process."""
    return call(command(*words), place.with_name("output"))


def assert_no_difference(path: Path) -> None:
    """Stop the run, and check that a replay ends with the same bits."""
    stopped = mnist_tui(path, "send", path, "stop", "--timeout", 30)
    assert stopped.code == 0, stopped.err
    until(lambda: process_of(path) is None)
    replayed = mnist_tui(path, "replay", path, "--no-ui")
    assert replayed.code == 0, replayed.err
    assert ": 0 of " in replayed.err


def assert_orderly(window: Window) -> str:
    """Check that the terminal is as before; return the lines after the window."""
    assert window.modes() == window.modes_before
    text = window.shown.rpartition(b"\x1b[?1049l")[2].decode()
    assert "Traceback" not in window.shown.decode(errors="replace")
    return " ".join(text.split())


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


BAD = [
    (["--data-dir", "/no/such/folder"], "/no/such/folder: no such folder"),
    (["--model", "unknown"], "--model: unknown model 'unknown'"),
    (["--model", "no/file.py:Model"], "no/file.py"),
    (["--device", "cuda"], "cuda"),
    (["--out", "/proc/self/none"], "--out /proc/self/none: cannot be written"),
    (["--no-save"], "--no-save: cannot be used with"),
    (["--json"], "--json"),
]


@pytest.mark.parametrize(
    ("more", "problem"),
    [
        pytest.param(*each, marks=pytest.mark.slow if each[1] in ("no/file.py", "cuda") else ())
        for each in BAD
    ],
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


def test_bad_input_behind_a_window_is_one_line_too(endless: RunConfig, path: Path) -> None:
    window = Window("--detach", *options(endless, path), "--data-dir", "/no/such/folder")
    try:
        assert window.wait() == ExitCode.BAD_INPUT
        words = assert_orderly(window)
        assert words.endswith("mnist-tui: error: /no/such/folder: no such folder; check the path")
        assert not path.exists()
    finally:
        window.close()


# Runs that nobody trains


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
        window = Window("attach", *([] if kind == "nobody" else [str(path)]))
    finally:
        os.chdir(here)
    try:
        assert window.wait() == ExitCode.BAD_INPUT
        assert window.shown.startswith(b"mnist-tui: error: ")
        assert window.shown.count(b"mnist-tui: ") == 1
    finally:
        window.close()
