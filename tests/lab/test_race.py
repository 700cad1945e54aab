"""A race: its arms are true continuations of the run, and the run itself is unchanged."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from tests.engine.runs import FakeClock, ScriptedInbox, of, only, tiny_config
from tests.protocol.questions import answers, exhibit_of
from tests.training import prepare
from tui_trainer.engine.checkpoint_store import CheckpointStore
from tui_trainer.engine.loop import train_epoch
from tui_trainer.engine.run import Run
from tui_trainer.engine.snapshots import capture
from tui_trainer.lab.arms import Arm
from tui_trainer.lab.assistant import Laboratory
from tui_trainer.models.checkpoints import Checkpoint
from tui_trainer.protocol.answers import Answered
from tui_trainer.protocol.commands import (
    AdoptArm,
    Ask,
    Command,
    Knob,
    SetAugmentation,
    SetBaseLr,
    SetBatchSize,
    SetDropout,
    Stop,
)
from tui_trainer.protocol.config import RunConfig
from tui_trainer.protocol.events import (
    CommandRejected,
    Event,
    SettingChanged,
    StateChanged,
    StepDone,
)
from tui_trainer.protocol.exhibit import Exhibit

CUSTOM = '''
import random
import torch
from torch import nn

CALLS = [0]


class Odd(nn.Module):
    """Its state_dict lacks a scale, a counter and two rngs that change in training."""

    def __init__(self, image_size: int = 8, classes: int = 10) -> None:
        super().__init__()
        self.linear = nn.Linear(image_size * image_size, classes)
        self.dropout = nn.Dropout(0.2)
        self.scale = torch.ones(())
        self.count = 0
        self.rng = torch.Generator().manual_seed(3)

    def forward(self, images):
        x = images.flatten(1)
        if self.training:
            self.count += 1
            CALLS[0] += 1
            self.scale = self.scale * 0.99 + 0.01 * x.std()
            x = x + 0.1 * torch.randn(x.shape, generator=self.rng) + 0.01 * random.random()
            x = x * (1 + 0.01 * (CALLS[0] % 3))
        return self.linear(self.dropout(x / self.scale))
'''

SETTINGS: dict[str, dict[str, object]] = {
    "sgd": {"optimizer": "sgd", "momentum": 0.9, "augment": "light"},
    "adam": {"model": "era-s6-dropout", "optimizer": "adam", "lr": 0.002, "augment": "course"},
    "custom": {"optimizer": "sgd", "momentum": 0.9},
}
"""Settings of runs with as much state as possible."""

START = 5
"""The step from which the arms go on."""

BATCHES = 12
"""The batches of each arm."""


@pytest.fixture(params=list(SETTINGS))
def config(request: pytest.FixtureRequest, tiny: Path, tmp_path: Path) -> RunConfig:
    settings = dict(SETTINGS[request.param])
    if request.param == "custom":
        path = tmp_path / "odd.py"
        path.write_text(CUSTOM)
        settings["model"] = f"{path}:Odd"
    return small_batches(tiny, **settings)


def small_batches(tiny: Path, **settings: object) -> RunConfig:
    """A run of two epochs of 28 batches: 27 of 4 images, and one of 2."""
    return tiny_config(tiny, batch_size=4, **settings)


def race(setting: str = "lr", mode: str = "confirmed", **choices: float) -> Ask:
    chosen = {"what": setting, "batches": BATCHES, "repeats": 1, **choices}
    return Ask("race", tuple(chosen.items()), mode)  # type: ignore[arg-type]


class Trained:
    """A run that is trained for some steps with commands on the way."""

    def __init__(
        self, config: RunConfig, steps: int, commands: dict[int, Sequence[Command]]
    ) -> None:
        stop = {steps: [*commands.get(steps, ()), Stop()]}
        preparing = prepare(
            config, ScriptedInbox({**commands, **stop}), CheckpointStore(), FakeClock()
        )
        self.run = _prepared(preparing)
        self.events: list[Event] = list(_trained(self.run))
        self.state = capture(self.run)

    @property
    def reported(self) -> list[Event]:
        """The events without answers."""
        return [event for event in self.events if not isinstance(event, Answered)]

    @property
    def exhibit(self) -> Exhibit:
        return exhibit_of(answers(self.events, "race")[-1])

    @property
    def arms(self) -> Sequence[Arm]:
        laboratory = self.run.assistant
        assert isinstance(laboratory, Laboratory)
        assert laboratory.racing.finished is not None
        return laboratory.racing.finished.arms


def _prepared(preparing: Generator[Event, None, Run]) -> Run:
    while True:
        try:
            next(preparing)
        except StopIteration as prepared:
            run: Run = prepared.value
            return run


def _trained(run: Run) -> Iterator[Event]:
    while run.control.stop is None and run.progress.epochs_done < run.config.epochs:
        yield from train_epoch(run)


def same(
    first: Checkpoint | None, second: Checkpoint, *, but: frozenset[str] = frozenset()
) -> None:
    """Check that two states are equal to the bit."""
    assert first is not None
    assert first.tensors.keys() - but == second.tensors.keys() - but
    for name in first.tensors.keys() - but:
        assert torch.equal(first.tensors[name], second.tensors[name]), name
    assert {k: v for k, v in first.metadata.items() if k not in but} == {
        k: v for k, v in second.metadata.items() if k not in but
    }


LABORATORY = frozenset({"example_forgetting"})
"""What an arm's state lacks: the predictions of the run's earlier epochs."""


def test_a_race_that_chooses_nothing_changes_nothing(config: RunConfig) -> None:
    raced = Trained(config, 40, {0: [race()], START: [race("batch size")], 30: [race()]})
    alone = Trained(config, 40, {})
    assert len(answers(raced.events)) > 9
    assert raced.reported == alone.events
    same(raced.state, alone.state)


def test_the_arm_of_the_current_setting_is_the_run_itself(config: RunConfig) -> None:
    raced = Trained(config, START, {START: [race()]})
    alone = Trained(config, START + BATCHES, {})
    arm = raced.arms[1]
    same(arm.end, alone.state, but=LABORATORY)
    assert arm.events == after(alone.events, START)


@pytest.mark.parametrize(
    ("setting", "arm", "command"),
    [
        ("lr", 0, lambda run: SetBaseLr(float(f"{run.base_lr / 3:.3g}"))),
        ("lr", 2, lambda run: SetBaseLr(float(f"{run.base_lr * 3:.3g}"))),
        ("batch size", 0, lambda run: SetBatchSize(2)),
        ("batch size", 2, lambda run: SetBatchSize(8)),
        ("augmentation", 0, lambda run: SetAugmentation(False)),
        ("augmentation", 1, lambda run: SetAugmentation(True)),
        ("dropout", 2, lambda run: SetDropout(round((run.dropout or 0) + 0.1, 2))),
    ],
)
def test_an_arm_is_the_run_whose_knob_was_set_here(
    config: RunConfig, setting: str, arm: int, command: Callable[[Run], Knob]
) -> None:
    raced = Trained(config, START, {START: [race(setting)]})
    if raced.run.knobs().get("dropout") is None and setting == "dropout":
        assert "no dropout layer" in only(CommandRejected, raced.events).reason
        return
    chosen = raced.arms[arm]
    knob = command(raced.run)
    is_current = setting == "augmentation" and raced.run.batches.augmenting == knob.value
    alone = Trained(config, START + len(chosen.steps), {START: [] if is_current else [knob]})
    same(chosen.end, alone.state, but=LABORATORY)
    assert chosen.events == after(alone.events, START)
    assert chosen.images == BATCHES * 4


def after(events: Sequence[Event], step: int) -> list[Event]:
    """Return what happened after so many steps, without changes of state."""
    first = next(
        place
        for place, event in enumerate(events)
        if (isinstance(event, SettingChanged) and event.step == step)
        or (isinstance(event, StepDone) and event.step > step)
    )
    return [event for event in events[first:] if not isinstance(event, StateChanged)]


@pytest.mark.parametrize("arm", [1, 2, 3])
def test_adopting_an_arm_is_setting_its_knob_and_training_its_batches(
    config: RunConfig, arm: int
) -> None:
    adopted = Trained(config, 40, {START: [race(), AdoptArm(arm, by="me@here")]})
    change = of(SettingChanged, adopted.events)
    assert [event.by for event in change] == ["me@here"] * (arm != 2)
    knobs = [replace(SetBaseLr(event.new), by="me@here") for event in change]
    alone = Trained(config, 40, {START: knobs})
    assert adopted.reported == alone.events
    same(adopted.state, alone.state)
