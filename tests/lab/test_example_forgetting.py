"""Example forgetting, against a plain list of epochs, and with resume and rewind."""

from __future__ import annotations

import random
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import pytest
import torch

from tests.engine.runs import ScriptedInbox, bare_config
from tests.engine.test_resuming import cut, trained
from tests.engine.test_rewinding import config as wreckable
from tests.engine.test_rewinding import diverged_run
from tests.lab.views.conftest import laboratory_of, session_of
from tui_trainer.engine.checkpoint_store import CheckpointStore
from tui_trainer.lab.example_forgetting import ROWS, ExampleForgetting
from tui_trainer.lab.predictions import NO_CLASS
from tui_trainer.models.checkpoints import Checkpoint
from tui_trainer.protocol.commands import Rewind, SetEpochs

LABELS = torch.tensor([0, 1, 2, 3])


def noted(*epochs: Sequence[int], first: int = 1) -> ExampleForgetting:
    """The history of four images with labels 0 to 3, from their predictions."""
    forgetting = ExampleForgetting(4)
    for epoch, predicted in enumerate(epochs, first):
        forgetting.update(epoch, torch.tensor(predicted), LABELS)
    return forgetting


def account(forgetting: ExampleForgetting) -> dict[str, list[int]]:
    return {name: forgetting.row(name).tolist() for name in ROWS}


def test_the_table_is_empty_before_the_first_epoch() -> None:
    forgetting = ExampleForgetting(3)
    assert (forgetting.epochs, forgetting.since) == (0, 0)
    assert account(forgetting) == {name: [0, 0, 0] for name in ROWS}


def test_four_histories_by_hand() -> None:
    """Always correct; never; forgotten in epoch 2; wrong, correct, wrong again."""
    forgetting = noted([0, 0, 2, 0], [0, 0, 0, 3], [0, 2, 0, 1])
    assert account(forgetting) == {
        "predicted": [0, 2, 0, 1],
        "wrong_since": [0, 1, 2, 3],
        "first_correct": [1, 0, 1, 2],
        "forgetting_events": [0, 0, 1, 1],
        "times_wrong": [0, 3, 2, 2],
    }
    assert (forgetting.epochs, forgetting.since) == (3, 1)


def test_an_image_misclassified_at_first_is_not_forgotten() -> None:
    assert noted([1, 1, 1, 1]).row("forgetting_events").tolist() == [0, 0, 0, 0]


def test_recording_may_start_at_a_later_epoch() -> None:
    forgetting = noted([1, 1, 2, 3], [1, 1, 2, 0], first=5)
    assert (forgetting.since, forgetting.epochs) == (5, 2)
    assert forgetting.row("wrong_since").tolist() == [5, 0, 0, 6]
    assert forgetting.row("first_correct").tolist() == [0, 5, 5, 5]


def test_non_finite_logits_count_as_misclassified() -> None:
    run = session_of("tiny", val_size=50)
    with torch.no_grad():
        next(run.model.parameters()).fill_(float("nan"))
    assert 0 in run.data.val.labels.tolist()
    run.validate()
    total = len(run.data.val)
    assert laboratory_of(run).forgetting.row("predicted").tolist() == [NO_CLASS] * total
    assert laboratory_of(run).forgetting.row("times_wrong").tolist() == [1] * total


@pytest.mark.parametrize("seed", range(5))
def test_the_table_agrees_with_a_list_of_all_epochs(seed: int) -> None:
    """The table equals a list of all epochs, for twelve random epochs of 50 images."""
    rng = random.Random(seed)
    labels = [rng.randrange(10) for _ in range(50)]
    lives = [[rng.choice([y, y, (y + 1) % 10]) for _ in range(12)] for y in labels]
    forgetting = ExampleForgetting(50)
    for epoch in range(12):
        predicted = torch.tensor([life[epoch] for life in lives])
        forgetting.update(epoch + 1, predicted, torch.tensor(labels))
    for place, (label, life) in enumerate(zip(labels, lives, strict=True)):
        right = [class_ == label for class_ in life]
        reported = {name: int(forgetting.row(name)[place]) for name in ROWS}
        last_right = max(
            (epoch for epoch, is_correct in enumerate(right, 1) if is_correct), default=0
        )
        assert reported == {
            "predicted": life[-1],
            "wrong_since": 0 if right[-1] else last_right + 1,
            "first_correct": right.index(True) + 1 if any(right) else 0,
            "forgetting_events": sum(a and not b for a, b in pairwise(right)),
            "times_wrong": right.count(False),
        }


def test_restore_returns_to_the_checkpoint() -> None:
    forgetting = noted([0, 0, 2, 0])
    table = forgetting.table.clone()
    forgetting.update(2, torch.tensor([3, 3, 3, 3]), LABELS)
    forgetting.restore(table, 1, 1)
    assert torch.equal(forgetting.table, table)
    assert (forgetting.epochs, forgetting.since) == (1, 1)
    forgetting.table[0, 0] = 9
    assert table[0, 0] == 0  # a copy, not the tensor of the checkpoint
    forgetting.restore(None, 4, 1)
    assert account(forgetting) == {name: [0] * 4 for name in ROWS}
    assert (forgetting.epochs, forgetting.since) == (0, 0)


# --- in a run


def remembered(state: Checkpoint) -> tuple[list[list[int]], list[int]]:
    return state.tensors["example_forgetting"].tolist(), list(state.metadata["example_forgetting"])


def test_a_run_records_each_epoch(tiny: Path) -> None:
    """The table of the checkpoint counts every epoch."""
    table, counted = remembered(trained(bare_config(tiny, epochs=3)).state)
    assert counted == [3, 1]
    assert len(table[0]) == 10
    assert max(table[ROWS.index("times_wrong")]) <= 3


@pytest.mark.parametrize("step", [3, 7, 10])
@pytest.mark.sampled(2)
def test_a_resumed_run_keeps_its_history(tiny: Path, step: int) -> None:
    """Stopped during the first epoch, at its end, during the second."""
    config = bare_config(tiny, epochs=3, lr=0.02)
    whole = trained(config)
    rest = trained(config, resume=cut(config, step))
    assert remembered(rest.state) == remembered(whole.state)


def test_a_run_without_history_starts_recording_when_resumed(tiny: Path) -> None:
    config = bare_config(tiny, epochs=3)
    state = cut(config, 7)
    old = Checkpoint(
        metadata={
            name: fact for name, fact in state.metadata.items() if name != "example_forgetting"
        },
        tensors={
            name: each for name, each in state.tensors.items() if name != "example_forgetting"
        },
    )
    assert remembered(trained(config, resume=old).state)[1] == [2, 2]


def test_a_rewind_drops_the_diverged_epoch(tiny: Path) -> None:
    """After a rewind to the end of epoch 1, epoch 2 is recorded once."""
    store = CheckpointStore()
    diverged_run(tiny, [[Rewind(0.01)]], store)
    assert store.last_good is not None
    assert wreckable(tiny).epochs == 2
    assert remembered(store.last_good)[1] == [2, 1]


def test_an_added_epoch_is_recorded(tiny: Path) -> None:
    more = ScriptedInbox({5: [SetEpochs(4)]})
    assert remembered(trained(bare_config(tiny), more).state)[1] == [4, 1]
