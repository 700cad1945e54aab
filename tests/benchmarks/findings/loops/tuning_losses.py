"""User loops whose loss is faulty: the tuning half."""

# mypy: ignore-errors

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tests.benchmarks.findings.loops.job import Job, Predict


def loss_wrapped_again(job: Job) -> Predict:
    """Makes a new tensor of the loss because backward() complained."""
    model, loader, val_loader = job.model(), job.train_loader(), job.val_loader()
    optimizer = job.optimizer(model.parameters())
    with job.watch(model, optimizer, epochs=2) as run:
        for _ in run.epochs():
            for images, labels in run.batches(loader):
                logits = model(images)
                loss = F.cross_entropy(logits, labels)
                if job.faulty:
                    loss = torch.tensor(loss.item(), requires_grad=True)
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                run.step(loss, logits, labels)
            run.validate(val_loader)
    return model


def logits_detached(job: Job) -> Predict:
    """Detaches the logits to compute the accuracy, and computes the loss of the detached ones."""
    model, criterion = job.model(), nn.CrossEntropyLoss()
    optimizer = job.optimizer(model.parameters())
    loader, val_loader = job.train_loader(), job.val_loader()
    with job.watch(model, optimizer, epochs=2) as run:
        for _ in run.epochs():
            for images, labels in run.batches(loader):
                optimizer.zero_grad()
                outputs = model(images)
                predicted = outputs.detach()
                loss = criterion(predicted if job.faulty else outputs, labels)
                loss.requires_grad_()
                loss.backward()
                optimizer.step()
                run.step(loss, outputs, labels)
            run.validate(val_loader)
    return model


def loss_summed(job: Job) -> Predict:
    model, loader, val_loader = job.model(), job.train_loader(), job.val_loader()
    optimizer = job.optimizer(model.parameters())
    criterion = nn.CrossEntropyLoss(reduction="sum" if job.faulty else "mean")
    with job.watch(model, optimizer, epochs=3) as run:
        for _ in run.epochs():
            for images, labels in run.batches(loader):
                logits = model(images)
                loss = criterion(logits, labels)
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                run.step(loss, logits, labels)
            run.validate(val_loader)
    return model


def labels_of_last_batch(job: Job) -> Predict:
    """Keeps the labels in a buffer that the next batch fills too late."""
    model, loader, val_loader = job.model(), job.train_loader(), job.val_loader()
    optimizer = job.optimizer(model.parameters())
    last = None
    with job.watch(model, optimizer, epochs=2) as run:
        for _ in run.epochs():
            for images, labels in run.batches(loader):
                targets = labels
                if job.faulty and last is not None and len(last) == len(labels):
                    targets = last
                last = labels
                logits = model(images)
                loss = F.cross_entropy(logits, targets)
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                run.step(loss, logits, labels)
            run.validate(val_loader)
    return model


class _WithSoftmax(nn.Module):
    def __init__(self, inner: nn.Module, dim: int | None) -> None:
        super().__init__()
        self.inner, self.dim = inner, dim

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.inner(images)
        return logits if self.dim is None else torch.softmax(logits, self.dim)


def softmax_in_model(job: Job) -> Predict:
    model = _WithSoftmax(job.model(), 1 if job.faulty else None)
    optimizer = job.optimizer(model.parameters())
    loader, val_loader = job.train_loader(), job.val_loader()
    with job.watch(model, optimizer, epochs=3) as run:
        for _ in run.epochs():
            for images, labels in run.batches(loader):
                outputs = model(images)
                loss = F.cross_entropy(outputs, labels)
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                run.step(loss, outputs, labels)
            run.validate(val_loader)
    return model


def softmax_in_loop(job: Job) -> Predict:
    """Turns the logits into probabilities in the loop, before the loss; reports the logits."""
    model, criterion = job.model(), nn.CrossEntropyLoss()
    optimizer = job.optimizer(model.parameters())
    loader, val_loader = job.train_loader(), job.val_loader()
    with job.watch(model, optimizer, epochs=3) as run:
        for _ in run.epochs():
            for images, labels in run.batches(loader):
                logits = model(images)
                outputs = F.softmax(logits, dim=-1) if job.faulty else logits
                loss = criterion(outputs, labels)
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                run.step(loss, logits, labels)
            run.validate(val_loader)
    return model


def sigmoid_before_bce(job: Job) -> Predict:
    model, criterion = job.model(), nn.BCEWithLogitsLoss()
    optimizer = job.optimizer(model.parameters())
    loader, val_loader = job.train_loader(), job.val_loader()
    with job.watch(model, optimizer, epochs=3) as run:
        for _ in run.epochs():
            for images, labels in run.batches(loader):
                logits = model(images)
                outputs = torch.sigmoid(logits) if job.faulty else logits
                loss = criterion(outputs, F.one_hot(labels, 10).float())
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                run.step(loss, outputs, labels)
            run.validate(val_loader)
    return model


def log_softmax_over_batch(job: Job) -> Predict:
    model, criterion = job.model(), nn.NLLLoss()
    optimizer = job.optimizer(model.parameters())
    loader, val_loader = job.train_loader(), job.val_loader()
    with job.watch(model, optimizer, epochs=3) as run:
        for _ in run.epochs():
            for images, labels in run.batches(loader):
                output = F.log_softmax(model(images), dim=0 if job.faulty else 1)
                loss = criterion(output, labels)
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                run.step(loss, output, labels)
            run.validate(val_loader)
    return model


def softmax_over_batch_in_model(job: Job) -> Predict:
    """Ends the model with a log-softmax over the batch dimension."""

    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.net = job.model()

        def forward(self, images: Tensor) -> Tensor:
            return torch.log_softmax(self.net(images), 0 if job.faulty else 1)

    model = Net()
    optimizer = job.optimizer(model.parameters())
    loader, val_loader = job.train_loader(), job.val_loader()
    with job.watch(model, optimizer, epochs=3) as run:
        for _ in run.epochs():
            for images, labels in run.batches(loader):
                optimizer.zero_grad()
                output = model(images)
                loss = F.nll_loss(output, labels)
                loss.backward()
                optimizer.step()
                run.step(loss, output, labels)
            run.validate(val_loader)
    return model


def labels_shifted(job: Job) -> Predict:
    """Subtracts one from training labels that start at 0 already, but not from validation."""
    model, loader, val_loader = job.model(), job.train_loader(), job.val_loader()
    optimizer = job.optimizer(model.parameters())
    with job.watch(model, optimizer, epochs=2) as run:
        for _ in run.epochs():
            for images, labels in run.batches(loader):
                targets = (labels - 1) % 10 if job.faulty else labels
                logits = model(images)
                loss = F.cross_entropy(logits, targets)
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                run.step(loss, logits, targets)
            run.validate(val_loader)
    return model


def losses_in_a_list(job: Job) -> Predict:
    """Keeps each loss with its graph, to print the mean of the epoch."""
    model, loader, val_loader = job.model(), job.train_loader(), job.val_loader()
    optimizer = job.optimizer(model.parameters())
    with job.watch(model, optimizer, epochs=3) as run:
        losses: list[Tensor] = []
        for _ in run.epochs():
            for images, labels in run.batches(loader):
                logits = model(images)
                loss = F.cross_entropy(logits, labels)
                optimizer.zero_grad()
                loss.backward(retain_graph=job.faulty)
                optimizer.step()
                losses.append(loss if job.faulty else loss.detach())
                run.step(loss, logits, labels)
            run.validate(val_loader)
    return model
