"""The callback of Lightning, with the real library."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from tests.watching.loops import (
    Net,
    are_equal,
    of_type,
    send,
    sgd,
    tensors_of,
    train_loader,
    val_loader,
)
from tui_trainer.protocol.commands import SetBaseLr, Stop
from tui_trainer.protocol.events import (
    EpochDone,
    FindingRaised,
    RunFailed,
    RunFinished,
    RunStarted,
    SettingChanged,
    StepDone,
)

pl: Any = pytest.importorskip("lightning.pytorch")
from tui_trainer.watching.lightning import WatchCallback, classifier_of  # noqa: E402


class Module(pl.LightningModule):  # type: ignore[misc]
    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.net = Net()
        self.losses: list[Tensor] = []

    def forward(self, images: Tensor) -> Any:
        return self.net(images)

    def training_step(self, batch: list[Tensor], batch_idx: int) -> Any:
        loss = F.cross_entropy(self(batch[0]), batch[1])
        self.losses.append(loss.detach())
        return loss

    def validation_step(self, batch: list[Tensor]) -> None:
        logits = self(batch[0])
        self.log("val_loss", F.cross_entropy(logits, batch[1]))
        self.log("val_accuracy", (logits.argmax(dim=1) == batch[1]).float().mean())

    def configure_optimizers(self) -> Any:
        return sgd(self)


class Manual(Module):
    automatic_optimization = False

    def training_step(self, batch: list[Tensor], batch_idx: int) -> Any:
        logits = self.net(batch[0])
        loss = F.cross_entropy(logits, batch[1])
        optimizer = self.optimizers()
        optimizer.zero_grad()
        self.manual_backward(loss)
        optimizer.step()
        self.losses.append(loss.detach())
        return {"loss": loss, "logits": logits}


class Scheduled(Module):
    def configure_optimizers(self) -> Any:
        optimizer = super().configure_optimizers()
        return [optimizer], [torch.optim.lr_scheduler.StepLR(optimizer, 1, gamma=0.5)]


class AtStep(pl.Callback):  # type: ignore[misc]
    def __init__(self, step: int, act: Any) -> None:
        self.step, self.act = step, act

    def on_train_batch_start(self, trainer: Any, *_: Any) -> None:
        if trainer.global_step + 1 == self.step:
            self.act(next(each for each in trainer.callbacks if isinstance(each, WatchCallback)))


def fit(
    folder: Path | None, module: Module, callbacks: list[Any] | None = None, **options: Any
) -> WatchCallback:
    watching = WatchCallback(out=folder, progress=False)
    trainer = pl.Trainer(
        **{"max_epochs": 2, **options},
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        callbacks=[*([] if folder is None else [watching]), *(callbacks or [])],
    )
    torch.manual_seed(1)
    trainer.fit(module, train_loader(), val_loader())
    return watching


@pytest.mark.parametrize("kind", [Module, Manual, Scheduled])
def test_a_training_is_recorded_and_ends_with_the_same_weights(
    tmp_path: Path, kind: type[Module]
) -> None:
    plain, watched = kind(), kind()
    fit(None, plain)
    fit(tmp_path, watched)
    assert are_equal(tensors_of(plain), tensors_of(watched))
    started = of_type(tmp_path, RunStarted)[0]
    assert (started.model, started.epochs, started.train_size) == (kind.__name__, 2, 640)
    assert (started.batch_size, started.classes) == (64, 10)
    steps = of_type(tmp_path, StepDone)
    assert [step.step for step in steps] == list(range(1, 21))
    assert [step.loss for step in steps] == pytest.approx([float(x) for x in watched.losses])
    assert steps[-1].accuracy is not None
    assert steps[-1].accuracy > 0.5
    epochs = of_type(tmp_path, EpochDone)
    assert [epoch.epoch for epoch in epochs] == [1, 2]
    assert all(epoch.val_accuracy and epoch.val_loss for epoch in epochs)
    assert [end.reason for end in of_type(tmp_path, RunFinished)] == ["completed"]
    findings = {each.code for each in of_type(tmp_path, FindingRaised) if each.severity != "note"}
    assert findings <= {"few_steps"}


def test_with_accumulation_the_loss_is_that_of_the_batch(tmp_path: Path) -> None:
    module = Module()
    fit(tmp_path, module, accumulate_grad_batches=2)
    steps = of_type(tmp_path, StepDone)
    assert [step.loss for step in steps] == pytest.approx([float(x) for x in module.losses])


def test_max_steps_are_epochs(tmp_path: Path) -> None:
    fit(tmp_path, Module(), max_epochs=-1, max_steps=15)
    assert of_type(tmp_path, RunStarted)[0].epochs == 2
    assert len(of_type(tmp_path, StepDone)) == 15


def test_commands_act(tmp_path: Path) -> None:
    def command(watching: WatchCallback) -> None:
        assert watching.run is not None
        send(watching.run, SetBaseLr(0.01))
        send(watching.run, Stop())

    fit(tmp_path, Module(), [AtStep(5, command)])
    assert [change.new for change in of_type(tmp_path, SettingChanged)] == [0.01]
    assert [end.reason for end in of_type(tmp_path, RunFinished)] == ["stopped"]
    assert len(of_type(tmp_path, StepDone)) == 5


def test_an_exception_ends_the_run(tmp_path: Path) -> None:
    def fail(_: WatchCallback) -> None:
        raise RuntimeError("disk")

    with pytest.raises(RuntimeError, match="disk"):
        fit(tmp_path, Module(), [AtStep(5, fail)])
    assert of_type(tmp_path, RunFailed)[0].message.startswith("RuntimeError: disk")


def test_an_interrupt_ends_the_run(tmp_path: Path) -> None:
    def interrupt(_: WatchCallback) -> None:
        raise KeyboardInterrupt

    with pytest.raises((KeyboardInterrupt, SystemExit)):
        fit(tmp_path, Module(), [AtStep(5, interrupt)])
    assert [end.reason for end in of_type(tmp_path, RunFinished)] == ["interrupted"]


def test_the_model_is_the_part_with_the_parameters() -> None:
    module = Module()
    assert classifier_of(module) is module.net
    module.second = torch.nn.Linear(1, 1)
    assert classifier_of(module) is module
