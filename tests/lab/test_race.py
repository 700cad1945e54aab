"""A race: its arms are true continuations of the run, and the run itself is unchanged."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path

import pytest
import torch

from tests.engine.runs import FakeClock, ScriptedInbox, bare_config, of, only
from tests.protocol.questions import answers, exhibit_of
from tests.training import prepare, train
from tui_trainer.engine.checkpoint_store import CheckpointStore
from tui_trainer.engine.loop import train_epoch
from tui_trainer.engine.run import Run
from tui_trainer.engine.snapshots import capture
from tui_trainer.lab.arms import Arm
from tui_trainer.lab.assistant import Laboratory
from tui_trainer.lab.race.plans import NOT_HERE
from tui_trainer.models.checkpoints import Checkpoint
from tui_trainer.protocol.answers import Answered
from tui_trainer.protocol.commands import (
    AdoptArm,
    Ask,
    CancelQuestion,
    Command,
    Inbox,
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
    EpochDone,
    Event,
    SettingChanged,
    StateChanged,
    StepDone,
    plain,
)
from tui_trainer.protocol.exhibit import Curves, Exhibit, Table
from tui_trainer.protocol.probed import SampleProbed, UpdateProbed
from tui_trainer.recording.replay_inbox import ReplayInbox, recorded_commands

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
    "custom": {"optimizer": "sgd", "momentum": 0.9, "probes": True},
}
"""Settings of runs with as much state as possible."""

START = 5
"""The step from which the arms go on."""

BATCHES = 12
"""The batches of each arm."""


@pytest.fixture(
    params=["adam", "custom", pytest.param("sgd", marks=pytest.mark.slow)], scope="module"
)
def config(
    request: pytest.FixtureRequest, tiny: Path, tmp_path_factory: pytest.TempPathFactory
) -> RunConfig:
    settings = dict(SETTINGS[request.param])
    if request.param == "custom":
        path = tmp_path_factory.mktemp("custom") / "odd.py"
        path.write_text(CUSTOM)
        settings["model"] = f"{path}:Odd"
    return small_batches(tiny, **settings)


def small_batches(tiny: Path, **settings: object) -> RunConfig:
    """A run of two epochs of 28 batches: 27 of 4 images, and one of 2."""
    return bare_config(tiny, batch_size=4, **settings)


def race(setting: str = "lr", mode: str = "confirmed", **choices: float) -> Ask:
    chosen = {"what": setting, "batches": BATCHES, "repeats": 1, **choices}
    return Ask("race", tuple(chosen.items()), mode)  # type: ignore[arg-type]


class Trained:
    """A run that is trained for some steps with commands on the way."""

    def __init__(
        self, config: RunConfig, steps: int, commands: dict[int, Sequence[Command]]
    ) -> None:
        stop = {steps: [*commands.get(steps, ()), Stop()]}
        self.run = prepared(config, ScriptedInbox({**commands, **stop}))
        self.events: list[Event] = list(trained(self.run))
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


@cache
def raced_at_start(config: RunConfig, setting: str = "lr") -> Trained:
    """Return a run that ends with its race at :data:`START`; several tests look at it."""
    return Trained(config, START, {START: [race(setting)]})


@cache
def alone_for(steps: int, config: RunConfig) -> Trained:
    """Return a run without any command; several tests compare theirs with it."""
    return Trained(config, steps, {})


def prepared(config: RunConfig, inbox: Inbox) -> Run:
    preparing = prepare(config, inbox, CheckpointStore(), FakeClock())
    while True:
        try:
            next(preparing)
        except StopIteration as done:
            run: Run = done.value
            return run


def trained(run: Run) -> Iterator[Event]:
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
    raced = Trained(config, 32, {0: [race()], START: [race("batch size")], 30: [race()]})
    alone = alone_for(32, config)
    assert len(answers(raced.events)) > 9
    assert raced.reported == alone.events
    same(raced.state, alone.state)


def test_the_arm_of_the_current_setting_is_the_run_itself(config: RunConfig) -> None:
    raced = raced_at_start(config)
    alone = alone_for(START + BATCHES, config)
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
@pytest.mark.sampled(5)
def test_an_arm_is_the_run_whose_knob_was_set_here(
    config: RunConfig, setting: str, arm: int, command: Callable[[Run], Knob]
) -> None:
    raced = raced_at_start(config, setting)
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
@pytest.mark.sampled(4)
def test_adopting_an_arm_is_setting_its_knob_and_training_its_batches(
    config: RunConfig, arm: int
) -> None:
    adopted = Trained(config, 30, {START: [race(), AdoptArm(arm, by="me@here")]})
    change = of(SettingChanged, adopted.events)
    assert [event.by for event in change] == ["me@here"] * (arm != 2)
    knobs = [replace(SetBaseLr(event.new), by="me@here") for event in change]
    alone = Trained(config, 30, {START: knobs})
    assert adopted.reported == alone.events
    same(adopted.state, alone.state)


def test_updates_next_to_the_fork_and_to_the_end_are_probed_as_in_the_run(tiny: Path) -> None:
    config = small_batches(tiny, probes=True)
    # Updates 5 and 20 are probed: each needs what the step before has kept.
    adopted = Trained(config, 24, {4: [race(batches=15), AdoptArm(3)]})
    alone = Trained(config, 24, {4: [SetBaseLr(0.15)]})
    assert [event.step for event in of(UpdateProbed, adopted.events)] == [2, 5, 10, 20]
    assert adopted.reported == alone.events


def test_going_on_from_here_sets_the_knob_and_nothing_else(tiny: Path) -> None:
    config = small_batches(tiny)
    here = Trained(config, 12, {START: [race(), AdoptArm(3, at_end=False, by="me@here")]})
    alone = Trained(config, 12, {START: [SetBaseLr(0.15, by="me@here")]})
    assert here.reported == alone.events
    same(here.state, alone.state)


def test_a_recorded_run_with_an_adopted_arm_is_replayed_to_the_same_bits(tiny: Path) -> None:
    config = small_batches(tiny, augment="light")
    adopted = Trained(
        config, 44, {START: [race(), AdoptArm(1)], 30: [race("batch size"), AdoptArm(3)]}
    )
    assert len(of(SettingChanged, adopted.events)) == 2
    inbox = ReplayInbox(recorded_commands(adopted.events), None)
    replayed = prepared(config, inbox)
    events = list(trained(replayed))
    assert steps_of(events) == steps_of(adopted.events)
    same(capture(replayed), adopted.state)


def steps_of(events: Sequence[Event]) -> list[Event]:
    """Return the events of the training itself."""
    return [
        e for e in events if isinstance(e, StepDone | SettingChanged | EpochDone | SampleProbed)
    ]


def test_a_race_ends_with_the_epoch_and_its_adopted_arm_is_validated(tiny: Path) -> None:
    config = small_batches(tiny)
    left = 28 - 15
    adopted = Trained(config, 30, {15: [race(batches=100), AdoptArm(3)]})
    alone = Trained(config, 30, {15: [SetBaseLr(0.15)]})
    assert f"The epoch ends after {left} batches, and the race with it." in adopted.exhibit.evidence
    table = adopted.exhibit.blocks[0]
    assert isinstance(table, Table)
    assert table.caption == f"after {left} batches, where the epoch ends"
    assert adopted.reported == alone.events
    same(adopted.state, alone.state)


def test_with_half_the_batch_size_an_arm_takes_twice_the_steps(tiny: Path) -> None:
    raced = Trained(small_batches(tiny), START, {START: [race("batch size", repeats=2)]})
    assert [len(arm.steps) for arm in raced.arms] == [24, 12, 6, 12, 12]
    assert {arm.images for arm in raced.arms} == {48}


def test_a_repetition_sees_other_images(tiny: Path) -> None:
    raced = raced_at_start(small_batches(tiny))
    current, again = raced.arms[1], raced.arms[3]
    assert again.again
    assert current.steps[0].loss != again.steps[0].loss
    assert current.steps[0].lr == again.steps[0].lr
    stream = raced.run.batches.stream
    order = again.run.batches.stream.order
    assert torch.equal(order[: stream.cursor], stream.order[: stream.cursor])
    assert torch.equal(order.sort().values, stream.order.sort().values)


def test_the_result_compares_each_arm_with_the_current_setting(tiny: Path) -> None:
    raced = raced_at_start(small_batches(tiny))
    exhibit = raced.exhibit
    ends, differences = (block for block in exhibit.blocks if isinstance(block, Table))
    assert [row[:2] for row in ends.rows] == [
        ("a", "lr 0.0167"),
        ("b", "lr 0.05"),
        ("c", "lr 0.15"),
        ("", "lr 0.05 again"),
    ]
    assert [row[0] for row in differences.rows] == ["lr 0.0167", "lr 0.15", "lr 0.05 again"]
    assert differences.rows[-1][-1] == "chance"
    (curves,) = (block for block in exhibit.blocks if isinstance(block, Curves))
    assert [curve.name for curve in curves.curves] == [row[1] for row in ends.rows]
    assert [curve.x[-1] for curve in curves.curves] == [48.0] * 4
    assert exhibit.result
    assert json.loads(json.dumps(plain(exhibit)))["figures"]["lr 0.15"]["steps"] == BATCHES


def test_before_it_starts_the_race_shows_its_arms_and_changes_nothing(tiny: Path) -> None:
    config = small_batches(tiny)
    asked = Trained(config, START + 3, {START: [race(mode="interactive")]})
    assert asked.exhibit.trains == "train 4 × 12 batches"
    assert [control.name for control in asked.exhibit.controls] == [
        "what",
        "factor",
        "batches",
        "repeats",
    ]
    assert asked.reported == alone_for(START + 3, config).events


def test_an_arm_that_diverges_cannot_be_adopted(tiny: Path) -> None:
    config = small_batches(tiny, model="era-s6-plain", schedule="constant", weight_decay=0.0)
    wild: list[Command] = [SetBaseLr(300.0), race(), AdoptArm(3), SetBaseLr(0.05)]
    raced = Trained(config, 9, {START: wild})
    assert raced.exhibit.result.startswith("lr 300 has diverged")
    table = raced.exhibit.blocks[0]
    assert isinstance(table, Table)
    key, name, *_, end = table.rows[2]
    assert (key, name) == ("", "lr 900")
    assert end.startswith("diverged at step ")
    assert only(CommandRejected, raced.events).reason == f"lr 900 {end}: choose another arm"
    same(raced.state, Trained(config, 9, {START: [SetBaseLr(300.0), SetBaseLr(0.05)]}).state)


def test_a_setting_that_the_run_would_reject_is_named(tiny: Path) -> None:
    raced = Trained(small_batches(tiny), START, {START: [SetBaseLr(900.0), race(factor=10.0)]})
    assert only(CommandRejected, raced.events).reason.startswith("lr 9000: ")


def rejected(config: RunConfig, commands: dict[int, Sequence[Command]]) -> list[str]:
    """Return the reasons of a run that is the same as without these commands."""
    steps = max(commands) + 3
    raced = Trained(config, steps, commands)
    same(raced.state, alone_for(steps, config).state)
    return [event.reason for event in of(CommandRejected, raced.events)]


def test_a_race_is_rejected_with_a_reason(tiny: Path) -> None:
    config = small_batches(tiny)
    assert rejected(config, {START: [race("dropout")], 20: [race()]}) == [
        "this model has no dropout layer; race lr, batch size or augmentation",
        "only 8 batches left in this epoch, and a race needs 10; race in the next one",
    ]
    without = small_batches(tiny, val_size=0)
    (why,) = rejected(without, {START: [race()]})
    assert why == "there is no validation split to compare on (--val-size)"
    bare = small_batches(tiny, augment_until=0.01)
    (why,) = rejected(bare, {START: [race("augmentation")]})
    assert "augmentation has ended" in why


def test_an_arm_is_adopted_only_where_its_race_began(tiny: Path) -> None:
    config = small_batches(tiny)
    nowhere = "the run is not where a race began: set the knob, or race again"
    sent: dict[int, Sequence[Command]] = {
        2: [AdoptArm(1)],
        START: [race(), AdoptArm(4)],
        START + 1: [AdoptArm(1)],
    }
    assert rejected(config, sent) == [nowhere, "there is no arm 4: choose 1 to 3", nowhere]
    changed = Trained(config, START, {START: [race(), SetBatchSize(8), AdoptArm(1)]})
    assert only(CommandRejected, changed.events).reason == nowhere


def test_a_finished_run_and_one_that_is_only_viewed_cannot_race(tiny: Path) -> None:
    config = small_batches(tiny, epochs=1)
    inbox = ScriptedInbox(paused=[[race()], [Stop()]])
    events = list(train(config, inbox, interactive=True, clock=FakeClock()))
    assert "the run is over" in only(CommandRejected, events).reason
    run = prepared(config, Inbox())
    list(run.enter("viewing"))
    (event,) = run.assistant.answer(race())
    assert isinstance(event, CommandRejected)
    assert event.reason == NOT_HERE


class Interrupting(ScriptedInbox):
    """Has a command that ends the race after some of its exhibits."""

    def __init__(self, at: dict[int, Sequence[Command]], exhibits: int) -> None:
        super().__init__(at)
        self._left = exhibits

    def ends(self, question: Ask) -> bool:
        self._left -= 1
        return self._left == 0


@pytest.mark.parametrize("exhibits", [1, 3, 5])
@pytest.mark.sampled(2)
def test_a_race_that_is_stopped_changes_nothing(
    config: RunConfig, exhibits: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tui_trainer.lab.race.show.SLICE", 0.0)
    plan: dict[int, Sequence[Command]] = {START: [race()], START + 3: [Stop()]}
    run = prepared(config, Interrupting(plan, exhibits))
    events = list(trained(run))
    assert len(answers(events)) == exhibits
    assert answers(events)[-1].question.kind == "race"
    assert not answers(events)[-1].is_last
    alone = alone_for(START + 3, config)
    assert [event for event in events if not isinstance(event, Answered)] == alone.events
    same(capture(run), alone.state)
    assert only(CommandRejected, run.assistant.answer(AdoptArm(1)))


def test_a_newer_question_about_a_race_replaces_one_that_waits() -> None:
    first, second = race(), race("batch size")
    assert Inbox(first, second).take(0) == [second]
    assert Inbox(first, CancelQuestion("race")).take(0) == [CancelQuestion("race")]
