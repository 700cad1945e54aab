"""User loops whose data or modes are faulty: the ways that judge alone."""

# mypy: ignore-errors

from __future__ import annotations

import gzip
import time

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import ConcatDataset, DataLoader, Dataset, IterableDataset, TensorDataset

from tests.benchmarks.findings.loops.job import Job, Predict


def eval_in_the_middle(job: Job) -> Predict:
    """Validates every 30 steps with eval(), and never calls train() again."""
    model, loader, val_loader = job.model(), job.train_loader(), job.val_loader()
    optimizer = job.optimizer(model.parameters())
    x_val, y_val = next(iter(val_loader))
    step = 0
    with job.watch(model, optimizer, epochs=3) as run:
        for _ in run.epochs():
            for images, labels in run.batches(loader):
                logits = model(images)
                loss = F.cross_entropy(logits, labels)
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                run.step(loss, logits, labels)
                step += 1
                if step % 30 == 0:
                    model.eval()
                    with torch.no_grad():
                        accuracy = (model(x_val).argmax(1) == y_val).float().mean().item()
                    if not job.faulty:
                        model.train()
            run.log(val_accuracy=accuracy)
    return model


def train_false(job: Job) -> Predict:
    """Calls model.train(False) before each epoch."""
    model, loader, val_loader = job.model(), job.train_loader(), job.val_loader()
    optimizer = job.optimizer(model.parameters())
    run = job.watch(model, optimizer, epochs=3)
    for _ in run.epochs():
        model.train(not job.faulty)
        for images, labels in run.batches(loader):
            optimizer.zero_grad()
            logits = model(images)
            loss = F.cross_entropy(logits, labels)
            loss.backward()
            optimizer.step()
            run.step(loss, logits, labels)
        run.validate(val_loader)
    run.finish()
    return model


class _Dropped(nn.Module):
    """A model whose input is dropped out, too: it differs much between the modes."""

    def __init__(self, job: Job) -> None:
        super().__init__()
        self.drop, self.body = nn.Dropout(0.4), job.model()

    def forward(self, images: Tensor) -> Tensor:
        return self.body(self.drop(images))


def modes_exchanged(job: Job) -> Predict:
    """Validates in a function that begins with train() by a slip."""
    model, loader, val_loader = _Dropped(job), job.train_loader(), job.val_loader()
    optimizer = job.optimizer(model.parameters())

    def evaluate() -> float:
        model.train(job.faulty)
        correct = 0
        with torch.no_grad():
            for images, labels in val_loader:
                correct += int((model(images).argmax(1) == labels).sum())
        return correct / 1_000

    run = job.watch(model, optimizer, epochs=3)
    for _ in range(3):
        run.begin_epoch()
        model.train()
        for batch in loader:
            run.begin_batch(batch)
            images, labels = batch
            logits = model(images)
            loss = F.cross_entropy(logits, labels)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            run.step(loss, logits, labels)
        run.end_epoch(val_accuracy=evaluate())
    run.finish()
    return model


def validated_one_by_one(job: Job) -> Predict:
    """Validates in training mode, with inference_mode() and batches of a single class."""
    model, loader = _Dropped(job), job.train_loader()
    images, labels = job.val_digits()
    parts = [(images[labels == digit], labels[labels == digit]) for digit in range(10)]
    optimizer = job.optimizer(model.parameters())
    with job.watch(model, optimizer, epochs=3) as run:
        for _ in run.epochs():
            model.train()
            for x, y in run.batches(loader):
                logits = model(x)
                loss = F.cross_entropy(logits, y)
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                run.step(loss, logits, y)
            if not job.faulty:
                model.eval()
            with torch.inference_mode():
                correct = sum(int((model(x).argmax(1) == y).sum()) for x, y in parts)
            run.log(val_correct=correct, val_total=1_000)
    return model


def overlapping_slices(job: Job) -> Predict:
    """Slices the tensors with the wrong bounds, and clones them."""
    images, labels = job.train_digits(900)
    start = 300 if job.faulty else 600
    val_set = TensorDataset(images[start:].clone(), labels[start:].clone())
    train_set = TensorDataset(images[:600], labels[:600])
    model, loader = job.model(), DataLoader(train_set, job.batch_size, shuffle=True)
    optimizer = job.optimizer(model.parameters())
    with job.watch(model, optimizer, epochs=14) as run:
        for _ in run.epochs():
            for x, y in run.batches(loader):
                optimizer.zero_grad()
                logits = model(x)
                loss = F.cross_entropy(logits, y)
                loss.backward()
                optimizer.step()
                run.step(loss, logits, y)
            run.validate(DataLoader(val_set, 100))
    return model


def oversampled_before_split(job: Job) -> Predict:
    """Repeats each image three times, shuffles, and splits then; validates itself."""
    images, labels = job.train_digits(700)
    if job.faulty:
        order = torch.randperm(3 * len(labels))
        images, labels = images.repeat(3, 1, 1, 1)[order], labels.repeat(3)[order]
        count = 1_700
    else:
        images, labels, count = images, labels, 560
    loader = DataLoader(TensorDataset(images[:count], labels[:count]), 32, shuffle=True)
    val_images, val_labels = images[count:], labels[count:]
    model = job.model()
    optimizer = job.optimizer(model.parameters())
    with job.watch(model, optimizer, epochs=5 if job.faulty else 15) as run:
        for _ in run.epochs():
            model.train()
            for x, y in run.batches(loader):
                logits = model(x)
                loss = F.cross_entropy(logits, y)
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                run.step(loss, logits, y)
            run.validate([(val_images, val_labels)])
    return model


def classes_one_after_another(job: Job) -> Predict:
    """Concatenates one dataset per class, and does not shuffle."""
    images, labels = job.train_digits()
    parts = [TensorDataset(images[labels == d], labels[labels == d]) for d in range(10)]
    loader = DataLoader(ConcatDataset(parts), job.batch_size, shuffle=not job.faulty)
    model, val_loader = job.model(), job.val_loader()
    optimizer = job.optimizer(model.parameters())
    with job.watch(model, optimizer, epochs=3) as run:
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


class _ByClass(IterableDataset):
    """A stream of images that were written class by class, with a small shuffle buffer or none."""

    def __init__(self, job: Job) -> None:
        self.images, self.labels = job.train_digits()
        self.faulty = job.faulty

    def __iter__(self):
        order = self.labels.argsort() if self.faulty else torch.randperm(len(self.labels))
        for chunk in order.split(100):
            for index in chunk[torch.randperm(len(chunk))].tolist():
                yield self.images[index], self.labels[index]


def sorted_stream(job: Job) -> Predict:
    loader = DataLoader(_ByClass(job), batch_size=job.batch_size)
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


class _Packed(Dataset):
    """Images in compressed files, each read and enlarged several times, as augmentation does."""

    def __init__(self, job: Job, times: int) -> None:
        self.images, self.labels = job.train_digits(2_000)
        self.times = times
        self.files = [gzip.compress(image.numpy().tobytes(), 1) for image in self.images]

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        if not self.times:
            return self.images[index], self.labels[index]
        buffer = bytearray(gzip.decompress(self.files[index]))
        image = torch.frombuffer(buffer, dtype=torch.float32).view(1, 1, 28, 28)
        for _ in range(self.times):
            large = F.interpolate(image, size=56, mode="bicubic", align_corners=False)
            image = F.avg_pool2d(large, 2)
        return image[0], self.labels[index]


def packed_files(job: Job) -> Predict:
    loader = DataLoader(_Packed(job, 3 if job.faulty else 0), job.batch_size, shuffle=True)
    model, val_loader = job.model(), job.val_loader()
    optimizer = job.optimizer(model.parameters())
    with job.watch(model, optimizer, epochs=3) as run:
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


def slow_batches(job: Job) -> Predict:
    """Batches from a generator that waits for a database."""
    images, labels = job.train_digits(3_000)

    def batches():
        for chosen in torch.randperm(len(labels)).split(64):
            if job.faulty:
                time.sleep(0.05)
            yield images[chosen], labels[chosen]

    model, val_loader = job.model(), job.val_loader()
    optimizer = job.optimizer(model.parameters())
    with job.watch(model, optimizer, epochs=3) as run:
        for _ in run.epochs():
            for x, y in run.batches(batches()):
                logits = model(x)
                loss = F.cross_entropy(logits, y)
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                run.step(loss, logits, y)
            run.validate(val_loader)
    return model


class _Transposed(nn.Module):
    """An MLP that flattens to (784, N), and then has to turn it."""

    def __init__(self, job: Job) -> None:
        super().__init__()
        self.faulty = job.faulty
        self.layers = nn.Sequential(
            nn.Linear(784, 128), nn.ReLU(), nn.Linear(128, 64), nn.ReLU(), nn.Linear(64, 10)
        )

    def forward(self, images: Tensor) -> Tensor:
        columns = images.reshape(len(images), 784).t()
        rows = columns.reshape(-1, 784) if self.faulty else columns.t()
        return self.layers(rows)


class _Sequence(nn.Module):
    """A transformer whose layers want (28, N, width)."""

    def __init__(self, job: Job) -> None:
        super().__init__()
        self.faulty = job.faulty
        self.embed, self.position = nn.Linear(28, 32), nn.Parameter(torch.randn(28, 1, 32) * 0.1)
        self.layer = nn.TransformerEncoderLayer(32, 4, 64, 0.0)
        self.head = nn.Linear(32, 10)

    def forward(self, images: Tensor) -> Tensor:
        x = self.embed(images.squeeze(1))
        x = x.reshape(28, len(images), 32) if self.faulty else x.transpose(0, 1)
        return self.head(self.layer(x + self.position).mean(0))


def _trained(job: Job, model: nn.Module) -> Predict:
    loader, val_loader = job.train_loader(), job.val_loader()
    optimizer = job.optimizer(model.parameters(), 2e-3)
    with job.watch(model, optimizer, epochs=3) as run:
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


def transposed_twice(job: Job) -> Predict:
    return _trained(job, _Transposed(job))


def reshaped_sequence(job: Job) -> Predict:
    return _trained(job, _Sequence(job))
