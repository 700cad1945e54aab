"""The callback of skorch, with the real library."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from tests.watching.loops import Net, are_equal, digits, of_type, send, tensors_of
from tui_trainer.protocol.commands import Stop
from tui_trainer.protocol.events import (
    EpochDone,
    FindingRaised,
    RunFinished,
    RunStarted,
    StepDone,
)

skorch: Any = pytest.importorskip("skorch")
from tui_trainer.watching.skorch import WatchCallback  # noqa: E402


class Probabilities(Net):
    """As skorch's ``NLLLoss`` wants it."""

    def forward(self, images: Tensor) -> Tensor:
        return super().forward(images).softmax(dim=1)


class AtBatch(skorch.callbacks.Callback):  # type: ignore[misc]
    def __init__(self, act: Any, batch: int = 5) -> None:
        self.act, self.batch, self.count = act, batch, 0

    def on_batch_begin(self, net: Any, training: bool = False, **_: Any) -> None:
        self.count += training
        if training and self.count == self.batch:
            self.act(net)


def fit(folder: Path | None, *more: Any, kind: type[Net] = Net, **options: Any) -> Any:
    torch.manual_seed(0)
    watching = [WatchCallback({"out": folder, "progress": False})] if folder is not None else []
    net = skorch.NeuralNetClassifier(
        kind,
        **{"criterion": nn.CrossEntropyLoss, **options},
        lr=0.05,
        optimizer__momentum=0.9,
        max_epochs=2,
        batch_size=64,
        iterator_train__shuffle=True,
        verbose=0,
        callbacks=[*watching, *more],
    )
    images, labels = digits()[0].tensors
    net.fit(images, labels)
    return net


@pytest.mark.parametrize(
    ("kind", "criterion"), [(Net, nn.CrossEntropyLoss), (Probabilities, nn.NLLLoss)]
)
def test_a_training_is_recorded_and_ends_with_the_same_weights(
    tmp_path: Path, kind: type[Net], criterion: type[nn.Module]
) -> None:
    plain = fit(None, kind=kind, criterion=criterion)
    watched = fit(tmp_path, kind=kind, criterion=criterion)
    assert are_equal(tensors_of(plain.module_), tensors_of(watched.module_))
    started = of_type(tmp_path, RunStarted)[0]
    assert (started.epochs, started.batch_size, started.classes) == (2, 64, 10)
    epochs = of_type(tmp_path, EpochDone)
    assert [epoch.val_accuracy for epoch in epochs] == watched.history[:, "valid_acc"]
    assert [epoch.val_loss for epoch in epochs] == watched.history[:, "valid_loss"]
    rows = [row for batches in watched.history[:, "batches"] for row in batches]
    losses = [row["train_loss"] for row in rows if "train_loss" in row]
    assert [step.loss for step in of_type(tmp_path, StepDone)] == pytest.approx(losses)
    assert [end.reason for end in of_type(tmp_path, RunFinished)] == ["completed"]
    found = {each.code for each in of_type(tmp_path, FindingRaised) if each.severity != "note"}
    assert found <= {"few_steps"}


def test_a_stop_ends_the_training(tmp_path: Path) -> None:
    def stop(net: Any) -> None:
        watching: Any = dict(net.callbacks_)["WatchCallback"]
        send(watching.run, Stop())

    net = fit(tmp_path, AtBatch(stop))
    assert [end.reason for end in of_type(tmp_path, RunFinished)] == ["stopped"]
    assert len(of_type(tmp_path, StepDone)) == 5
    assert net.predict(digits()[1].tensors[0]).shape == (200,)
