"""Signals, terminals that disconnect, streams that are closed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.faults.forks import TIMEOUT, Child, Ended, call, command
from tests.faults.runs import CommandInbox, Left, assert_same, begin, left_by, small_run
from tests.faults.windows import Window
from tui_trainer.models.checkpoints import read_checkpoint
from tui_trainer.protocol.config import RunConfig
from tui_trainer.protocol.events import RunFinished
from tui_trainer.recording.folder import RunFolder
from tui_trainer.recording.lock import Lock

ENDINGS = [
    (signal.SIGINT, 130, "interrupted"),
    (signal.SIGTERM, 143, "terminated"),
    (signal.SIGHUP, 129, "disconnected"),
]


@pytest.fixture(scope="module")
def long_config(data: Path) -> RunConfig:
    """A run of some seconds, so that a signal arrives while it trains."""
    return small_run(data, epochs=12)


@pytest.fixture(scope="module")
def long_whole(long_config: RunConfig, tmp_path_factory: pytest.TempPathFactory) -> Left:
    """Its result without interruption."""
    path = tmp_path_factory.mktemp("long") / "run"
    for _ in begin(path, long_config, CommandInbox({})):
        pass
    return left_by(path)


def options(config: RunConfig, path: Path, *more: str) -> list[str]:
    """Return the command line of a run."""
    named = {
        "--model": config.model,
        "--data-dir": config.data_dir,
        "--epochs": config.epochs,
        "--batch-size": config.batch_size,
        "--lr": config.lr,
        "--threads": 1,
        "--device": "cpu",
        "--out": path,
    }
    return [*more, *(str(word) for pair in named.items() for word in pair)]


def epochs_of(path: Path) -> int:
    """Return how many epochs a run has reported so far."""
    events = RunFolder(path).events
    return events.read_bytes().count(b'{"event": "EpochDone"') if events.exists() else 0


def until(is_so: Callable[[], object]) -> None:
    """Wait until a condition holds."""
    last = time.monotonic() + TIMEOUT
    while not is_so():
        assert time.monotonic() < last
        time.sleep(0.01)


def under_way(path: Path, epochs: int = 2) -> None:
    """Wait until a run has done some epochs."""
    until(lambda: epochs_of(path) >= epochs)


def started(config: RunConfig, path: Path, before: Callable[[], object] = lambda: None) -> Child:
    """Start the command line in a forked process, and wait until it trains."""

    def work() -> object:
        before()
        return command(*options(config, path, "--no-ui"))()

    child = Child(work, path.with_name("said"))
    under_way(path)
    return child


def real(config: RunConfig, path: Path, *prefix: str) -> subprocess.Popen[str]:
    """Start it as a user does, in a process that is not forked from this one."""
    words = [*prefix, sys.executable, "-m", "tui_trainer", *options(config, path, "--no-ui")]
    return subprocess.Popen(
        words, stdin=subprocess.DEVNULL, stdout=-1, stderr=-1, text=True, start_new_session=True
    )


def assert_resumable(path: Path, whole: Left) -> None:
    """``mnist-tui resume`` ends the run like an uninterrupted one."""
    assert not Lock.is_held(RunFolder(path).lock)
    ended = call(command("resume", path, "--no-ui"), path.with_name("said"))
    assert ended.code == 0, ended.err
    assert_same(path, whole)


def assert_left_in_order(path: Path, reason: str, err: str) -> None:
    """The run has reported its end, is saved up to it, and prints how to resume."""
    folder = RunFolder(path)
    *_, finished = folder.read_events().events
    assert isinstance(finished, RunFinished)
    assert finished.reason == folder.read_summary().state == reason
    assert read_checkpoint(folder.checkpoint("last")).metadata["step"] == finished.step
    assert f"mnist-tui resume {path}" in err
    assert "Traceback" not in err


@pytest.mark.parametrize(
    ("number", "code", "reason"),
    [ENDINGS[0], *(pytest.param(*each, marks=pytest.mark.slow) for each in ENDINGS[1:])],
)
def test_a_signal_ends_the_run_in_order(
    number: int, code: int, reason: str, long_config: RunConfig, long_whole: Left, tmp_path: Path
) -> None:
    path = tmp_path / "run"
    child = started(long_config, path)
    os.kill(child.pid, number)
    ended = child.wait()
    assert ended.code == code, ended.err
    assert_left_in_order(path, reason, ended.err)
    assert_resumable(path, long_whole)


@pytest.mark.slow
@pytest.mark.parametrize(("number", "code", "reason"), ENDINGS)
def test_a_signal_ends_a_separate_process_in_order(
    number: int, code: int, reason: str, long_config: RunConfig, long_whole: Left, tmp_path: Path
) -> None:
    path = tmp_path / "run"
    with real(long_config, path) as process:
        under_way(path)
        process.send_signal(number)
        _, err = process.communicate(timeout=TIMEOUT)
    assert process.returncode == code, err
    assert_left_in_order(path, reason, err)
    assert_resumable(path, long_whole)


@pytest.mark.slow
def test_a_second_signal_ends_it_at_once(
    long_config: RunConfig, long_whole: Left, tmp_path: Path
) -> None:
    path = tmp_path / "run"
    child = started(long_config, path)
    # It is suspended while they are sent, so both arrive at once: the first cannot end it before.
    for number in (signal.SIGSTOP, signal.SIGINT, signal.SIGTERM, signal.SIGCONT):
        os.kill(child.pid, number)
    ended = child.wait()
    assert ended.code == 143, ended.err
    assert "exited at once" in ended.err
    assert "Traceback" not in ended.err
    read_checkpoint(RunFolder(path).checkpoint("last"))
    assert RunFolder(path).read_summary().state == "killed"
    assert_resumable(path, long_whole)


@pytest.mark.slow
def test_a_signal_that_is_ignored_ends_nothing(
    long_config: RunConfig, long_whole: Left, tmp_path: Path
) -> None:
    """As under ``nohup``."""
    path = tmp_path / "run"
    child = started(long_config, path, lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN))
    os.kill(child.pid, signal.SIGHUP)
    ended = child.wait()
    assert ended.code == 0, ended.err
    assert_same(path, long_whole)


@pytest.mark.slow
def test_nohup(long_config: RunConfig, long_whole: Left, tmp_path: Path) -> None:
    path = tmp_path / "run"
    with real(long_config, path, "nohup") as process:
        under_way(path)
        process.send_signal(signal.SIGHUP)
        _, err = process.communicate(timeout=TIMEOUT)
    assert process.returncode == 0, err
    assert_same(path, long_whole)


@pytest.mark.slow
@pytest.mark.parametrize("streams", ["<&- >&- 2>&-", "</dev/null >/dev/null 2>&1"])
def test_a_run_without_any_stream(streams: str, config: RunConfig, tmp_path: Path) -> None:
    """Started by ``setsid`` with its streams closed; it ends like any other."""
    path, watched = tmp_path / "run", tmp_path / "watched"
    words = [sys.executable, "-m", "tui_trainer", *options(config, path, "--no-ui")]
    script = ["setsid", "--wait", "/bin/sh", "-c", f'exec "$@" {streams}', "sh", *words]
    done = subprocess.run(script, timeout=TIMEOUT, check=False, capture_output=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")
    ended = call(command(*options(config, watched, "--no-ui")), tmp_path / "said")
    assert ended.code == 0
    assert_same(path, left_by(watched))


def test_the_files_of_a_run_do_not_take_the_place_of_closed_streams(
    long_config: RunConfig, tmp_path: Path
) -> None:
    """Output of a library to standard error would go into them."""
    path = tmp_path / "run"

    def close_streams() -> None:
        for number in (0, 1, 2):
            os.close(number)

    child = started(long_config, path, close_streams)
    streams = [os.readlink(f"/proc/{child.pid}/fd/{number}") for number in (0, 1)]
    os.kill(child.pid, signal.SIGKILL)
    child.wait()
    assert streams == ["/dev/null"] * 2


def test_two_processes_cannot_write_one_run(
    long_config: RunConfig, long_whole: Left, tmp_path: Path
) -> None:
    path = tmp_path / "run"
    child = started(long_config, path)

    def resume() -> Ended:
        return call(command("resume", path, "--no-ui"), tmp_path / "second")

    second = resume()
    assert (second.code, second.out) == (2, "")
    (line,) = second.err.splitlines()
    assert f"in use: process {child.pid} is writing this run" in line
    here = epochs_of(path)
    until(lambda: epochs_of(path) > here)
    os.kill(child.pid, signal.SIGKILL)
    assert child.wait().signal == signal.SIGKILL
    assert_resumable(path, long_whole)


@pytest.fixture
def window(data: Path, tmp_path: Path) -> Iterator[Window]:
    """The app in a terminal, in a long run, saved in ``run``."""
    opened = Window(*options(small_run(data, epochs=2_000), tmp_path / "run"))
    try:
        opened.wait_until(lambda: epochs_of(tmp_path / "run") >= 3)
        yield opened
    finally:
        opened.close()


def more_epochs(window: Window, path: Path) -> None:
    """Wait until it trains."""
    here = epochs_of(path)
    window.wait_until(lambda: epochs_of(path) > here + 1)


def assert_briefly_resumable(path: Path, data: Path, tmp_path: Path) -> None:
    """Two more epochs are those of an uninterrupted run."""
    done = read_checkpoint(RunFolder(path).checkpoint("last")).metadata
    epochs = done["epoch"] + 2
    ended = call(command("resume", path, "--no-ui", "--epochs", epochs), tmp_path / "said")
    assert ended.code == 0, ended.err
    replayed = call(command("replay", path, "--no-ui"), tmp_path / "said")
    assert replayed.code == 0, replayed.err
    assert ": 0 of " in replayed.err


@pytest.mark.slow
@pytest.mark.parametrize(("number", "code", "reason"), ENDINGS[1:])
def test_a_window_that_is_terminated_restores_the_terminal(
    number: int, code: int, reason: str, window: Window, data: Path, tmp_path: Path
) -> None:
    assert window.modes() != window.modes_before
    window.process.send_signal(number)
    assert window.wait() == code, window.shown[-500:]
    assert window.modes() == window.modes_before
    shown = window.shown
    assert shown.rfind(b"\x1b[?1049l") > shown.rfind(b"\x1b[?1049h") >= 0
    assert shown.rfind(b"\x1b[?25h") > shown.rfind(b"\x1b[?25l")
    assert b"Traceback" not in shown
    assert_left_in_order(tmp_path / "run", reason, " ".join(shown.decode().split()))
    assert_briefly_resumable(tmp_path / "run", data, tmp_path)


@pytest.mark.slow
def test_a_window_whose_terminal_is_gone_ends_by_itself(
    window: Window, data: Path, tmp_path: Path
) -> None:
    window.pull_out()
    assert window.wait() == 129
    assert RunFolder(tmp_path / "run").read_summary().state in ("disconnected", "stopped")
    assert_briefly_resumable(tmp_path / "run", data, tmp_path)


@pytest.mark.slow
def test_a_window_that_was_suspended_and_made_tiny_continues(
    window: Window, tmp_path: Path
) -> None:
    path = tmp_path / "run"
    window.process.send_signal(signal.SIGTSTP)
    window.wait_until(lambda: window.state() == "T")
    here = epochs_of(path)
    time.sleep(0.3)
    assert epochs_of(path) == here
    window.process.send_signal(signal.SIGCONT)
    more_epochs(window, path)
    for columns, lines in ((20, 5), (1, 1), (300, 100), (120, 40)):
        window.resize(columns, lines)
        more_epochs(window, path)
    window.process.send_signal(signal.SIGTERM)
    assert window.wait() == 143
    assert b"Traceback" not in window.shown
    assert window.modes() == window.modes_before
