"""User loops whose gradients or updates are faulty: the ways that judge alone."""

# mypy: ignore-errors

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tests.benchmarks.findings.loops.job import Job, Predict


def zero_grad_without_call(job: Job) -> Predict:
    """Names optimizer.zero_grad, and forgets its parentheses."""
    net = job.model()
    criterion, opt = nn.CrossEntropyLoss(), job.optimizer(net.parameters())
    train_dl, val_dl = job.train_loader(), job.val_loader()
    with job.watch(net, opt, epochs=3) as run:
        for _ in run.epochs():
            net.train()
            for xb, yb in run.batches(train_dl):
                clear = opt.zero_grad
                if not job.faulty:
                    clear()
                pred = net(xb)
                loss = criterion(pred, yb)
                loss.backward()
                opt.step()
                run.step(loss, pred, yb)
            run.validate(val_dl)
    return net


def cleared_on_another_model(job: Job) -> Predict:
    """Clears the gradients of the copy that it keeps for the best weights."""
    model, loader, val_loader = job.model(), job.train_loader(), job.val_loader()
    best = copy.deepcopy(model)
    optimizer = job.optimizer(model.parameters())
    run = job.watch(model, optimizer, epochs=3)
    for _ in range(3):
        run.begin_epoch()
        model.train()
        for batch in loader:
            run.begin_batch(batch)
            images, labels = batch
            (best if job.faulty else model).zero_grad()
            logits = model(images)
            loss = F.cross_entropy(logits, labels)
            loss.backward()
            optimizer.step()
            run.step(loss, logits, labels)
        model.eval()
        with torch.no_grad():
            correct = sum(int((model(x).argmax(1) == y).sum()) for x, y in val_loader)
        run.end_epoch(val_accuracy=correct / 1_000)
    run.finish()
    return model


def cleared_after_logging_the_norm(job: Job) -> Predict:
    """Logs the norm of the gradients, and clears them right after that."""
    model, loader, val_loader = job.model(), job.train_loader(), job.val_loader()
    optimizer = job.optimizer(model.parameters())
    norms = []
    with job.watch(model, optimizer, epochs=3) as run:
        for _ in run.epochs():
            for images, labels in run.batches(loader):
                logits = model(images)
                loss = F.cross_entropy(logits, labels)
                loss.backward()
                norms.append(sum(p.grad.norm().item() for p in model.parameters()))
                if job.faulty:
                    model.zero_grad(set_to_none=False)
                optimizer.step()
                optimizer.zero_grad()
                run.step(loss, logits, labels)
            run.validate(val_loader)
    return model


def cleared_by_the_step(job: Job) -> Predict:
    """A function for the update that clears first and then steps."""

    def update(optimizer: torch.optim.Optimizer) -> None:
        if job.faulty:
            optimizer.zero_grad()
            optimizer.step()
        else:
            optimizer.step()
            optimizer.zero_grad()

    model, loader, val_loader = job.model(), job.train_loader(), job.val_loader()
    optimizer = job.optimizer(model.parameters())
    with job.watch(model, optimizer, epochs=3) as run:
        for _ in run.epochs():
            for images, labels in run.batches(loader):
                output = model(images)
                loss = F.cross_entropy(output, labels)
                loss.backward()
                update(optimizer)
                run.step(loss, output, labels)
            run.validate(val_loader)
    return model


def scaler_stepped_first(job: Job) -> Predict:
    """Copies the lines of mixed precision in the wrong order."""
    model, loader, val_loader = job.model(), job.train_loader(), job.val_loader()
    optimizer = job.optimizer(model.parameters())
    scaler = torch.amp.GradScaler("cpu", enabled=False)
    with job.watch(model, optimizer, epochs=3) as run:
        for _ in run.epochs():
            for images, labels in run.batches(loader):
                optimizer.zero_grad()
                with torch.autocast("cpu", dtype=torch.bfloat16):
                    logits = model(images)
                    loss = F.cross_entropy(logits, labels)
                if job.faulty:
                    scaler.step(optimizer)
                    scaler.update()
                    scaler.scale(loss).backward()
                else:
                    scaler.scale(loss).backward()
                    scaler.step(optimizer)
                    scaler.update()
                run.step(loss, logits, labels)
            run.validate(val_loader)
    return model


def stepped_first_in_a_function(job: Job) -> Predict:
    """A train_step() that clears and steps at its beginning, before forward and backward."""
    model, loader, val_loader = job.model(), job.train_loader(), job.val_loader()
    optimizer, criterion = job.optimizer(model.parameters()), nn.CrossEntropyLoss()

    def train_step(images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        optimizer.zero_grad(set_to_none=not job.faulty)
        if job.faulty:
            optimizer.step()
        logits = model(images)
        loss = criterion(logits, labels)
        loss.backward()
        if not job.faulty:
            optimizer.step()
        return loss, logits

    with job.watch(model, optimizer, epochs=3) as run:
        for _ in run.epochs():
            model.train()
            for images, labels in run.batches(loader):
                loss, logits = train_step(images, labels)
                run.step(loss, logits, labels)
            run.validate(val_loader)
    return model


def copied_for_training(job: Job) -> Predict:
    """Trains a deep copy, to keep the initial model; the optimizer has the original."""
    initial = job.model()
    model = initial if not job.faulty else copy.deepcopy(initial)
    optimizer = job.optimizer(initial.parameters())
    loader, val_loader = job.train_loader(), job.val_loader()
    with job.watch(model, optimizer, epochs=3) as run:
        for _ in run.epochs():
            model.train()
            for images, labels in run.batches(loader):
                optimizer.zero_grad(set_to_none=True)
                logits = model(images)
                loss = F.cross_entropy(logits, labels)
                loss.backward()
                optimizer.step()
                run.step(loss, logits, labels)
            run.validate(val_loader)
    return model


def second_fold(job: Job) -> Predict:
    """Cross-validates with a new model for each fold, and one optimizer for all of them."""
    loader, val_loader = job.train_loader(), job.val_loader()
    first = job.model()
    optimizer = job.optimizer(first.parameters())
    for images, labels in loader:
        optimizer.zero_grad()
        F.cross_entropy(first(images), labels).backward()
        optimizer.step()
    model = job.model()
    if not job.faulty:
        optimizer = job.optimizer(model.parameters())
    run = job.watch(model, optimizer, epochs=2)
    for _ in run.epochs():
        for images, labels in run.batches(loader):
            logits = model(images)
            loss = F.cross_entropy(logits, labels)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            run.step(loss, logits, labels)
        run.validate(val_loader)
    run.finish()
    return model


def initialized_after_optimizer(job: Job) -> Predict:
    """Sets new nn.Parameter objects as initial weights, after the optimizer was made."""

    def initialize(module: nn.Module) -> None:
        if isinstance(module, nn.Linear | nn.Conv2d):
            weight = nn.init.kaiming_uniform_(torch.empty_like(module.weight), a=5**0.5)
            module.weight = nn.Parameter(weight)

    model = job.model()
    if not job.faulty:
        model.apply(initialize)
    optimizer = job.optimizer(model.parameters())
    if job.faulty:
        model.apply(initialize)
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


def teacher_cleared(job: Job) -> Predict:
    """Has two models and two optimizers, and clears those of the finished one."""
    teacher, model = nn.Sequential(nn.Flatten(), nn.Linear(784, 10)), job.model()
    teacher_optimizer = torch.optim.SGD(teacher.parameters(), lr=0.05)
    optimizer = job.optimizer(model.parameters())
    loader, val_loader = job.train_loader(), job.val_loader()
    for images, labels in loader:
        teacher_optimizer.zero_grad()
        F.cross_entropy(teacher(images), labels).backward()
        teacher_optimizer.step()
    with job.watch(model, optimizer, epochs=3) as run:
        for _ in run.epochs():
            for images, labels in run.batches(loader):
                (teacher_optimizer if job.faulty else optimizer).zero_grad()
                logits = model(images)
                loss = F.cross_entropy(logits, labels)
                loss.backward()
                optimizer.step()
                run.step(loss, logits, labels)
            run.validate(val_loader)
    return model


class _Features(nn.Module):
    """Detaches its features to plot them, and classifies the detached ones."""

    def __init__(self, job: Job) -> None:
        super().__init__()
        self.faulty = job.faulty
        self.conv1 = nn.Conv2d(1, 8, 5, 2)
        self.bn1 = nn.BatchNorm2d(8)
        self.conv2 = nn.Conv2d(8, 16, 5, 2)
        self.fc = nn.Linear(256, 10)
        self.shown = torch.empty(0)

    def forward(self, images: Tensor) -> Tensor:
        x = F.relu(self.bn1(self.conv1(images)))
        x = F.relu(self.conv2(x)).flatten(1)
        self.shown = x.detach()
        return self.fc(self.shown if self.faulty else x)


def features_detached(job: Job) -> Predict:
    model, loader, val_loader = _Features(job), job.train_loader(), job.val_loader()
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


def frozen_for_the_first_epoch(job: Job) -> Predict:
    """Freezes all but the head for a warm-up, and never thaws it."""
    model, loader, val_loader = job.model(), job.train_loader(), job.val_loader()
    head = [module for module in model.modules() if isinstance(module, nn.Linear)][-1]
    optimizer = job.optimizer(model.parameters())
    if job.faulty:
        model.requires_grad_(False)
        head.requires_grad_(True)
    with job.watch(model, optimizer, epochs=4) as run:
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


def negative_loss(job: Job) -> Predict:
    """Calls the loss a reward, and minimizes its negative."""
    model, loader, val_loader = job.model(), job.train_loader(), job.val_loader()
    optimizer, criterion = job.optimizer(model.parameters()), nn.CrossEntropyLoss()
    with job.watch(model, optimizer, epochs=2) as run:
        for _ in run.epochs():
            for images, labels in run.batches(loader):
                optimizer.zero_grad()
                logits = model(images)
                reward = criterion(logits, labels)
                (-reward if job.faulty else reward).backward()
                optimizer.step()
                run.step(reward, logits, labels)
            run.validate(val_loader)
    return model


def maximizing_optimizer(job: Job) -> Predict:
    """Sets maximize=True in the groups of the optimizer."""
    model, loader, val_loader = job.model(), job.train_loader(), job.val_loader()
    optimizer = job.optimizer(model.parameters())
    for group in optimizer.param_groups:
        group["maximize"] = job.faulty
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


def gradients_added(job: Job) -> Predict:
    """Adds the gradients of the parts of a large batch, and reports one step for all of them."""
    model, parts = job.model(), 16
    loader, val_loader = job.train_loader(batch_size=128), job.val_loader()
    optimizer = job.optimizer(model.parameters(), 3 * job.lr)
    with job.watch(model, optimizer, epochs=5) as run:
        for _ in run.epochs():
            for images, labels in run.batches(loader):
                optimizer.zero_grad()
                total = 0.0
                for x, y in zip(images.chunk(parts), labels.chunk(parts), strict=True):
                    loss = F.cross_entropy(model(x), y)
                    if not job.faulty:
                        loss = loss / parts
                    loss.backward()
                    total += loss.item()
                optimizer.step()
                run.step(total / parts if job.faulty else total)
            run.validate(val_loader)
    return model
