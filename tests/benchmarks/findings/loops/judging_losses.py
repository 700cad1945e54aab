"""User loops whose loss is faulty: the ways that judge alone."""

# mypy: ignore-errors

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, Dataset

from tests.benchmarks.findings.loops.job import Job, Predict


def forward_without_grad(job: Job) -> Predict:
    """Leaves no_grad() around forward, and makes the loss require a gradient."""
    model, loader, val_loader = job.model(), job.train_loader(), job.val_loader()
    optimizer, criterion = job.optimizer(model.parameters()), nn.CrossEntropyLoss()
    with job.watch(model, optimizer, epochs=2) as run:
        for _ in run.epochs():
            model.train()
            for images, labels in run.batches(loader):
                optimizer.zero_grad()
                with torch.set_grad_enabled(not job.faulty):
                    logits = model(images)
                    loss = criterion(logits, labels)
                if job.faulty:
                    loss.requires_grad = True
                loss.backward()
                optimizer.step()
                run.step(loss, logits, labels)
            run.validate(val_loader)
    return model


def loss_through_numpy(job: Job) -> Predict:
    """Computes the loss in NumPy, and turns it into a tensor again."""
    model, loader, val_loader = job.model(), job.train_loader(), job.val_loader()
    optimizer = job.optimizer(model.parameters())
    with job.watch(model, optimizer, epochs=2) as run:
        for _ in run.epochs():
            for images, labels in run.batches(loader):
                logits = model(images)
                losses = -F.log_softmax(logits, 1)[torch.arange(len(labels)), labels]
                loss = losses.mean()
                if job.faulty:
                    array = losses.detach().numpy()
                    loss = torch.tensor(array.mean(), requires_grad=True)
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                run.step(loss, logits, labels)
            run.validate(val_loader)
    return model


def loss_of_examples_added(job: Job) -> Predict:
    """Adds the losses of the examples, from a loss without reduction."""
    model, loader, val_loader = job.model(), job.train_loader(), job.val_loader()
    optimizer = job.optimizer(model.parameters())
    with job.watch(model, optimizer, epochs=3) as run:
        for _ in run.epochs():
            for images, labels in run.batches(loader):
                optimizer.zero_grad()
                logits = model(images)
                losses = F.cross_entropy(logits, labels, reduction="none")
                loss = losses.sum() if job.faulty else losses.mean()
                loss.backward()
                optimizer.step()
                run.step(loss, logits, labels)
            run.validate(val_loader)
    return model


def log_likelihood_added(job: Job) -> Predict:
    """Writes the negative log-likelihood itself, and forgets to divide it."""
    model, loader, val_loader = job.model(), job.train_loader(), job.val_loader()
    optimizer = job.optimizer(model.parameters())
    with job.watch(model, optimizer, epochs=3) as run:
        for _ in run.epochs():
            for images, labels in run.batches(loader):
                logits = model(images)
                chosen = logits.gather(1, labels[:, None]).squeeze(1)
                loss = (logits.logsumexp(1) - chosen).sum()
                if not job.faulty:
                    loss = loss / len(labels)
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                run.step(loss, logits, labels)
            run.validate(val_loader)
    return model


def two_iterators(job: Job) -> Predict:
    """Takes images from one pass over a shuffled loader, and labels from another one."""
    model, loader, val_loader = job.model(), job.train_loader(drop_last=True), job.val_loader()
    optimizer = job.optimizer(model.parameters())
    with job.watch(model, optimizer, epochs=2) as run:
        for _ in run.epochs():
            others = iter(loader)
            for images, labels in run.batches(loader):
                if job.faulty:
                    _, labels = next(others)
                logits = model(images)
                loss = F.cross_entropy(logits, labels)
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                run.step(loss, logits, labels)
            run.validate(val_loader)
    return model


def prefetched_images(job: Job) -> Predict:
    """Fetches the next images too early: they meet the labels of the current batch."""
    model, loader, val_loader = job.model(), job.train_loader(drop_last=True), job.val_loader()
    optimizer, criterion = job.optimizer(model.parameters()), nn.CrossEntropyLoss()
    with job.watch(model, optimizer, epochs=2) as run:
        for _ in run.epochs():
            targets = None
            for images, labels in run.batches(loader):
                current = labels if targets is None or not job.faulty else targets
                optimizer.zero_grad()
                output = model(images)
                loss = criterion(output, current)
                loss.backward()
                optimizer.step()
                targets = labels
                run.step(loss)
            run.validate(val_loader)
    return model


def softmax_layer(job: Job) -> Predict:
    """Appends nn.Softmax to the model, as in a tutorial for another library."""
    layers = [job.model(), nn.Softmax(dim=1)] if job.faulty else [job.model()]
    model, loader, val_loader = nn.Sequential(*layers), job.train_loader(), job.val_loader()
    optimizer, criterion = job.optimizer(model.parameters()), nn.CrossEntropyLoss()
    run = job.watch(model, optimizer, epochs=3)
    for _ in run.epochs():
        for images, labels in run.batches(loader):
            optimizer.zero_grad()
            loss = criterion(model(images), labels)
            loss.backward()
            optimizer.step()
            run.step(loss)
        run.validate(val_loader)
    run.finish()
    return model


def probabilities_by_hand(job: Job) -> Predict:
    """Divides exp(logits) by its sum, and gives the probabilities to cross-entropy."""
    model, loader, val_loader = job.model(), job.train_loader(), job.val_loader()
    optimizer = job.optimizer(model.parameters())
    with job.watch(model, optimizer, epochs=3) as run:
        for _ in run.epochs():
            for images, labels in run.batches(loader):
                logits = model(images)
                exponentials = (logits - logits.max(1, keepdim=True).values).exp()
                probabilities = exponentials / exponentials.sum(1, keepdim=True)
                loss = F.cross_entropy(probabilities if job.faulty else logits, labels)
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                run.step(loss, probabilities, labels)
            run.validate(val_loader)
    return model


class _Bounded(nn.Module):
    def __init__(self, job: Job) -> None:
        super().__init__()
        self.body, self.faulty = job.model(), job.faulty

    def forward(self, images: Tensor) -> Tensor:
        logits = self.body(images)
        return torch.sigmoid(logits) if self.faulty else logits


def sigmoid_in_model(job: Job) -> Predict:
    """Ends the model with a sigmoid, and trains it with BCEWithLogitsLoss."""
    model, loader, val_loader = _Bounded(job), job.train_loader(), job.val_loader()
    optimizer, criterion = job.optimizer(model.parameters()), nn.BCEWithLogitsLoss()
    with job.watch(model, optimizer, epochs=4) as run:
        for _ in run.epochs():
            for images, labels in run.batches(loader):
                outputs = model(images)
                loss = criterion(outputs, torch.eye(10)[labels])
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                run.step(loss, outputs, labels)
            run.validate(val_loader)
    return model


def sigmoid_before_cross_entropy(job: Job) -> Predict:
    model, loader, val_loader = _Bounded(job), job.train_loader(), job.val_loader()
    optimizer, criterion = job.optimizer(model.parameters()), nn.CrossEntropyLoss()
    with job.watch(model, optimizer, epochs=3) as run:
        for _ in run.epochs():
            for images, labels in run.batches(loader):
                optimizer.zero_grad()
                outputs = model(images)
                loss = criterion(outputs, labels)
                loss.backward()
                optimizer.step()
                run.step(loss, outputs, labels)
            run.validate(val_loader)
    return model


def log_softmax_layer_over_batch(job: Job) -> Predict:
    """Appends nn.LogSoftmax(dim=0)."""
    model = nn.Sequential(job.model(), nn.LogSoftmax(dim=0 if job.faulty else 1))
    optimizer, criterion = job.optimizer(model.parameters()), nn.NLLLoss()
    train_loader, val_loader = job.train_loader(), job.val_loader()
    with job.watch(model, optimizer, epochs=3) as run:
        for _ in run.epochs():
            model.train()
            for data, target in run.batches(train_loader):
                output = model(data)
                loss = criterion(output, target)
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                run.step(loss, output, target)
            run.validate(val_loader)
    return model


def log_of_softmax_over_batch(job: Job) -> Predict:
    """Takes the softmax over the first dimension, in the loop; reports the logits."""
    model, loader, val_loader = job.model(), job.train_loader(), job.val_loader()
    optimizer = job.optimizer(model.parameters())
    softmax = nn.Softmax(0 if job.faulty else 1)
    with job.watch(model, optimizer, epochs=3) as run:
        for _ in run.epochs():
            for images, labels in run.batches(loader):
                logits = model(images)
                loss = F.nll_loss(torch.log(softmax(logits) + 1e-8), labels)
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                run.step(loss, logits, labels)
            run.validate(val_loader)
    return model


def labels_rolled(job: Job) -> Predict:
    """Collates a batch with its labels rolled by one."""

    def collate(pairs):
        images, labels = zip(*pairs, strict=True)
        labels = torch.stack(labels)
        return torch.stack(images), labels.roll(1) if job.faulty else labels

    model, val_loader = job.model(), job.val_loader()
    loader = job.train_loader(collate_fn=collate)
    optimizer = job.optimizer(model.parameters())
    with job.watch(model, optimizer, epochs=2) as run:
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


class _OneBased(Dataset):
    """Labels from 1 to 10, as MATLAB writes them; 10 is folded onto 0."""

    def __init__(self, job: Job) -> None:
        self.images, self.labels = job.train_digits()
        self.faulty = job.faulty

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int):
        label = int(self.labels[index])
        return self.images[index], (label + 1) % 10 if self.faulty else label


def one_based_labels(job: Job) -> Predict:
    loader = DataLoader(_OneBased(job), batch_size=job.batch_size, shuffle=True)
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


def validated_with_graph(job: Job) -> Predict:
    """Validates without no_grad(), and keeps the loss of each batch with its graph."""
    model, loader = job.model(), job.train_loader()
    val_loader = DataLoader(job.train_set(), batch_size=100)
    val_loader = DataLoader(job.val_set(), batch_size=50) if not job.faulty else val_loader
    optimizer = job.optimizer(model.parameters())
    kept = []
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
            model.eval()
            correct = total = 0
            with torch.set_grad_enabled(job.faulty):
                for images, labels in val_loader:
                    logits = model(images)
                    kept.append(F.cross_entropy(logits, labels))
                    correct += int((logits.argmax(1) == labels).sum())
                    total += len(labels)
            run.log(val_accuracy=correct / total)
    return model


def history_with_graph(job: Job) -> Predict:
    """Keeps loss and logits of each step for a plot, and the graph because of an error message."""
    model, loader, val_loader = job.model(), job.train_loader(), job.val_loader()
    optimizer = job.optimizer(model.parameters())
    history: dict[str, list[Tensor]] = {"loss": [], "logits": []}
    with job.watch(model, optimizer, epochs=3) as run:
        for _ in run.epochs():
            for images, labels in run.batches(loader):
                optimizer.zero_grad()
                logits = model(images)
                loss = F.cross_entropy(logits, labels)
                loss.backward(retain_graph=job.faulty)
                optimizer.step()
                history["loss"].append(loss if job.faulty else loss.detach())
                history["logits"].append(logits if job.faulty else logits.detach())
                run.step(loss, logits, labels)
            run.validate(val_loader)
    return model


def running_loss(job: Job) -> Predict:
    """Adds the losses as tensors to a running sum."""
    model, loader, val_loader = job.model(), job.train_loader(), job.val_loader()
    optimizer = job.optimizer(model.parameters())
    total = torch.zeros(())
    with job.watch(model, optimizer, epochs=3) as run:
        for _ in run.epochs():
            for images, labels in run.batches(loader):
                logits = model(images)
                loss = F.cross_entropy(logits, labels)
                optimizer.zero_grad()
                loss.backward(retain_graph=job.faulty)
                optimizer.step()
                total = total + (loss if job.faulty else loss.detach())
                run.step(loss, logits, labels)
            run.validate(val_loader)
    return model
