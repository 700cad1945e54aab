"""Windows that are attached to a run, and what a test does with them."""

from __future__ import annotations

import json
import os
import re
import signal
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from tests.faults.forks import Child, Ended, call, command
from tests.faults.runs import small_run
from tests.faults.test_signals import epochs_of, started, until
from tests.faults.windows import Window
from tui_trainer.protocol.config import RunConfig
from tui_trainer.recording.folder import RunFolder
from tui_trainer.recording.lock import Lock

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
