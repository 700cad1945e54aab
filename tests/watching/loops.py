"""A small model, real digits and a loop to watch, as a script would have them."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, TensorDataset

import tui_trainer
from tui_trainer.data.dataset import Split
from tui_trainer.data.loading import load
from tui_trainer.protocol.commands import Command
from tui_trainer.protocol.config import RunConfig
from tui_trainer.protocol.events import Event
from tui_trainer.recording.folder import RunFolder
from tui_trainer.watching import WatchedRun

E = TypeVar("E")


class Net(nn.Module):
    """Two convolutions, batch norm and dropout."""

    def __init__(self, width: int = 8) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(1, width, 3)
        self.norm1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3)
        self.drop = nn.Dropout(0.2)
        self.fc = nn.Linear(4 * width, 10)

    def forward(self, images: Tensor) -> Tensor:
        x = F.max_pool2d(F.relu(self.norm1(self.conv1(images))), 2)
        x = F.max_pool2d(F.relu(self.conv2(x)), 2)
        logits: Tensor = self.fc(self.drop(x.flatten(1)))
        return logits


@functools.cache
def digits(size: int = 14) -> tuple[TensorDataset, TensorDataset]:
    """Return 640 training digits and 200 to validate, of 14 or 28 rows and columns."""
    loading = load(RunConfig(), torch.device("cpu"))
    while True:
        try:
            next(loading)
        except StopIteration as end:
            data = end.value
            break

    def first(split: Split, count: int) -> TensorDataset:
        images = F.avg_pool2d(data.prepare(split.images[:count]), 28 // size)
        return TensorDataset(images, split.labels[:count])

    return first(data.train, 640), first(data.val, 200)


def train_loader(batch_size: int = 64, **options: Any) -> DataLoader[Any]:
    """Return the training digits in batches."""
    return DataLoader(digits()[0], batch_size, shuffle=True, **options)


def val_loader() -> DataLoader[Any]:
    """Return the validation digits in batches."""
    return DataLoader(digits()[1], 100)


def sgd(model: nn.Module, lr: float = 0.05) -> torch.optim.Optimizer:
    """Return the optimizer of the loops."""
    return torch.optim.SGD(model.parameters(), lr=lr, momentum=0.9)


def train(
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    run: WatchedRun,
    loader: Any = None,
    *,
    scheduler: Any = None,
    before_step: Callable[[int], object] = lambda step: None,
) -> list[Tensor]:
    """Train as a script does; return the losses."""
    loader = train_loader() if loader is None else loader
    losses: list[Tensor] = []
    for _ in run.epochs():
        for images, labels in run.batches(loader):
            before_step(len(losses) + 1)
            optimizer.zero_grad()
            logits = model(images)
            loss = F.cross_entropy(logits, labels)
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            losses.append(loss.detach())
            run.step(loss, logits, labels)
        run.validate(val_loader())
        if scheduler is not None:
            scheduler.step()
    return losses


def watched(folder: Path, epochs: int = 2, **options: Any) -> tuple[Net, WatchedRun]:
    """Return a seeded model and its run, which prints nothing."""
    torch.manual_seed(0)
    model = Net()
    optimizer = sgd(model)
    run = tui_trainer.watch(
        model, optimizer, epochs=epochs, out=folder, progress=False, probes=False, **options
    )
    return model, run


def optimizer_of(run: WatchedRun) -> torch.optim.Optimizer:
    """Return the optimizer of a run that is watched."""
    assert run._watcher is not None
    return run._watcher._optimizers[0]


def send(run: WatchedRun, command: Command) -> None:
    """Send a command, as another process would."""
    assert run._watcher is not None
    run._watcher._control.inbox.send(command)


def events_of(folder: Path) -> tuple[Event, ...]:
    """Return the recorded events."""
    return RunFolder(folder).read_events().events


def of_type(folder: Path, kind: type[E]) -> list[E]:
    """Return the recorded events of a kind."""
    return [event for event in events_of(folder) if isinstance(event, kind)]


def tensors_of(model: nn.Module) -> list[Tensor]:
    """Return copies of everything in a model's ``state_dict``."""
    return [tensor.clone() for tensor in model.state_dict().values()]


def are_equal(one: list[Tensor], other: list[Tensor]) -> bool:
    """Whether two lists of tensors are equal to the last bit."""
    return all(torch.equal(a, b) for a, b in zip(one, other, strict=True))
