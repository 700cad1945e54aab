"""A run that is resumed from a checkpoint ends bit for bit like an uninterrupted one."""

from __future__ import annotations

from collections.abc import Container, Iterator
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path

import pytest
import torch
from _pytest.mark import ParameterSet
from torch import Tensor

from tests.engine.runs import FakeClock, ScriptedInbox, bare_config, of, only, tiny_config
from tests.training import train
from tui_trainer.engine.checkpoint_store import CheckpointStore
from tui_trainer.engine.resuming import Resumption
from tui_trainer.lab.saved_model import differing_bits, load_model
from tui_trainer.models.checkpoints import Checkpoint, read_checkpoint
from tui_trainer.protocol.commands import (
    Command,
    Inbox,
    SetAugmentation,
    SetBaseLr,
    SetBatchSize,
    SetDropout,
    SetEpochs,
    Stop,
)
from tui_trainer.protocol.config import RunConfig
from tui_trainer.protocol.errors import InputError
from tui_trainer.protocol.events import (
    CheckpointSaved,
    CommandRejected,
    EpochDone,
    Event,
    RunFinished,
    RunResumed,
    SettingChanged,
    StepDone,
    TestEvaluated,
)
from tui_trainer.recording.checkpoint_head import read_metadata
from tui_trainer.recording.folder import RunFolder
from tui_trainer.recording.replay_inbox import ReplayInbox, recorded_commands

ON_THE_CLOCK = {"seconds", "epoch_began", "lines"}


@dataclass
class Trained:
    """A run: its events and its checkpoint store."""

    events: list[Event] = field(default_factory=list)
    store: CheckpointStore = field(default_factory=CheckpointStore)

    @property
    def state(self) -> Checkpoint:
        assert self.store.last_good is not None
        return self.store.last_good


def trained(
    config: RunConfig,
    inbox: Inbox | None = None,
    resume: Checkpoint | None = None,
    store: CheckpointStore | None = None,
    test_evaluations: int = 0,
) -> Trained:
    store = store or CheckpointStore()
    resumption = Resumption(resume, Path("last.safetensors"), test_evaluations) if resume else None
    events = train(config, inbox or Inbox(), store=store, resume=resumption, clock=FakeClock())
    return Trained(list(events), store)


@cache
def whole_of(config: RunConfig) -> Trained:
    """Return the whole run; several tests compare with it."""
    return trained(config)


def cut(
    config: RunConfig, step: int, commands: dict[int, list[Command]] | None = None
) -> Checkpoint:
    """Return the checkpoint of a run that was stopped after so many steps."""
    stop: list[Command] = [Stop(reason="interrupted", test=False)]
    return trained(config, ScriptedInbox({**(commands or {}), step: stop})).state


def bits_of(tensor: Tensor) -> Tensor:
    return tensor.contiguous().view(-1).view(torch.uint8)


def assert_equal(one: Checkpoint, other: Checkpoint) -> None:
    """Compare every tensor bit by bit, and every number that does not depend on the clock."""
    assert sorted(one.tensors) == sorted(other.tensors)
    for name, tensor in one.tensors.items():
        twin = other.tensors[name]
        assert (tensor.shape, tensor.dtype) == (twin.shape, twin.dtype), name
        assert torch.equal(bits_of(tensor), bits_of(twin)), name
    metadata = [
        {k: v for k, v in c.metadata.items() if k not in ON_THE_CLOCK} for c in (one, other)
    ]
    assert metadata[0] == metadata[1]


def steps(events: list[Event]) -> list[StepDone]:
    return [replace(step, seconds=0.0) for step in of(StepDone, events)]


STEPS = (0, 1, 6, 7, 8, 13)


def cuts(model: str, optimizer: str, quick: Container[int] = STEPS) -> list[ParameterSet]:
    """Return a case for each step; the slow ones repeat a path that a quick one covers."""
    return [
        pytest.param(model, optimizer, step, marks=() if step in quick else pytest.mark.slow)
        for step in STEPS
    ]


@pytest.mark.parametrize(
    ("model", "optimizer", "step"),
    [
        *cuts("small", "sgd", quick=(0, 6, 13)),
        *cuts("era-s6-dropout", "adamw", quick=(7,)),
        *cuts("tiny", "adam", quick=(8,)),
    ],
)
def test_a_resumed_run_is_bit_identical(tiny: Path, model: str, optimizer: str, step: int) -> None:
    """An epoch has 7 steps: within one, at its end, at its start, before the first."""
    lr = 0.05 if optimizer == "sgd" else 0.003
    config = tiny_config(tiny, model=model, optimizer=optimizer, lr=lr)
    whole = whole_of(config)

    rest = trained(config, resume=cut(config, step))

    assert_equal(rest.state, whole.state)
    assert steps(rest.events) == steps(whole.events)[step:]
    epochs = [replace(e, seconds=0.0, images_per_second=0.0) for e in of(EpochDone, whole.events)]
    after = [replace(e, seconds=0.0, images_per_second=0.0) for e in of(EpochDone, rest.events)]
    assert after == [epoch for epoch in epochs if epoch.step > step]
    assert only(TestEvaluated, rest.events) == only(TestEvaluated, whole.events)


@pytest.mark.parametrize("step", [3, 10, 12])
@pytest.mark.sampled(2)
def test_smaller_images_and_augmentation_end_where_they_would_have(tiny: Path, step: int) -> None:
    config = bare_config(tiny, resize_until=0.4, resize_to=6, augment_until=0.8)
    whole = whole_of(config)

    rest = trained(config, resume=cut(config, step))

    assert_equal(rest.state, whole.state)


def test_knobs_keep_their_values(tiny: Path) -> None:
    config = bare_config(tiny, model="era-s6-dropout")
    commands: dict[int, list[Command]] = {
        2: [SetBaseLr(0.02), SetBatchSize(9)],
        3: [SetDropout(0.3), SetAugmentation(False)],
        4: [SetEpochs(3)],
    }
    whole = trained(config, ScriptedInbox(dict(commands)))

    rest = trained(config, resume=cut(config, 5, commands))

    assert_equal(rest.state, whole.state)
    assert rest.state.metadata["epochs"] == 3


def test_resumed_reports_the_starting_point(tiny: Path) -> None:
    config = bare_config(tiny)
    resumed = only(RunResumed, trained(config, resume=cut(config, 9)).events)
    assert resumed == RunResumed(step=9, epoch=2, images=142, threads=1, lines=None)


def test_a_finished_run_can_have_more_epochs(tiny: Path) -> None:
    config = bare_config(tiny, schedule="constant")
    finished = trained(config)

    more = trained(config, Inbox(SetEpochs(3)), resume=finished.state, test_evaluations=1)

    assert [event.epoch for event in of(EpochDone, more.events)] == [3]
    change = only(SettingChanged, more.events)
    assert (change.setting, change.old, change.new, change.step) == ("epochs", 2, 3, 14)
    assert only(RunFinished, more.events).test_evaluations == 2
    assert_weights_equal(more.state, trained(bare_config(tiny, schedule="constant", epochs=3)))


def assert_weights_equal(state: Checkpoint, run: Trained) -> None:
    bits, total = differing_bits(state, run.state)
    assert (bits, total > 600_000) == (0, True)


def test_epochs_can_be_added_while_it_trains_but_not_taken_from_the_past(tiny: Path) -> None:
    config = bare_config(tiny)
    events = trained(config, ScriptedInbox({9: [SetEpochs(1)], 14: [SetEpochs(3)]})).events
    assert only(CommandRejected, events).reason == "epoch 2 has already started"
    assert len(of(EpochDone, events)) == 3


def test_a_run_is_trained_again_with_the_same_commands(tiny: Path) -> None:
    config = bare_config(tiny, model="era-s6-dropout")
    commands: dict[int, list[Command]] = {
        0: [SetBatchSize(20)],
        3: [SetBaseLr(0.5), SetDropout(0.2)],
        6: [SetAugmentation(False)],
        12: [SetEpochs(3)],
    }
    first = trained(config, ScriptedInbox(dict(commands)))

    again = trained(config, ReplayInbox(recorded_commands(first.events), stop_at=None))

    assert_equal(again.state, first.state)
    assert steps(again.events) == steps(first.events)
    other = trained(config)
    assert differing_bits(first.state, other.state)[0] > 0, "the commands do matter"


def test_test_evaluations_are_not_forgotten(tiny: Path) -> None:
    config = bare_config(tiny)
    state = cut(config, 9)
    assert (
        only(RunFinished, trained(config, resume=state, test_evaluations=4).events).test_evaluations
        == 5
    )


# Files


def test_what_is_saved_is_the_state(tiny: Path, tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    run = trained(bare_config(tiny), store=CheckpointStore(folder.checkpoints, lambda: 42))
    saved = read_checkpoint(folder.checkpoint("last"))
    assert_equal(saved, run.state)
    assert saved.metadata["lines"] == 42
    assert dict(read_metadata(folder.checkpoint("last"))) == dict(saved.metadata)
    model = load_model(folder.checkpoint("last"))
    for name, tensor in model.state_dict().items():
        assert torch.equal(tensor, run.state.tensors[f"model/{name}"])


def test_best_and_periodic_checkpoints_are_saved(tiny: Path, tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    config = bare_config(tiny, epochs=5)
    run = trained(config, store=CheckpointStore(folder.checkpoints, every=2))
    names = sorted(path.name for path in folder.checkpoints.iterdir())
    assert names == [f"{name}.safetensors" for name in ("best", "epoch-2", "epoch-4", "last")]
    accuracies = [event.val_accuracy or 0.0 for event in of(EpochDone, run.events)]
    best = 1 + accuracies.index(max(accuracies))
    assert read_metadata(folder.checkpoint("best"))["epoch"] == best
    assert read_metadata(folder.checkpoint("epoch-4"))["step"] == 28
    assert [event.files for event in of(CheckpointSaved, run.events)][-1] == ("last",)


def test_a_run_without_validation_has_no_best(tiny: Path, tmp_path: Path) -> None:
    trained(
        bare_config(tiny, val_size=0, epochs=1),
        store=CheckpointStore(RunFolder(tmp_path).checkpoints),
    )
    assert [path.name for path in (tmp_path / "checkpoints").iterdir()] == ["last.safetensors"]


class Ticking(FakeClock):
    """Advances by a second at every reading."""

    def __call__(self) -> float:
        self.now += 1.0
        return self.now


def test_a_long_epoch_is_saved_by_the_clock_without_an_event(tiny: Path, tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    seen: list[int] = []

    def watched() -> Iterator[Event]:
        store = CheckpointStore(folder.checkpoints, seconds=3.0)
        for event in train(bare_config(tiny), Inbox(), store=store, clock=Ticking()):
            if isinstance(event, StepDone):
                seen.append(read_metadata(folder.checkpoint("last"))["step"])
            yield event

    events = list(watched())
    assert len(set(seen)) > 3
    assert all(0 <= step - saved <= 3 for step, saved in enumerate(seen, start=1))
    assert [event.epoch for event in of(CheckpointSaved, events)] == [1, 2, 2]


def test_a_checkpoint_of_another_model_or_data_is_refused(tiny: Path) -> None:
    state = cut(bare_config(tiny), 3)
    with pytest.raises(InputError, match="is a checkpoint of another model: small, not tiny"):
        trained(bare_config(tiny, model="tiny"), resume=state)
    with pytest.raises(InputError, match=r"was trained on other data: .* 110\+10\+40"):
        trained(bare_config(tiny, train_size=100), resume=state)


def test_differing_bits_are_counted() -> None:
    one = Checkpoint({}, {"model/w": torch.zeros(4), "model/n": torch.zeros(2)})
    other = Checkpoint({}, {"model/w": torch.tensor([0.0, -0.0, 0.0, 0.0])})
    assert differing_bits(one, one) == (0, 192)
    assert differing_bits(one, other) == (1 + 64, 192)
