"""A consumer of the events may be slow or raise: the folder of the run is intact all the same."""

from __future__ import annotations

import itertools
import os
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.forks import Child, call, command
from tests.faults.runs import (
    COMMANDS,
    CommandInbox,
    Left,
    assert_same,
    begin,
    resume_to_end,
    resumed,
    save_each_step,
)
from tui_trainer.headless.runner import run_headless
from tui_trainer.models.checkpoints import read_checkpoint
from tui_trainer.protocol.config import RunConfig
from tui_trainer.protocol.events import EpochDone, Event, RunFinished, StepDone
from tui_trainer.recording.folder import RunFolder
from tui_trainer.recording.lock import Lock


def test_a_slow_listener_gets_the_same_run(config: RunConfig, whole: Left, tmp_path: Path) -> None:
    path = tmp_path / "run"
    for event in begin(path, config, CommandInbox(COMMANDS)):
        if isinstance(event, StepDone | EpochDone):
            time.sleep(0.02)
    assert_same(path, whole)


class ListenerError(Exception):
    """An error of a listener."""


def listen_until(place: int, events: Iterator[Event]) -> None:
    for number, event in enumerate(events):
        if number == place:
            raise ListenerError(f"at {type(event).__name__}")


@pytest.mark.parametrize(
    "place",
    [4, 13, *(pytest.param(place, marks=pytest.mark.slow) for place in (5, 12, 17, 24, 29))],
)
def test_a_listener_that_fails_leaves_a_run_that_can_be_resumed(
    place: int, config: RunConfig, whole: Left, tmp_path: Path
) -> None:
    """It raises at one event after another, in the run and in the resumed run."""
    path = tmp_path / "run"

    def listen() -> None:
        save_each_step()
        events = begin(path, config, CommandInbox(COMMANDS))
        with pytest.raises(ListenerError):
            listen_until(place, events)
        events.close()  # type: ignore[attr-defined]

    ended = call(listen, tmp_path / "said")
    assert ended.code == 0, ended.err
    folder = RunFolder(path)
    assert not Lock.is_held(folder.lock)
    assert folder.read_events().events
    if not folder.checkpoint("last").exists():
        shutil.rmtree(path)
        return
    read_checkpoint(folder.checkpoint("last"))
    ended = call(lambda: len(resume_to_end(path)) and None, tmp_path / "said")
    assert ended.code == 0, ended.err
    assert_same(path, whole)


@pytest.mark.slow
def test_a_listener_that_fails_twice_in_a_row(
    config: RunConfig, whole: Left, tmp_path: Path
) -> None:
    path = tmp_path / "run"
    first = begin(path, config, CommandInbox(COMMANDS))
    list(itertools.islice(first, 20))
    first.close()  # type: ignore[attr-defined]
    for more in (0, 3, 9):
        settings, inbox, start = resumed(path, lambda step: CommandInbox(COMMANDS, step))
        again = start(settings, inbox)
        list(itertools.islice(again, 20 + more))
        del again
        assert not Lock.is_held(RunFolder(path).lock)
    resume_to_end(path)
    assert_same(path, whole)


def test_a_reader_that_takes_its_time(config: RunConfig, whole: Left, tmp_path: Path) -> None:
    """Standard output is a pipe that nobody reads until it is full."""
    path, out = tmp_path / "run", tmp_path / "out"
    reader, writer = os.pipe()

    def talk() -> int:
        os.dup2(writer, 1)
        os.close(reader)
        os.close(writer)
        inbox = CommandInbox(COMMANDS)
        return run_headless(chatty(begin(path, config, inbox)), inbox, json_lines=True)

    child = Child(talk, tmp_path / "said")
    os.close(writer)
    time.sleep(1.5)
    with open(reader, "rb") as pipe, out.open("wb") as file:
        shutil.copyfileobj(pipe, file)
    ended = child.wait()
    assert ended.code == 0, ended.err
    assert out.stat().st_size > 1 << 16  # more than a pipe holds
    assert_same(path, whole)


def chatty(events: Iterator[Event]) -> Iterator[Event]:
    """Print each step a hundred times."""
    for event in events:
        yield from itertools.repeat(event, 100 if isinstance(event, StepDone) else 1)


def test_a_reader_that_leaves(config: RunConfig, tmp_path: Path) -> None:
    """``| head -1``: the run ends in order, and can be resumed."""
    path = tmp_path / "run"
    reader, writer = os.pipe()

    def talk() -> None:
        os.dup2(writer, 1)
        os.close(reader)
        os.close(writer)
        words = ["--model", "tiny", "--data-dir", config.data_dir, "--threads", 1]
        command("--no-ui", *words, "--epochs", 500, "--out", path)()

    child = Child(talk, tmp_path / "said")
    os.close(writer)
    with open(reader, "rb") as pipe:
        assert pipe.readline().startswith(b"epoch ")
    ended = child.wait()
    assert ended.code == 141, ended.err
    folder = RunFolder(path)
    *_, finished = folder.read_events().events
    assert isinstance(finished, RunFinished)
    assert finished.reason == "interrupted"
    assert read_checkpoint(folder.checkpoint("last")).metadata["step"] == finished.step
    assert "mnist-tui resume" in ended.err
    assert "Traceback" not in ended.err
