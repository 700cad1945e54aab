"""The effect of the knobs on a run, and how rarely losses are read from a device."""

from __future__ import annotations

import math
from collections.abc import Generator, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from tests.engine.runs import FakeClock, ScriptedInbox, bare_config, of, only, run
from tui_trainer.engine import loop, prepare
from tui_trainer.engine.batches import Batches
from tui_trainer.engine.checkpoint_store import CheckpointStore
from tui_trainer.engine.progress import Stopwatch
from tui_trainer.engine.run import FLUSH_SECONDS, Run
from tui_trainer.protocol.commands import (
    Command,
    EvaluateTest,
    Inbox,
    Pause,
    Resume,
    RunStep,
    SetAugmentation,
    SetBaseLr,
    SetBatchSize,
    SetDropout,
    Stop,
)
from tui_trainer.protocol.config import NAMED_AUGMENTATIONS, Augmentation, RunConfig
from tui_trainer.protocol.errors import InputError
from tui_trainer.protocol.events import (
    CommandRejected,
    Diverged,
    Event,
    RunStarted,
    SettingChanged,
    StepDone,
    to_json,
)
from tui_trainer.protocol.schedules import factor


def freshly_loaded(config: RunConfig) -> Run:
    """Return a run right before its first batch."""
    ready: list[Run] = []

    def preparing() -> Iterator[Event]:
        ready.append((yield from prepare.prepare(config, Inbox(), CheckpointStore(), FakeClock())))

    list(preparing())
    return ready[0]


@pytest.fixture
def met(monkeypatch: pytest.MonkeyPatch) -> list[Augmentation | None]:
    """The augmentation of each trained batch."""
    seen: list[Augmentation | None] = []
    train_step = loop.train_step

    def noting(run: Run) -> None:
        seen.append(run.batches.augmentation)
        train_step(run)

    monkeypatch.setattr(loop, "train_step", noting)
    return seen


# --- knobs


def test_a_new_lr_is_reported_before_the_step_that_uses_it(tiny: Path) -> None:
    config = bare_config(tiny, schedule="cosine")

    events = run(config, ScriptedInbox({3: [SetBaseLr(0.02)]}))

    change = only(SettingChanged, events)
    assert change == SettingChanged(
        setting="base_lr", old=0.05, new=0.02, step=3, epoch=1, images=48
    )
    place = events.index(change)
    before, after = events[place - 1], events[place + 1]
    assert isinstance(before, StepDone)
    assert isinstance(after, StepDone)
    assert before.lr == pytest.approx(0.05 * factor(config, 32 / 110))
    assert after.lr == pytest.approx(0.02 * factor(config, 48 / 110))


def test_a_knob_can_be_set_before_the_first_step(tiny: Path) -> None:
    events = run(bare_config(tiny, schedule="constant"), ScriptedInbox({0: [SetBaseLr(0.5)]}))

    assert only(SettingChanged, events).step == 0
    assert {step.lr for step in of(StepDone, events)} == {0.5}


def test_a_new_batch_size_is_that_of_the_next_slice(tiny: Path) -> None:
    events = run(bare_config(tiny), ScriptedInbox({2: [SetBatchSize(60)], 4: [SetBatchSize(200)]}))

    sizes = [(step.epoch, step.batch_size) for step in of(StepDone, events)]
    assert sizes == [(1, 16), (1, 16), (1, 60), (1, 18), (2, 110)]
    changes = [(change.old, change.new) for change in of(SettingChanged, events)]
    assert changes == [(16, 60), (60, 200)]


def test_the_last_of_several_commands_wins_and_all_are_reported(tiny: Path) -> None:
    commands: list[Command] = [SetBaseLr(0.1), SetBaseLr(0.2), SetBatchSize(8)]

    events = run(bare_config(tiny, schedule="constant"), ScriptedInbox({1: commands}))

    reported = [(change.setting, change.old, change.new) for change in of(SettingChanged, events)]
    assert reported == [
        ("base_lr", 0.05, 0.1),
        ("base_lr", 0.1, 0.2),
        ("batch_size", 16, 8),
    ]
    second = of(StepDone, events)[1]
    assert (second.lr, second.batch_size) == (0.2, 8)


def test_augmentation_is_switched_off_and_on(tiny: Path, met: list[Augmentation | None]) -> None:
    script = {2: [SetAugmentation(False)], 4: [SetAugmentation(True)]}

    events = run(bare_config(tiny, augment="course"), ScriptedInbox(script))

    course = NAMED_AUGMENTATIONS["course"]
    assert met[:5] == [course, course, None, None, course]
    assert [(c.setting, c.old, c.new) for c in of(SettingChanged, events)] == [
        ("augmentation", 1, 0),
        ("augmentation", 0, 1),
    ]


def test_a_run_without_augmentation_gets_the_light_one_when_it_is_switched_on(
    tiny: Path, met: list[Augmentation | None]
) -> None:
    run(bare_config(tiny, augment="none"), ScriptedInbox({1: [SetAugmentation(True)]}))

    assert met[:2] == [None, NAMED_AUGMENTATIONS["light"]]


def test_images_are_smaller_and_augmented_for_their_shares_of_the_training(
    tiny: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown: list[tuple[int, bool]] = []
    batch = Batches.next

    def noting(batches: Batches, done: float) -> tuple[Tensor, Tensor]:
        images, labels = batch(batches, done)
        shown.append((images.shape[-1], batches.augmentation is not None))
        return images, labels

    monkeypatch.setattr(Batches, "next", noting)
    size = 6
    plan = {"resize_until": 0.4, "resize_to": size, "augment_until": 0.8}

    events = run(bare_config(tiny, **plan))

    full = only(RunStarted, events).image_size
    done = [0, *(step.images / 220 for step in of(StepDone, events))][:-1]
    assert shown == [(size if share < 0.4 else full, share < 0.8) for share in done]
    assert {size for size, _ in shown} == {size, full}


def test_augmentation_cannot_be_switched_on_after_its_share_of_the_training(tiny: Path) -> None:
    events = run(bare_config(tiny, augment_until=0.5), ScriptedInbox({9: [SetAugmentation(True)]}))

    assert "--augment-until" in only(CommandRejected, events).reason
    assert not of(SettingChanged, events)


@pytest.mark.parametrize(
    ("model", "size", "problem"),
    [
        ("mlp", 6, r"mlp does not take 6×6 images \(.*global average pooling"),
        ("conv-fc", 6, r"conv-fc does not take 6×6 images"),
        ("small", 28, r"--resize-to 28: the images have \d+ pixels; choose fewer"),
    ],
)
def test_a_model_that_does_not_take_smaller_images_is_bad_input(
    tiny: Path, model: str, size: int, problem: str
) -> None:
    with pytest.raises(InputError, match=problem):
        run(bare_config(tiny, model=model, resize_until=0.5, resize_to=size))


def test_switching_augmentation_changes_what_is_trained_on(tiny: Path) -> None:
    plain = of(StepDone, run(bare_config(tiny)))
    changed = of(StepDone, run(bare_config(tiny), ScriptedInbox({2: [SetAugmentation(False)]})))

    assert [step.loss for step in plain[:2]] == [step.loss for step in changed[:2]]
    assert plain[2].loss != changed[2].loss


def test_dropout_is_set_in_every_layer(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shares: list[set[float]] = []
    train_step = loop.train_step

    def noting(run: Run) -> None:
        layers = run.model.modules()
        shares.append({layer.p for layer in layers if isinstance(layer, nn.Dropout)})
        train_step(run)

    monkeypatch.setattr(loop, "train_step", noting)
    config = bare_config(tiny, model="era-s6-dropout", dropout=0.1, epochs=1)

    events = run(config, ScriptedInbox({3: [SetDropout(0.4)]}))

    assert shares == [{0.1}] * 3 + [{0.4}] * 4
    change = only(SettingChanged, events)
    assert (change.setting, change.old, change.new) == ("dropout", 0.1, 0.4)


@cache
def undisturbed(config: RunConfig) -> list[Event]:
    """Return the events of a run without commands; several tests compare with it."""
    return run(config)


INVALID: list[tuple[Command, str]] = [
    (SetBaseLr(0.0), "above 0"),
    (SetBaseLr(-1.0), "above 0"),
    (SetBaseLr(math.nan), "finite"),
    (SetBaseLr(math.inf), "finite"),
    (SetBaseLr(1_001.0), "1,000"),
    (SetBatchSize(0), "1 to 65,536"),
    (SetBatchSize(65_537), "1 to 65,536"),
    (SetBatchSize(16.5), "an integer"),  # type: ignore[arg-type]
    (SetDropout(0.2), "era-s6-plain has no dropout layer"),
]


def test_invalid_commands_are_rejected_and_change_nothing(tiny: Path) -> None:
    config = bare_config(tiny, model="era-s6-plain", epochs=1)

    events = run(config, ScriptedInbox({2: [command for command, _ in INVALID]}))

    rejections = of(CommandRejected, events)
    for rejected, (command, why) in zip(rejections, INVALID, strict=True):
        assert (rejected.command, rejected.step) == (type(command).__name__, 2)
        assert why in rejected.reason
    assert [event for event in events if event not in rejections] == undisturbed(config)


def test_an_invalid_dropout_is_rejected(tiny: Path) -> None:
    config = bare_config(tiny, model="era-s6-dropout")
    invalid = [SetDropout(share) for share in (-0.1, 0.96, math.nan)]

    events = run(config, ScriptedInbox({1: invalid}))

    assert [event.command for event in of(CommandRejected, events)] == ["SetDropout"] * 3
    assert not of(SettingChanged, events)


# --- accelerators: losses are read from the device every few steps


@pytest.fixture
def far_device(monkeypatch: pytest.MonkeyPatch) -> None:
    """Read the losses of this CPU as rarely as those of an accelerator."""
    prepared = prepare.prepare

    def seldom(*args: Any) -> Generator[Event, None, Run]:
        run = yield from prepared(*args)
        run.flush_every = 5
        return run

    monkeypatch.setattr(loop, "prepare", seldom)


@pytest.mark.usefixtures("far_device")
def test_reading_seldom_changes_no_event(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    script: dict[int, list[Command]] = {
        2: [SetBaseLr(0.01)],
        3: [Pause()],
        6: [EvaluateTest()],
        8: [SetBatchSize(5)],
        11: [RunStep()],
        13: [Stop()],
    }
    paused: list[list[Command]] = [[RunStep()], [Resume()], [Resume()]]
    seldom = run(bare_config(tiny), ScriptedInbox(script, paused))
    monkeypatch.undo()

    assert seldom == run(bare_config(tiny), ScriptedInbox(script, paused))


@pytest.mark.usefixtures("far_device")
def test_a_divergence_read_late_names_the_step_where_it_happened(
    tiny: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = bare_config(
        tiny, model="era-s6-plain", lr=1_000.0, schedule="cosine", batch_size=8, weight_decay=0.0
    )
    seldom = run(config)
    monkeypatch.undo()
    at_once = run(config)

    assert only(Diverged, seldom) == only(Diverged, at_once)
    # As text: a NaN loss is not equal to itself.
    reported = [[to_json(step) for step in of(StepDone, events)] for events in (seldom, at_once)]
    assert reported[0] == reported[1]


def test_an_accelerator_is_read_at_the_refresh_rate(tiny: Path) -> None:
    clock = FakeClock()
    run = freshly_loaded(bare_config(tiny))
    run.flush_every, run.stopwatch = 2, Stopwatch(clock)
    run.stopwatch.start()
    due = []
    for seconds in (0.0, 0.01, 0.02, FLUSH_SECONDS):
        clock.now = seconds
        run.count_step(torch.tensor(1.0), torch.tensor(1), 8, 0.1)
        due.append(run.is_flush_due)

    assert due == [False, False, False, True]


def test_a_graphed_forward_takes_the_place_of_the_model(tiny: Path) -> None:
    run = freshly_loaded(bare_config(tiny))
    shapes = []

    def graphed(images: torch.Tensor) -> torch.Tensor:
        shapes.append(tuple(images.shape))
        logits: torch.Tensor = run.model(images)
        return logits

    run.forward = graphed
    run.begin_epoch()
    loop.train_step(run)

    assert shapes == [(16, *run.data.shape[2:], *run.data.shape[:2])]


def test_a_cpu_is_read_at_every_step(tiny: Path) -> None:
    run = freshly_loaded(bare_config(tiny))

    assert run.flush_every == 1
    assert prepare.ACCELERATOR_FLUSH > 1


# --- a fresh run


def test_initial_weights_depend_on_the_seed_alone(tiny: Path) -> None:
    weights = []
    for disturbance in (1, 2):
        torch.manual_seed(disturbance)
        run = freshly_loaded(bare_config(tiny, seed=7))
        weights.append([p.detach().clone() for p in run.model.parameters()])

    assert all(torch.equal(mine, yours) for mine, yours in zip(*weights, strict=True))


def test_convolutions_are_channels_last_on_the_cpu(tiny: Path) -> None:
    run = freshly_loaded(bare_config(tiny, model="era-s6"))

    for module in run.model.modules():
        if isinstance(module, nn.Conv2d):
            assert module.weight.is_contiguous(memory_format=torch.channels_last)
