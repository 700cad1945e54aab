"""What a user loop gets: a model, an optimizer, digits, and ``watch``."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from importlib import resources
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from tests.benchmarks.findings.loops.architectures import ARCHITECTURES, LRS
from tui_trainer.data.idx import read_folder

Predict = Callable[[Tensor], Tensor]
"""Maps normalized images (N, 1, 28, 28) to logits (N, 10) or class probabilities."""

VAL_IMAGES = 1_000
TEST_IMAGES = 5_000
MEAN, STD = 0.1307, 0.3081

Digits = tuple[Tensor, Tensor]
"""Normalized images (N, 1, 28, 28) as float32, and labels (N) as int64."""


@lru_cache(1)
def raw_digits() -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return MNIST's training images and labels, then the test ones, as uint8 and int64."""
    with resources.as_file(resources.files("tui_trainer") / "datasets" / "mnist") as folder:
        raw = read_folder(folder, name="mnist")
    images = torch.frombuffer(raw.train_images, dtype=torch.uint8).view(-1, 1, 28, 28)
    test_images = torch.frombuffer(raw.test_images, dtype=torch.uint8).view(-1, 1, 28, 28)
    labels = torch.tensor(raw.train_labels), torch.tensor(raw.test_labels)
    return images, labels[0].long(), test_images, labels[1].long()


def normalized(images: Tensor) -> Tensor:
    return (images.float() / 255 - MEAN) / STD


def test_digits() -> Digits:
    """Return the test images that measure an effect."""
    images, labels = raw_digits()[2:]
    return normalized(images[:TEST_IMAGES]), labels[:TEST_IMAGES]


@dataclass(frozen=True, slots=True)
class Job:
    """One training of a user loop.

    Attributes:
        seed: Chooses its images; ``record`` seeds torch with it, too.
        architecture: The name of its model.
        optimizer_name: ``sgd``, ``momentum``, ``adam``, ``adamw`` or ``rmsprop``.
        faulty: Whether the loop has its fault; if not, it is the clean twin.
        watch: ``tui_trainer.watch`` with its folder, or ``Unwatched``.
        train_size: The number of training images.
    """

    seed: int
    architecture: str
    optimizer_name: str
    faulty: bool
    watch: Callable[..., Any]
    train_size: int = 4_000

    @property
    def batch_size(self) -> int:
        """The batch size: 32 with odd seeds, 64 with even ones."""
        return 32 if self.seed % 2 else 64

    @property
    def lr(self) -> float:
        """A usual learning rate."""
        name = "adam" if self.optimizer_name == "adamw" else self.optimizer_name
        return LRS[name][self.architecture]

    def model(self) -> nn.Module:
        """Build the model."""
        return ARCHITECTURES[self.architecture]()

    def optimizer(
        self, parameters: Iterable[Any], lr: float | None = None
    ) -> torch.optim.Optimizer:
        """Build the optimizer."""
        lr = self.lr if lr is None else lr
        match self.optimizer_name:
            case "sgd":
                return torch.optim.SGD(parameters, lr=lr)
            case "momentum":
                return torch.optim.SGD(parameters, lr=lr, momentum=0.9)
            case "adam":
                return torch.optim.Adam(parameters, lr=lr)
            case "adamw":
                return torch.optim.AdamW(parameters, lr=lr)
        return torch.optim.RMSprop(parameters, lr=lr)

    def _order(self) -> Tensor:
        return torch.randperm(60_000, generator=torch.Generator().manual_seed(self.seed))

    def train_digits(self, count: int | None = None) -> Digits:
        """Return the training images, in random order."""
        chosen = self._order()[: count or self.train_size]
        images, labels = raw_digits()[:2]
        return normalized(images[chosen]), labels[chosen]

    def val_digits(self) -> Digits:
        """Return the validation images."""
        chosen = self._order()[-VAL_IMAGES:]
        images, labels = raw_digits()[:2]
        return normalized(images[chosen]), labels[chosen]

    def train_set(self, count: int | None = None) -> TensorDataset:
        return TensorDataset(*self.train_digits(count))

    def val_set(self) -> TensorDataset:
        return TensorDataset(*self.val_digits())

    def train_loader(self, **options: Any) -> DataLoader[Any]:
        """Return a shuffled loader of the training images."""
        options = {"batch_size": self.batch_size, "shuffle": True, **options}
        return DataLoader(self.train_set(), **options)

    def val_loader(self) -> DataLoader[Any]:
        return DataLoader(self.val_set(), batch_size=250)


class Unwatched:
    """Runs a loop without watching it; keeps its last validation accuracy, and how long it waits.

    It has the methods of a watched run, for measuring effects.
    """

    last: Unwatched

    def __init__(
        self, model: nn.Module, optimizer: Any, *, epochs: int | None = None, **_: Any
    ) -> None:
        self.model, self.total = model, epochs or 1
        self.val_accuracy: float | None = None
        self.waited = 0.0
        self.should_stop = False
        Unwatched.last = self

    def __enter__(self) -> Unwatched:
        return self

    def __exit__(self, *_: object) -> None:
        self.finish()

    def epochs(self) -> Iterator[int]:
        yield from range(1, self.total + 1)

    def batches(self, batches: Any, batch_size: int | None = None) -> Iterator[Any]:
        is_loader = batch_size is None
        loader = batches if is_loader else DataLoader(batches, batch_size, shuffle=True)
        began = time.perf_counter()
        for batch in loader:
            self.waited += time.perf_counter() - began
            yield batch
            began = time.perf_counter()

    def step(self, loss: Tensor, logits: Any = None, labels: Any = None) -> None:
        pass

    def begin_epoch(self) -> None:
        pass

    def begin_batch(self, inputs: Any = None, labels: Any = None) -> None:
        pass

    def validate(self, loader: Iterable[Any]) -> None:
        modes = [(module, module.training) for module in self.model.modules()]
        self.model.eval()
        correct = total = 0
        with torch.random.fork_rng(), torch.no_grad():
            for images, labels in loader:
                correct += int((self.model(images).argmax(1) == labels).sum())
                total += len(labels)
        for module, mode in modes:
            module.training = mode
        self.val_accuracy = correct / total

    def log(
        self,
        *,
        val_loss: float | None = None,
        val_accuracy: float | None = None,
        val_correct: int | None = None,
        val_total: int | None = None,
    ) -> None:
        if val_accuracy is not None:
            self.val_accuracy = float(val_accuracy)
        elif val_correct is not None and val_total:
            self.val_accuracy = val_correct / val_total

    def end_epoch(self, **logged: Any) -> None:
        self.log(**logged)

    def check(self) -> None:
        pass

    def resume(self, folder: Any = None) -> bool:
        return False

    def finish(self, reason: str = "completed") -> None:
        pass
