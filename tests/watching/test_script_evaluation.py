"""Validation examples of scripts that evaluate by themselves."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import nn
from torch.nn import functional as F

import tui_trainer
from tests.watching.loops import Net, digits, sgd, train_loader, val_loader
from tui_trainer.data.recorded_inputs import read_inputs

CPU = torch.device("cpu")


def evaluated(folder: Path, wrong: int = 0) -> int:
    """Train an epoch, evaluate as PyTorch's examples do; return the recorded examples."""
    torch.manual_seed(0)
    model = Net()
    optimizer = sgd(model)
    with tui_trainer.watch(model, optimizer, epochs=1, out=folder, progress=False) as run:
        for _ in run.epochs():
            for images, labels in run.batches(train_loader()):
                loss = F.cross_entropy(model(images), labels)
                optimizer.zero_grad()
                loss.backward()  # type: ignore[no-untyped-call]
                optimizer.step()
                run.step(loss)
            correct = 0
            variables = locals()
            model.eval()
            with torch.no_grad():
                for data, target in val_loader():
                    output = model(data)
                    correct += int((output.argmax(dim=1) == target).sum())
            run.log(val_correct=correct + wrong, val_total=len(digits()[1]))
            assert {"correct", "model"} <= variables.keys()
    recorded = read_inputs(folder / "inputs", CPU)
    if len(recorded.val):
        assert torch.equal(recorded.val.images, digits()[1].tensors[0])
        assert torch.equal(recorded.val.labels, digits()[1].tensors[1])
    return len(recorded.val)


def test_the_labels_are_found_next_to_the_call_of_the_model(tmp_path: Path) -> None:
    assert evaluated(tmp_path / "run") == 200


def test_labels_that_do_not_give_the_reported_accuracy_are_none(tmp_path: Path) -> None:
    assert evaluated(tmp_path / "run", wrong=3) == 0


def test_an_evaluation_without_clear_labels_is_not_recorded(tmp_path: Path) -> None:
    model = nn.Sequential(nn.Flatten(), nn.Linear(196, 10))
    optimizer = sgd(model)
    with tui_trainer.watch(model, optimizer, epochs=1, out=tmp_path / "run", progress=False) as run:
        for _ in run.epochs():
            for images, labels in run.batches(train_loader()):
                loss = F.cross_entropy(model(images), labels)
                optimizer.zero_grad()
                loss.backward()  # type: ignore[no-untyped-call]
                optimizer.step()
                run.step(loss)
            with torch.no_grad():
                for first, second in val_loader():
                    another = second + 1
                    model(first)
            run.log(val_accuracy=0.5)
            assert another is not None
    assert not len(read_inputs(tmp_path / "run" / "inputs", CPU).val)
