"""User loops whose data or modes are faulty: the tuning half."""

# mypy: ignore-errors

from __future__ import annotations

import time

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import ConcatDataset, DataLoader, Dataset, Subset, TensorDataset

from tests.benchmarks.findings.loops.job import Job, Predict


def eval_never_left(job: Job) -> Predict:
    """Calls eval() for the first validation, and train() only before the first epoch."""
    model, loader, val_loader = job.model(), job.train_loader(), job.val_loader()
    optimizer = job.optimizer(model.parameters())
    with job.watch(model, optimizer, epochs=3) as run:
        model.train()
        for _ in run.epochs():
            if not job.faulty:
                model.train()
            for images, labels in run.batches(loader):
                logits = model(images)
                loss = F.cross_entropy(logits, labels)
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                run.step(loss, logits, labels)
            model.eval()
            correct = 0
            with torch.no_grad():
                for images, labels in val_loader:
                    correct += int((model(images).argmax(1) == labels).sum())
            run.log(val_accuracy=correct / 1_000)
    return model


def eval_from_the_start(job: Job) -> Predict:
    """Gets a model in evaluation mode, as from a checkpoint, and trains it further."""
    model, loader, val_loader = job.model(), job.train_loader(), job.val_loader()
    optimizer = job.optimizer(model.parameters())
    model.eval()
    with job.watch(model, optimizer, epochs=2) as run:
        for _ in run.epochs():
            if not job.faulty:
                model.train()
            for images, labels in run.batches(loader):
                optimizer.zero_grad(set_to_none=False)
                logits = model(images)
                loss = F.cross_entropy(logits, labels)
                loss.backward()
                optimizer.step()
                run.step(loss, logits, labels)
            run.validate(val_loader)
    return model


def _validated(model: nn.Module, loader: DataLoader[Tensor]) -> tuple[float, float]:
    loss, correct, total = 0.0, 0, 0
    with torch.no_grad():
        for images, labels in loader:
            logits = model(images)
            loss += F.cross_entropy(logits, labels, reduction="sum").item()
            correct += int((logits.argmax(1) == labels).sum())
            total += len(labels)
    return loss / total, correct / total


def validated_in_training_mode(job: Job) -> Predict:
    model, loader, val_loader = job.model(), job.train_loader(), job.val_loader()
    optimizer = job.optimizer(model.parameters())
    with job.watch(model, optimizer, epochs=3) as run:
        for _ in run.epochs():
            model.train()
            for images, labels in run.batches(loader):
                logits = model(images)
                loss = F.cross_entropy(logits, labels)
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                run.step(loss, logits, labels)
            if not job.faulty:
                model.eval()
            val_loss, val_accuracy = _validated(model, val_loader)
            run.log(val_loss=val_loss, val_accuracy=val_accuracy)
    model.eval()
    return model


def overlapping_subsets(job: Job) -> Predict:
    """Draws the validation images from all images, those for training included."""
    whole, size = job.train_set(800), 800
    order = torch.randperm(size).tolist()
    train_set = Subset(whole, order if job.faulty else order[:600])
    val_set = Subset(whole, order[600:])
    model = job.model()
    optimizer = job.optimizer(model.parameters())
    loader = DataLoader(train_set, job.batch_size, shuffle=True)
    val_loader = DataLoader(val_set, 100)
    with job.watch(model, optimizer, epochs=12) as run:
        for _ in run.epochs():
            for images, labels in run.batches(loader):
                logits = model(images)
                loss = F.cross_entropy(logits, labels)
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                run.step(loss, logits, labels)
            run.validate(val_loader)
    return model


def validated_on_training_set(job: Job) -> Predict:
    """Validates with the training set under another loader, by a typo."""
    train_set, val_set = job.train_set(800), job.val_set()
    loader = DataLoader(train_set, batch_size=job.batch_size, shuffle=True)
    val_loader = DataLoader(train_set if job.faulty else val_set, batch_size=200)
    model = job.model()
    optimizer = job.optimizer(model.parameters())
    with job.watch(model, optimizer, epochs=12) as run:
        for _ in run.epochs():
            for images, labels in run.batches(loader):
                optimizer.zero_grad()
                logits = model(images)
                loss = F.cross_entropy(logits, labels)
                loss.backward()
                optimizer.step()
                run.step(loss, logits, labels)
            run.validate(val_loader)
    return model


def sorted_without_shuffle(job: Job) -> Predict:
    """Loads images in the order of their classes, as from one folder per class."""
    images, labels = job.train_digits()
    order = labels.argsort()
    train_set = TensorDataset(images[order], labels[order])
    loader = DataLoader(train_set, batch_size=job.batch_size, shuffle=not job.faulty)
    model, val_loader = job.model(), job.val_loader()
    optimizer = job.optimizer(model.parameters())
    with job.watch(model, optimizer, epochs=3) as run:
        for _ in run.epochs():
            for x, y in run.batches(loader):
                logits = model(x)
                loss = F.cross_entropy(logits, y)
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                run.step(loss, logits, y)
            run.validate(val_loader)
    return model


def same_order(job: Job) -> Predict:
    """Forgets shuffle=True: the order is random, but the same in each epoch."""
    loader, val_loader = job.train_loader(shuffle=not job.faulty), job.val_loader()
    model = job.model()
    optimizer = job.optimizer(model.parameters())
    with job.watch(model, optimizer, epochs=4) as run:
        for _ in run.epochs():
            for x, y in run.batches(loader):
                optimizer.zero_grad()
                logits = model(x)
                loss = F.cross_entropy(logits, y)
                loss.backward()
                optimizer.step()
                run.step(loss, logits, y)
            run.validate(val_loader)
    return model


class _Files(Dataset[tuple[Tensor, Tensor]]):
    """Images that a slow disk returns one by one."""

    def __init__(self, job: Job, seconds: float) -> None:
        self.images, self.labels = job.train_digits(2_500)
        self.seconds = seconds

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        if self.seconds:
            time.sleep(self.seconds)
        return self.images[index], self.labels[index]


def slow_files(job: Job) -> Predict:
    loader = DataLoader(_Files(job, 0.001 if job.faulty else 0.0), job.batch_size, shuffle=True)
    model, val_loader = job.model(), job.val_loader()
    optimizer = job.optimizer(model.parameters())
    with job.watch(model, optimizer, epochs=3) as run:
        for _ in run.epochs():
            for images, labels in run.batches(loader):
                logits = model(images)
                loss = F.cross_entropy(logits, labels)
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                run.step(loss, logits, labels)
            run.validate(val_loader)
    return model


def labels_of_next_image(job: Job) -> Predict:
    """Pairs images[i] with labels[i + 1]: the label file has a header line."""
    images, labels = job.train_digits()
    if job.faulty:
        images, labels = images[:-1], labels[1:]
    loader = DataLoader(TensorDataset(images, labels), batch_size=job.batch_size, shuffle=True)
    model, val_loader = job.model(), job.val_loader()
    optimizer = job.optimizer(model.parameters())
    with job.watch(model, optimizer, epochs=2) as run:
        for _ in run.epochs():
            for x, y in run.batches(loader):
                logits = model(x)
                loss = F.cross_entropy(logits, y)
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                run.step(loss, logits, y)
            run.validate(val_loader)
    return model


class _Channels(nn.Module):
    """A model whose input is (N, 28, 28, 1), as NumPy images are, reshaped for convolutions."""

    def __init__(self, job: Job) -> None:
        super().__init__()
        self.faulty = job.faulty
        self.conv1, self.conv2 = nn.Conv2d(2, 8, 3, 2, 1), nn.Conv2d(8, 16, 3, 2, 1)
        self.fc = nn.Linear(16 * 49, 10)

    def forward(self, images: Tensor) -> Tensor:
        pixels = images.permute(0, 2, 3, 1)
        pixels = torch.cat((pixels, pixels.square()), 3)
        n = len(pixels)
        x = pixels.reshape(n, 2, 28, 28) if self.faulty else pixels.permute(0, 3, 1, 2)
        x = F.relu(self.conv2(F.relu(self.conv1(x))))
        return self.fc(x.flatten(1))


class _RowsFirst(nn.Module):
    """An LSTM that wants (rows, N, 28): view instead of permute mixes the images of a batch."""

    def __init__(self, job: Job) -> None:
        super().__init__()
        self.faulty = job.faulty
        self.lstm, self.fc = nn.LSTM(28, 64), nn.Linear(64, 10)

    def forward(self, images: Tensor) -> Tensor:
        x = images.squeeze(1)
        x = x.reshape(28, len(x), 28) if self.faulty else x.permute(1, 0, 2)
        return self.fc(self.lstm(x)[0][-1])


def _reshaped(job: Job, model: nn.Module) -> Predict:
    optimizer = job.optimizer(model.parameters())
    loader, val_loader = job.train_loader(), job.val_loader()
    with job.watch(model, optimizer, epochs=3) as run:
        for _ in run.epochs():
            for images, labels in run.batches(loader):
                logits = model(images)
                loss = F.cross_entropy(logits, labels)
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                run.step(loss, logits, labels)
            run.validate(val_loader)
    return model


def reshaped_channels(job: Job) -> Predict:
    return _reshaped(job, _Channels(job))


def reshaped_rows(job: Job) -> Predict:
    return _reshaped(job, _RowsFirst(job))


def augmented_copies(job: Job) -> Predict:
    """Copies and augments the images first, and splits afterwards."""
    images, labels = job.train_digits(600)
    val_images, val_labels = images[450:], labels[450:]
    if not job.faulty:
        images, labels = images[:450], labels[:450]
    noisy = images + 0.05 * torch.randn_like(images)
    whole = ConcatDataset([TensorDataset(images, labels), TensorDataset(noisy, labels)])
    loader = DataLoader(whole, batch_size=job.batch_size, shuffle=True)
    val_loader = DataLoader(TensorDataset(val_images, val_labels), batch_size=150)
    model = job.model()
    optimizer = job.optimizer(model.parameters())
    with job.watch(model, optimizer, epochs=10) as run:
        for _ in run.epochs():
            for x, y in run.batches(loader):
                logits = model(x)
                loss = F.cross_entropy(logits, y)
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                run.step(loss, logits, y)
            run.validate(val_loader)
    return model
