"""The inbox that releases recorded commands at their steps."""

from __future__ import annotations

from tests.protocol.facts import changed, started, step
from tui_trainer.protocol.commands import (
    Pause,
    SetAugmentation,
    SetBaseLr,
    SetBatchSize,
    SetEpochs,
    Stop,
)
from tui_trainer.recording.replay_inbox import ReplayInbox, recorded_commands

CHANGES = [
    changed("base_lr", 0.1, 0.05, images=300),
    changed("batch_size", 100, 64, images=300),
    changed("augmentation", 1, 0, images=500),
    changed("epochs", 2, 3, images=700),
]


def test_recorded_commands_are_the_recorded_changes() -> None:
    assert recorded_commands([started(), CHANGES[0], step(4), *CHANGES[1:]]) == [
        (3, SetBaseLr(0.05)),
        (3, SetBatchSize(64)),
        (5, SetAugmentation(False)),
        (7, SetEpochs(3)),
    ]


def test_each_is_released_at_its_step_before_new_commands() -> None:
    inbox = ReplayInbox(recorded_commands(CHANGES), stop_at=None)
    assert inbox.take(0) == []
    inbox.send(Pause())
    assert inbox.take(3) == [SetBaseLr(0.05), SetBatchSize(64), Pause()]
    assert inbox.take(3) == []
    assert inbox.take(6, wait=True) == [SetAugmentation(False)]
    assert inbox.take(99) == [SetEpochs(3)]


def test_a_stopped_run_is_stopped_at_the_same_step() -> None:
    inbox = ReplayInbox([(3, SetBatchSize(64))], stop_at=3)
    assert inbox.take(2) == []
    assert inbox.take(3) == [SetBatchSize(64), Stop(reason="stopped", test=False)]
