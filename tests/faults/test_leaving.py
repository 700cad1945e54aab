"""A training that its window leaves to a process in the background ends with the same bits."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from tests.faults.attaching import (
    Attach,
    assert_orderly,
    attach,
    path,
    press,
    process_of,
)
from tests.faults.runs import (
    COMMANDS,
    CommandInbox,
    Commands,
    Left,
    assert_same,
    begin,
    left_by,
    resume_to_end,
    small_run,
)
from tests.faults.test_signals import epochs_of, options, until
from tui_trainer.protocol.commands import Command, Pause, Stop
from tui_trainer.protocol.config import RunConfig
from tui_trainer.protocol.events import Event, RunFinished
from tui_trainer.recording.folder import RunFolder

__all__ = ["attach", "path"]

LEAVE = Stop(reason="detached", test=False)
STEPS = 17
QUICK = (0, 9)


def left_at(step: int, *before: Command) -> Commands:
    """Return the commands of the run, with a leave before the batch after ``step``."""
    made: Mapping[int, Sequence[Command]] = {
        **COMMANDS,
        step: [*COMMANDS.get(step, ()), *before, LEAVE],
    }
    return made


def trained(path: Path, config: RunConfig, commands: Commands) -> RunFinished:
    """Train until the run ends; return its last event."""
    events: list[Event] = []
    for event in begin(path, config, CommandInbox(commands)):
        events.append(event)
        if isinstance(event, RunFinished):
            break
    assert isinstance(events[-1], RunFinished)
    return events[-1]


@pytest.mark.parametrize(
    "step",
    [pytest.param(n, marks=[] if n in QUICK else pytest.mark.slow) for n in range(STEPS + 1)],
)
def test_a_run_that_is_left_at_any_step_ends_with_the_same_bits(
    step: int, config: RunConfig, whole: Left, tmp_path: Path
) -> None:
    path = tmp_path / "run"
    end = trained(path, config, left_at(step))
    assert (end.reason, end.step) == ("detached", step)
    assert RunFolder(path).read_summary().state == "detached"
    resume_to_end(path, {at: sent for at, sent in COMMANDS.items() if at > step})
    assert_same(path, whole)


def test_a_run_that_is_left_while_it_is_paused_continues(
    config: RunConfig, whole: Left, tmp_path: Path
) -> None:
    path = tmp_path / "run"
    trained(path, config, left_at(9, Pause()))
    resume_to_end(path)
    assert_same(path, whole)


def test_a_run_that_is_left_several_times(config: RunConfig, whole: Left, tmp_path: Path) -> None:
    path = tmp_path / "run"
    trained(path, config, left_at(4))
    for step in (5, 12):
        resume_to_end(path, left_at(step))
        assert RunFolder(path).read_summary().state == "detached"
    resume_to_end(path)
    assert_same(path, whole)


MODEL = '''
import torch
from torch import nn

class Noisy(nn.Module):
    """Draws random numbers, keeps state, and prints."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(1, 4, 3)
        self.norm = nn.BatchNorm2d(4)
        self.drop = nn.Dropout(0.2)
        self.fc = nn.LazyLinear(10)
        self.register_buffer("calls", torch.zeros(()))

    def forward(self, x):
        if self.training:
            self.calls += 1
            x = x + 0.1 * torch.randn_like(x)
        print("calls", int(self.calls))
        x = self.drop(torch.relu(self.norm(self.conv(x)))).flatten(1)
        return self.fc(x)
'''


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["zoo", "custom"])
@pytest.mark.parametrize("paused", [False, True])
def test_l_leaves_the_training_to_a_process_in_the_background(
    kind: str, paused: bool, data: Path, path: Path, attach: Attach, tmp_path: Path
) -> None:
    model = "era-s6-dropout"
    if kind == "custom":
        (tmp_path / "mine.py").write_text(MODEL)
        model = f"{tmp_path / 'mine.py'}:Noisy"
    config = small_run(data, model=model, epochs=80)
    window = attach(words=tuple(options(config, path)))
    window.wait_until(lambda: epochs_of(path) >= 3)
    if paused:
        press(window, " ", "s", "s")
    press(window, "q", "l")
    assert window.wait() == 0
    words = assert_orderly(window)
    assert "detached in epoch" in words
    assert "the training continues in the background (process " in words
    assert f"watch it with: mnist-tui attach {path}" in words
    until(lambda: RunFolder(path).read_summary().state == "completed")
    until(lambda: process_of(path) is None)
    never_left = tmp_path / "never-left"
    for _ in begin(never_left, config, CommandInbox({})):
        pass
    assert_same(path, left_by(never_left))


@pytest.mark.slow
def test_the_hooks_of_a_run_that_is_left_are_those_of_its_end(
    data: Path, path: Path, attach: Attach, tmp_path: Path
) -> None:
    ends = tmp_path / "ends"
    config = small_run(data, epochs=80)
    window = attach(
        "--on-end", f"cat >> {ends}; echo >> {ends}", words=tuple(options(config, path))
    )
    window.wait_until(lambda: epochs_of(path) >= 3)
    press(window, "q", "l")
    assert window.wait() == 0
    assert "the training continues in the background" in assert_orderly(window)
    until(lambda: RunFolder(path).read_summary().state == "completed")
    until(lambda: ends.exists() and "\n" in ends.read_text())
    reasons = [json.loads(line)["state"] for line in ends.read_text().splitlines() if line]
    assert reasons == ["completed"]
