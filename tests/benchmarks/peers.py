"""Training loops as others write them, and a bare one: each trains until the meter's time is up."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.data import DataLoader, Dataset, TensorDataset

import tui_trainer
from tests.benchmarks.meter import Meter
from tui_trainer.data.augment import augment
from tui_trainer.data.dataset import Data
from tui_trainer.data.loading import load
from tui_trainer.engine.optimizers import make_optimizer
from tui_trainer.models import zoo
from tui_trainer.models.allocator import keep_freed_memory
from tui_trainer.models.torchvision_compat import import_torchvision
from tui_trainer.protocol.config import RunConfig

MEAN, STD = 0.1307, 0.3081
"""The usual normalization of scripts for MNIST."""

CPU = torch.device("cpu")
READ_EVERY = 100


def resident(config: RunConfig) -> Data:
    """Return the run's dataset as tensors in memory."""
    loading = load(config, CPU)
    while True:
        try:
            next(loading)
        except StopIteration as done:
            data: Data = done.value
            return data


def new_model(config: RunConfig) -> nn.Module:
    """Return the run's model with new weights."""
    torch.manual_seed(config.seed)
    return zoo.build(config.model, image_size=28, classes=10, dropout=config.dropout)


def usual_optimizer(model: nn.Module, config: RunConfig) -> torch.optim.Optimizer:
    """Return PyTorch's SGD with the run's settings, as other loops use it."""
    return torch.optim.SGD(
        model.parameters(),
        lr=config.base_lr,
        momentum=config.momentum,
        nesterov=config.nesterov,
        weight_decay=config.weight_decay,
    )


def set_threads(config: RunConfig, meter: Meter) -> None:
    """Use the requested number of threads, or torch's own choice, and set it in the meter."""
    if config.threads is not None:
        torch.set_num_threads(config.threads)
    meter.threads = torch.get_num_threads()


class PictureSet(Dataset[tuple[Tensor, int]]):
    """Images as torchvision's MNIST returns them: one PIL picture at a time through a transform."""

    def __init__(self, images: Tensor, labels: Tensor, transform: Callable[[Any], Tensor]) -> None:
        self._image = importlib.import_module("PIL.Image")
        self._images = images
        self._labels = labels
        self._transform = transform

    def __len__(self) -> int:
        return len(self._images)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        picture = self._image.fromarray(self._images[index].numpy())
        return self._transform(picture), int(self._labels[index])


def picture_loader(config: RunConfig, workers: int, *, course: bool) -> DataLoader[Any]:
    """Return a loader over PIL pictures, with the course's augmentation or none."""
    transforms: Any = importlib.import_module(f"{import_torchvision().__name__}.transforms")
    moves = [
        transforms.RandomApply([transforms.CenterCrop(22)], p=0.1),
        transforms.Resize((28, 28)),
        transforms.RandomRotation((-15.0, 15.0), fill=0),
    ]
    last = [transforms.ToTensor(), transforms.Normalize((MEAN,), (STD,))]
    transform = transforms.Compose([*moves, *last] if course else last)
    train = resident(config).train
    pictures = PictureSet(train.images, train.labels, transform)
    return DataLoader(pictures, config.batch_size, shuffle=True, num_workers=workers)


def script(config: RunConfig, meter: Meter, workers: int) -> None:
    """Train as the course's script does: its model, its batches, its statistics."""
    set_threads(config, meter)
    model = new_model(config)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9)
    loader = picture_loader(config, workers, course=True)
    while True:
        total, correct = 0.0, 0
        for images, labels in loader:
            optimizer.zero_grad()
            logits = model(images)
            loss = functional.cross_entropy(logits, labels)
            total += loss.item()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            correct += int(logits.argmax(dim=1).eq(labels).sum().item())
            if meter.step(len(labels)):
                return


def plain(config: RunConfig, meter: Meter, workers: int) -> None:
    """Train as PyTorch's MNIST example does: pictures from a loader, the loss read rarely."""
    set_threads(config, meter)
    model = new_model(config)
    optimizer = usual_optimizer(model, config)
    loader = picture_loader(config, workers, course=False)
    while True:
        for number, (images, labels) in enumerate(loader):
            optimizer.zero_grad()
            loss = functional.cross_entropy(model(images), labels)
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            if number % READ_EVERY == 0:
                loss.item()
            if meter.step(len(labels)):
                return


def bare(config: RunConfig, meter: Meter) -> None:
    """Train as fast as a loop without events or a window can, with the engine's work per step."""
    set_threads(config, meter)
    keep_freed_memory()
    for size in bare_steps(config):
        if meter.step(size):
            return


def bare_steps(config: RunConfig) -> Iterator[int]:
    """Train that loop; yield the number of images after each step."""
    data = resident(config)
    images, labels = data.train.images, data.train.labels
    model = new_model(config).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    optimizer = make_optimizer(model, config)
    augmentation = None if config.augmentation.is_none else config.augmentation
    rng = torch.Generator().manual_seed(config.seed)
    (mean,), (std,) = data.mean, data.std
    scale, offset = 1 / (255 * std), mean / std
    loss_sum, correct_sum = torch.zeros(()), torch.zeros((), dtype=torch.int64)
    steps = 0
    while True:
        order = torch.randperm(len(labels), generator=rng)
        for indices in order.split(config.batch_size):  # type: ignore[no-untyped-call]
            wanted = labels[indices]
            pixels = images[indices].unsqueeze(1).to(torch.float32)
            if augmentation is not None:
                pixels = augment(pixels, augmentation, rng)
            logits = model(pixels.mul_(scale).sub_(offset))
            loss = functional.cross_entropy(logits, wanted)
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step(config.base_lr)
            loss_sum += loss.detach()
            correct_sum += (logits.detach().argmax(dim=1) == wanted).sum()
            steps += 1
            if steps % READ_EVERY == 0:
                loss_sum.item(), correct_sum.item()
            yield len(indices)


class Slices:
    """A loader of images in memory, the fastest that a script has: shuffled, without workers."""

    def __init__(self, images: Tensor, labels: Tensor, batch_size: int) -> None:
        self._images, self._labels, self._batch_size = images, labels, batch_size

    def __len__(self) -> int:
        return -(-len(self._labels) // self._batch_size)

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        order = torch.randperm(len(self._labels))
        for indices in order.split(self._batch_size):  # type: ignore[no-untyped-call]
            yield self._images[indices], self._labels[indices]


def loop(config: RunConfig, meter: Meter, folder: Path | None = None) -> None:
    """Train as a script of a user does, over tensors; with a folder, watched and recorded there."""
    set_threads(config, meter)
    keep_freed_memory()
    data = resident(config)
    model = new_model(config)
    optimizer = usual_optimizer(model, config)
    loader = Slices(data.prepare(data.train.images), data.train.labels, config.batch_size)
    run = None
    if folder is not None:
        run = tui_trainer.watch(model, optimizer, epochs=config.epochs, out=folder)
    while True:
        for images, labels in loader if run is None else run.batches(loader):
            optimizer.zero_grad()
            logits = model(images)
            loss = functional.cross_entropy(logits, labels)
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            if run is None:
                loss.item()  # a script that prints its loss reads it
            else:
                run.step(loss, logits, labels)
            if meter.step(len(labels)):
                return


def lightning_module() -> Any:
    """Import Lightning under either of its names."""
    import_torchvision()  # Lightning imports torchvision too, and fails if it does not match torch
    try:
        return importlib.import_module("lightning")
    except ModuleNotFoundError:
        return importlib.import_module("pytorch_lightning")


def lightning(config: RunConfig, meter: Meter) -> None:
    """Train with Lightning's loop and its progress bar, over tensors in memory."""
    set_threads(config, meter)
    kit: Any = lightning_module()
    data = resident(config)
    images = data.prepare(data.train.images)
    loader = DataLoader(
        TensorDataset(images, data.train.labels), config.batch_size, shuffle=True, num_workers=0
    )

    class Digits(kit.LightningModule):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.model = new_model(config)

        def training_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> Tensor:
            images, labels = batch
            loss = functional.cross_entropy(self.model(images), labels)
            self.log("train_loss", loss, prog_bar=True)
            return loss

        def configure_optimizers(self) -> torch.optim.Optimizer:
            return usual_optimizer(self.model, config)

        def on_train_batch_end(self, outputs: Any, batch: Any, batch_idx: int) -> None:
            if meter.step(len(batch[1])):
                self.trainer.should_stop = True

    trainer = kit.Trainer(
        max_epochs=config.epochs,
        accelerator="cpu",
        devices=1,
        logger=False,
        enable_checkpointing=False,
        enable_model_summary=False,
    )
    trainer.fit(Digits(), loader)
