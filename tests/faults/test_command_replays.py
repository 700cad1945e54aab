"""A run with commands from other processes, replayed: the same bits."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.engine.runs import of, only
from tests.faults.forks import call, command
from tests.faults.runs import CommandInbox, Left, assert_same, begin, resumed
from tests.faults.senders import SteeredInbox, answers, send
from tui_trainer.protocol.commands import (
    Command,
    EvaluateTest,
    Pause,
    Resume,
    Rewind,
    RunEpoch,
    RunStep,
    SetAugmentation,
    SetBaseLr,
    SetBatchSize,
    SetDropout,
    SetEpochs,
    Stop,
)
from tui_trainer.protocol.config import RunConfig
from tui_trainer.protocol.events import RunFinished, SettingChanged, StateChanged
from tui_trainer.recording.folder import RunFolder

EVERY_KIND: list[tuple[int, Sequence[Command]]] = [
    (2, [SetBaseLr(0.03), SetDropout(0.2)]),
    (4, [Pause()]),
    (4, [SetBatchSize(24), EvaluateTest()]),
    (4, [SetBaseLr(0.02), RunStep()]),
    (5, [SetAugmentation(False), RunEpoch()]),
    (6, [SetEpochs(4), Resume()]),
    (9, [SetAugmentation(True), SetBatchSize(16), SetBatchSize(10)]),
    (12, [Rewind(0.1), SetDropout(5.0)]),
    (14, [SetEpochs(3), SetBaseLr(0.001)]),
]
"""Every kind of command, while it trains and while it is paused; two of them are rejected."""


def trained(path: Path, config: RunConfig, script: Sequence[tuple[int, Sequence[Command]]]) -> None:
    for _ in begin(path, config, SteeredInbox(path, script)):
        pass


def replayed(path: Path, place: Path) -> str:
    """Train a run again as the command line does; return the line about the bits."""
    ended = call(command("replay", path, "--no-ui"), place)
    assert ended.code == 0, ended.err
    (line,) = [line for line in ended.err.splitlines() if "bits of the weights differ" in line]
    return line


def test_every_kind_of_command(config: RunConfig, tmp_path: Path) -> None:
    path = tmp_path / "run"
    trained(path, config, EVERY_KIND)
    events = list(RunFolder(path).read_events().events)
    assert len(answers(events)) == sum(len(group) for _, group in EVERY_KIND)
    changed = {event.setting for event in of(SettingChanged, events)}
    assert changed == {"base_lr", "batch_size", "augmentation", "dropout", "epochs"}
    assert 4 in {event.step for event in of(StateChanged, events) if event.state == "paused"}
    assert ": 0 of " in replayed(path, tmp_path / "said")


@pytest.mark.slow
@pytest.mark.parametrize("stop_at", [3, 5, 11])
def test_with_a_resume_in_between(config: RunConfig, tmp_path: Path, stop_at: int) -> None:
    """It is stopped from outside, resumed and steered on; replayed in one go."""
    path = tmp_path / "run"
    before = [(step, group) for step, group in EVERY_KIND if step < stop_at and step != 4]
    trained(path, config, [*before, (stop_at, [SetBaseLr(0.04), Stop(test=False)])])
    send(path, SetBaseLr(0.9))
    after = [(step, group) for step, group in EVERY_KIND if step > stop_at]
    settings, inbox, start = resumed(path, lambda step: SteeredInbox(path, after, step))
    for _ in start(settings, inbox):
        pass
    events = list(RunFolder(path).read_events().events)
    assert only(RunFinished, events).reason == "completed"
    assert 0.9 not in [event.new for event in of(SettingChanged, events)]
    assert ": 0 of " in replayed(path, tmp_path / "said")


def test_a_stopped_run(config: RunConfig, tmp_path: Path) -> None:
    path = tmp_path / "run"
    trained(path, config, [*EVERY_KIND[:1], (9, [SetBatchSize(20)]), (10, [Stop()])])
    assert "replayed 10 steps: 0 of " in replayed(path, tmp_path / "said")


def test_commands_from_outside_are_those_of_a_window(
    config: RunConfig, whole: Left, tmp_path: Path
) -> None:
    """The same commands at the same steps leave the same weights, optimizer and random states."""
    path = tmp_path / "run"
    script: list[tuple[int, Sequence[Command]]] = [
        (3, [SetBaseLr(0.03)]),
        (8, [SetBatchSize(24), SetAugmentation(False)]),
        (13, [SetAugmentation(True), SetDropout(0.3)]),
    ]
    trained(path, config, script)
    records = [record for record in whole.records if record["event"] != "CommandApplied"]
    mine = Left(whole.last, whole.best, records)
    assert_same_but_for_answers(path, mine)


def assert_same_but_for_answers(path: Path, whole: Left) -> None:
    lines = RunFolder(path).events.read_text().splitlines(keepends=True)
    kept = [line for line in lines if not line.startswith('{"event": "CommandApplied"')]
    RunFolder(path).events.write_text("".join(kept))
    assert assert_same(path, whole) == 0


@pytest.mark.slow
def test_a_run_that_is_only_polled(config: RunConfig, tmp_path: Path) -> None:
    path = tmp_path / "run"
    for _ in begin(path, config, CommandInbox({})):
        pass
    assert ": 0 of " in replayed(path, tmp_path / "said")
