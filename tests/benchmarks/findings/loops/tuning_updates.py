"""User loops whose gradients or updates are faulty: the tuning half."""

# mypy: ignore-errors

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional as F

from tests.benchmarks.findings.loops.job import Job, Predict


def never_cleared(job: Job) -> Predict:
    model, loader, val_loader = job.model(), job.train_loader(), job.val_loader()
    optimizer = job.optimizer(model.parameters())
    with job.watch(model, optimizer, epochs=3) as run:
        for _ in run.epochs():
            for images, labels in run.batches(loader):
                if not job.faulty:
                    optimizer.zero_grad()
                logits = model(images)
                loss = F.cross_entropy(logits, labels)
                loss.backward()
                optimizer.step()
                run.step(loss, logits, labels)
            run.validate(val_loader)
    return model


def cleared_once_per_epoch(job: Job) -> Predict:
    model, criterion = job.model(), nn.CrossEntropyLoss()
    optimizer = job.optimizer(model.parameters())
    train_loader, val_loader = job.train_loader(), job.val_loader()
    run = job.watch(model, optimizer, epochs=3)
    for _ in run.epochs():
        optimizer.zero_grad()
        model.train()
        for inputs, targets in run.batches(train_loader):
            outputs = model(inputs)
            loss = criterion(outputs, targets)
            loss.backward()
            optimizer.step()
            if not job.faulty:
                optimizer.zero_grad()
            run.step(loss, outputs, targets)
        run.validate(val_loader)
    run.finish()
    return model


def cleared_after_backward(job: Job) -> Predict:
    model, loader, val_loader = job.model(), job.train_loader(), job.val_loader()
    optimizer = job.optimizer(model.parameters())
    with job.watch(model, optimizer, epochs=3) as run:
        for _ in run.epochs():
            for x, y in run.batches(loader):
                logits = model(x)
                loss = F.cross_entropy(logits, y)
                if job.faulty:
                    loss.backward()
                    optimizer.zero_grad()
                else:
                    optimizer.zero_grad()
                    loss.backward()
                optimizer.step()
                run.step(loss, logits, y)
            run.validate(val_loader)
    return model


def stepped_before_backward(job: Job) -> Predict:
    """Clears, steps, and only then computes the gradients."""
    model, loader, val_loader = job.model(), job.train_loader(), job.val_loader()
    optimizer = job.optimizer(model.parameters())
    with job.watch(model, optimizer, epochs=3) as run:
        for _ in run.epochs():
            for images, labels in run.batches(loader):
                optimizer.zero_grad()
                logits = model(images)
                loss = F.cross_entropy(logits, labels)
                if job.faulty:
                    optimizer.step()
                    loss.backward()
                else:
                    loss.backward()
                    optimizer.step()
                run.step(loss, logits, labels)
            run.validate(val_loader)
    return model


def rebuilt_for_training(job: Job) -> Predict:
    """Makes the optimizer, then builds the model again to start from fresh weights."""
    net = job.model()
    optimizer = job.optimizer(net.parameters())
    if job.faulty:
        torch.manual_seed(job.seed)
        net = job.model()
    loader, val_loader = job.train_loader(), job.val_loader()
    with job.watch(net, optimizer, epochs=3) as run:
        for _ in run.epochs():
            for images, labels in run.batches(loader):
                optimizer.zero_grad()
                logits = net(images)
                loss = F.cross_entropy(logits, labels)
                loss.backward()
                optimizer.step()
                run.step(loss, logits, labels)
            run.validate(val_loader)
    return net


def head_replaced(job: Job) -> Predict:
    """Replaces the last layer after the optimizer was made."""
    model = job.model()
    if not job.faulty:
        _new_head(model)
    optimizer = job.optimizer(model.parameters())
    if job.faulty:
        _new_head(model)
    loader, val_loader = job.train_loader(), job.val_loader()
    with job.watch(model, optimizer, epochs=2) as run:
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


def _new_head(model: nn.Module) -> None:
    name, old = [(n, m) for n, m in model.named_modules() if isinstance(m, nn.Linear)][-1]
    parent, _, child = name.rpartition(".")
    setattr(model.get_submodule(parent), child, nn.Linear(old.in_features, 10))


def other_optimizer_cleared(job: Job) -> Predict:
    """Clears the gradients of the wrong one of two optimizers."""
    model = job.model()
    parameters = list(model.parameters())
    body, head = parameters[:-2], parameters[-2:]
    body_optimizer, head_optimizer = job.optimizer(body), job.optimizer(head)
    loader, val_loader = job.train_loader(), job.val_loader()
    with job.watch(model, [body_optimizer, head_optimizer], epochs=3) as run:
        for _ in run.epochs():
            for images, labels in run.batches(loader):
                head_optimizer.zero_grad()
                (head_optimizer if job.faulty else body_optimizer).zero_grad()
                logits = model(images)
                loss = F.cross_entropy(logits, labels)
                loss.backward()
                body_optimizer.step()
                head_optimizer.step()
                run.step(loss, logits, labels)
            run.validate(val_loader)
    return model


def body_frozen(job: Job) -> Predict:
    """Keeps requires_grad = False from an earlier experiment: only the last layer learns."""
    model = job.model()
    if job.faulty:
        for parameter in list(model.parameters())[:-2]:
            parameter.requires_grad = False
    optimizer = job.optimizer(p for p in model.parameters() if p.requires_grad)
    loader, val_loader = job.train_loader(), job.val_loader()
    with job.watch(model, optimizer, epochs=3) as run:
        for _ in run.epochs():
            model.train()
            for images, labels in run.batches(loader):
                optimizer.zero_grad()
                logits = model(images)
                loss = F.cross_entropy(logits, labels)
                loss.backward()
                optimizer.step()
                run.step(loss, logits, labels)
            run.validate(val_loader)
    return model


class _Split(nn.Module):
    """A frozen feature extractor, and a classifier on its features."""

    def __init__(self, job: Job) -> None:
        super().__init__()
        self.faulty = job.faulty
        self.backbone = nn.Sequential(
            nn.Conv2d(1, 8, 3, 2, 1), nn.ReLU(), nn.Conv2d(8, 16, 3, 2, 1), nn.ReLU()
        )
        self.classifier = nn.Sequential(
            nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Dropout(0.1), nn.Linear(64, 10)
        )

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        with torch.set_grad_enabled(torch.is_grad_enabled() and not self.faulty):
            features = self.backbone(images)
        return self.classifier(features)


def backbone_without_grad(job: Job) -> Predict:
    model = _Split(job)
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


def maximized(job: Job) -> Predict:
    """Minimizes the mean log-likelihood, not its negative."""
    model = job.model()
    optimizer = job.optimizer(model.parameters())
    loader, val_loader = job.train_loader(), job.val_loader()
    with job.watch(model, optimizer, epochs=2) as run:
        for _ in run.epochs():
            for images, labels in run.batches(loader):
                log_probabilities = F.log_softmax(model(images), dim=1)
                loss = log_probabilities[torch.arange(len(labels)), labels].mean()
                if not job.faulty:
                    loss = -loss
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                run.step(loss, log_probabilities, labels)
            run.validate(val_loader)
    return model


def undivided_accumulation(job: Job) -> Predict:
    """Adds the gradients of eight batches without dividing the loss by eight."""
    model, batches = job.model(), 8
    optimizer = job.optimizer(model.parameters(), 2 * job.lr)
    loader, val_loader = job.train_loader(batch_size=16), job.val_loader()
    with job.watch(model, optimizer, epochs=3) as run:
        for _ in run.epochs():
            for index, (images, labels) in enumerate(run.batches(loader)):
                logits = model(images)
                loss = F.cross_entropy(logits, labels)
                (loss if job.faulty else loss / batches).backward()
                if (index + 1) % batches == 0:
                    optimizer.step()
                    optimizer.zero_grad()
                run.step(loss, logits, labels)
            run.validate(val_loader)
    return model
