"""Healthy user loops: styles of updating."""

# mypy: ignore-errors

from __future__ import annotations

import copy

import torch
from torch import nn
from torch.nn import functional as F
from torch.optim import lr_scheduler
from torch.utils.checkpoint import checkpoint

from tests.benchmarks.findings.loops.job import Job, Predict


def plain(job: Job) -> Predict:
    model, loader, val_loader = job.model(), job.train_loader(), job.val_loader()
    optimizer = job.optimizer(model.parameters())
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


def accumulation(job: Job) -> Predict:
    """Accumulates four batches of 16, and divides the loss by four."""
    model, loader, val_loader = job.model(), job.train_loader(batch_size=16), job.val_loader()
    optimizer = job.optimizer(model.parameters())
    optimizer.zero_grad()
    with job.watch(model, optimizer, epochs=4) as run:
        for _ in run.epochs():
            for index, (images, labels) in enumerate(run.batches(loader)):
                logits = model(images)
                loss = F.cross_entropy(logits, labels) / 4
                loss.backward()
                if (index + 1) % 4 == 0 or index + 1 == len(loader):
                    optimizer.step()
                    optimizer.zero_grad()
                run.step(loss * 4, logits, labels)
            run.validate(val_loader)
    return model


def accumulation_one_step(job: Job) -> Predict:
    """Accumulates, and reports a step only for each update, without logits."""
    model, loader, val_loader = job.model(), job.train_loader(batch_size=32), job.val_loader()
    optimizer = job.optimizer(model.parameters())
    with job.watch(model, optimizer, epochs=4) as run:
        for _ in run.epochs():
            total = 0.0
            for index, (images, labels) in enumerate(run.batches(loader)):
                loss = F.cross_entropy(model(images), labels)
                (loss / 2).backward()
                total += loss.item() / 2
                if index % 2:
                    optimizer.step()
                    optimizer.zero_grad()
                    run.step(total)
                    total = 0.0
            run.validate(val_loader)
    return model


def autocast(job: Job) -> Predict:
    """Computes in bfloat16 with a GradScaler that is off on the CPU."""
    model, loader, val_loader = job.model(), job.train_loader(), job.val_loader()
    optimizer = job.optimizer(model.parameters())
    scaler = torch.amp.GradScaler("cpu", enabled=False)
    with job.watch(model, optimizer, epochs=3) as run:
        for _ in run.epochs():
            model.train()
            for images, labels in run.batches(loader):
                optimizer.zero_grad(set_to_none=True)
                with torch.autocast("cpu", dtype=torch.bfloat16):
                    logits = model(images)
                    loss = F.cross_entropy(logits, labels)
                scaler.scale(loss).backward()
                scaler.unscale_(optimizer)
                torch.nn.utils.clip_grad_norm_(model.parameters(), 5.0)
                scaler.step(optimizer)
                scaler.update()
                run.step(loss, logits, labels)
            run.validate(val_loader)
    return model


def scaled_gradients(job: Job) -> Predict:
    """Scales the loss by 1,024, and unscales the gradients, as a GradScaler does on a GPU."""
    model, loader, val_loader = job.model(), job.train_loader(), job.val_loader()
    optimizer = job.optimizer(model.parameters())
    with job.watch(model, optimizer, epochs=3) as run:
        for _ in run.epochs():
            for images, labels in run.batches(loader):
                optimizer.zero_grad()
                logits = model(images)
                loss = F.cross_entropy(logits, labels)
                (loss * 1_024).backward()
                for parameter in model.parameters():
                    parameter.grad.div_(1_024)
                optimizer.step()
                run.step(loss, logits, labels)
            run.validate(val_loader)
    return model


def clipped_sometimes(job: Job) -> Predict:
    model, loader, val_loader = job.model(), job.train_loader(), job.val_loader()
    optimizer = job.optimizer(model.parameters())
    with job.watch(model, optimizer, epochs=3) as run:
        for _ in run.epochs():
            for images, labels in run.batches(loader):
                logits = model(images)
                loss = F.cross_entropy(logits, labels)
                optimizer.zero_grad()
                loss.backward()
                nn.utils.clip_grad_norm_(model.parameters(), max_norm=2.0)
                optimizer.step()
                run.step(loss, logits, labels)
            run.validate(val_loader)
    return model


def clipped_by_value(job: Job) -> Predict:
    model, loader, val_loader = job.model(), job.train_loader(), job.val_loader()
    optimizer = job.optimizer(model.parameters())
    with job.watch(model, optimizer, epochs=3) as run:
        for _ in run.epochs():
            for images, labels in run.batches(loader):
                optimizer.zero_grad()
                logits = model(images)
                loss = F.cross_entropy(logits, labels)
                loss.backward()
                nn.utils.clip_grad_value_(model.parameters(), 0.5)
                optimizer.step()
                run.step(loss, logits, labels)
            run.validate(val_loader)
    return model


def averaged_weights(job: Job) -> Predict:
    """Keeps an exponential moving average of the weights, and validates it itself."""
    model, loader, val_loader = job.model(), job.train_loader(), job.val_loader()
    optimizer = job.optimizer(model.parameters())
    average = copy.deepcopy(model).requires_grad_(False)
    with job.watch(model, optimizer, epochs=4) as run:
        for _ in run.epochs():
            model.train()
            for images, labels in run.batches(loader):
                logits = model(images)
                loss = F.cross_entropy(logits, labels)
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                with torch.no_grad():
                    both = average.state_dict().values(), model.state_dict().values()
                    for mean, value in zip(*both, strict=True):
                        if mean.is_floating_point():
                            mean.lerp_(value, 0.05)
                run.step(loss, logits, labels)
            average.eval()
            correct = 0
            with torch.no_grad():
                for images, labels in val_loader:
                    correct += (average(images).argmax(1) == labels).sum().item()
            run.log(val_correct=correct, val_total=1_000)
    return average


def parameter_groups(job: Job) -> Predict:
    """Trains biases without weight decay, and the last layer with twice the learning rate."""
    model, loader, val_loader = job.model(), job.train_loader(), job.val_loader()
    parameters = list(model.parameters())
    head, body = parameters[-2:], parameters[:-2]
    groups = [
        {"params": [p for p in body if p.ndim > 1], "weight_decay": 1e-4},
        {"params": [p for p in body if p.ndim < 2], "weight_decay": 0.0},
        {"params": head, "lr": 2 * job.lr},
    ]
    optimizer = job.optimizer(groups)
    with job.watch(model, optimizer, epochs=3) as run:
        for _ in run.epochs():
            for images, labels in run.batches(loader):
                model.zero_grad()
                logits = model(images)
                loss = F.cross_entropy(logits, labels)
                loss.backward()
                optimizer.step()
                run.step(loss, logits, labels)
            run.validate(val_loader)
    return model


def two_optimizers(job: Job) -> Predict:
    """Trains the last layer with Adam, and the rest with another optimizer."""
    model, loader, val_loader = job.model(), job.train_loader(), job.val_loader()
    *body, weight, bias = model.parameters()
    first = job.optimizer(body)
    second = torch.optim.Adam([weight, bias], lr=1e-3)
    with job.watch(model, (first, second), epochs=3) as run:
        for _ in run.epochs():
            for images, labels in run.batches(loader):
                logits = model(images)
                loss = F.cross_entropy(logits, labels)
                first.zero_grad()
                second.zero_grad()
                loss.backward()
                first.step()
                second.step()
                run.step(loss, logits, labels)
            run.validate(val_loader)
    return model


def lbfgs(job: Job) -> Predict:
    """Minimizes with LBFGS, which calls a closure several times a step; large batches."""
    model = nn.Sequential(nn.Flatten(), nn.Linear(784, 32), nn.Tanh(), nn.Linear(32, 10))
    optimizer = torch.optim.LBFGS(model.parameters(), lr=0.3, max_iter=5, history_size=10)
    loader, val_loader = job.train_loader(batch_size=800), job.val_loader()
    with job.watch(model, optimizer, epochs=6) as run:
        for _ in run.epochs():
            for images, labels in run.batches(loader):

                def closure(x=images, y=labels):
                    optimizer.zero_grad()
                    loss = F.cross_entropy(model(x), y)
                    loss.backward()
                    return loss

                loss = optimizer.step(closure)
                run.step(loss)
            run.validate(val_loader)
    return model


def cleared_at_the_end(job: Job) -> Predict:
    model, loader, val_loader = job.model(), job.train_loader(), job.val_loader()
    optimizer = job.optimizer(model.parameters())
    with job.watch(model, optimizer, epochs=3) as run:
        for _ in run.epochs():
            for images, labels in run.batches(loader):
                logits = model(images)
                loss = F.cross_entropy(logits, labels)
                loss.backward()
                optimizer.step()
                run.step(loss, logits, labels)
                optimizer.zero_grad()
            run.validate(val_loader)
    return model


def cleared_to_zeros(job: Job) -> Predict:
    model, loader, val_loader = job.model(), job.train_loader(), job.val_loader()
    optimizer = job.optimizer(model.parameters())
    with job.watch(model, optimizer, epochs=3) as run:
        for _ in run.epochs():
            for images, labels in run.batches(loader):
                optimizer.zero_grad(set_to_none=False)
                logits = model(images)
                loss = F.cross_entropy(logits, labels)
                loss.backward()
                optimizer.step()
                run.step(loss, logits, labels)
            run.validate(val_loader)
    return model


def functional_gradients(job: Job) -> Predict:
    """Gets the gradients from torch.autograd.grad, and sets them by hand."""
    model, loader, val_loader = job.model(), job.train_loader(), job.val_loader()
    parameters = list(model.parameters())
    optimizer = job.optimizer(parameters)
    with job.watch(model, optimizer, epochs=3) as run:
        for _ in run.epochs():
            for images, labels in run.batches(loader):
                logits = model(images)
                loss = F.cross_entropy(logits, labels)
                gradients = torch.autograd.grad(loss, parameters)
                for parameter, gradient in zip(parameters, gradients, strict=True):
                    parameter.grad = gradient
                optimizer.step()
                run.step(loss, logits, labels)
            run.validate(val_loader)
    return model


def checkpointed(job: Job) -> Predict:
    """Computes the activations of a body again in backward()."""

    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.body = nn.Sequential(
                nn.Conv2d(1, 8, 3, 2, 1), nn.ReLU(), nn.Conv2d(8, 16, 3, 2, 1), nn.ReLU()
            )
            self.fc = nn.Linear(16 * 49, 10)

        def forward(self, images: torch.Tensor) -> torch.Tensor:
            features = checkpoint(self.body, images, use_reentrant=False)
            return self.fc(features.flatten(1))

    model, loader, val_loader = Net(), job.train_loader(), job.val_loader()
    optimizer = torch.optim.AdamW(model.parameters(), lr=2e-3)
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


def one_cycle(job: Job) -> Predict:
    """Steps OneCycleLR after each batch."""
    model, loader, val_loader = job.model(), job.train_loader(), job.val_loader()
    optimizer = job.optimizer(model.parameters())
    scheduler = lr_scheduler.OneCycleLR(
        optimizer, max_lr=2 * job.lr, epochs=4, steps_per_epoch=len(loader), cycle_momentum=False
    )
    with job.watch(model, optimizer, epochs=4, scheduler=scheduler) as run:
        for _ in run.epochs():
            for images, labels in run.batches(loader):
                logits = model(images)
                loss = F.cross_entropy(logits, labels)
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                scheduler.step()
                run.step(loss, logits, labels)
            run.validate(val_loader)
    return model


def step_lr(job: Job) -> Predict:
    model, loader, val_loader = job.model(), job.train_loader(), job.val_loader()
    optimizer = job.optimizer(model.parameters())
    scheduler = lr_scheduler.StepLR(optimizer, step_size=2, gamma=0.3)
    with job.watch(model, optimizer, epochs=4, scheduler=scheduler) as run:
        for _ in run.epochs():
            for images, labels in run.batches(loader):
                optimizer.zero_grad()
                logits = model(images)
                loss = F.cross_entropy(logits, labels)
                loss.backward()
                optimizer.step()
                run.step(loss, logits, labels)
            run.validate(val_loader)
            scheduler.step()
    return model


def on_plateau(job: Job) -> Predict:
    """Lowers the learning rate if the validation loss stops falling; uses no scheduler argument."""
    model, loader, val_loader = job.model(), job.train_loader(), job.val_loader()
    optimizer = job.optimizer(model.parameters())
    scheduler = lr_scheduler.ReduceLROnPlateau(optimizer, factor=0.5, patience=0)
    with job.watch(model, optimizer, epochs=5) as run:
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
            total, correct = 0.0, 0
            with torch.no_grad():
                for images, labels in val_loader:
                    logits = model(images)
                    total += F.cross_entropy(logits, labels, reduction="sum").item()
                    correct += int((logits.argmax(1) == labels).sum())
            scheduler.step(total / 1_000)
            run.log(val_loss=total / 1_000, val_accuracy=correct / 1_000)
    return model


def warmup(job: Job) -> Predict:
    """Raises the learning rate linearly over 50 steps, then lowers it linearly to 0."""
    model, loader, val_loader = job.model(), job.train_loader(), job.val_loader()
    optimizer = job.optimizer(model.parameters())
    total = 4 * len(loader)
    scheduler = lr_scheduler.LambdaLR(
        optimizer, lambda step: min((step + 1) / 50, (total - step) / (total - 50))
    )
    with job.watch(model, optimizer, epochs=4, scheduler=scheduler) as run:
        for _ in run.epochs():
            for images, labels in run.batches(loader):
                logits = model(images)
                loss = F.cross_entropy(logits, labels)
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                scheduler.step()
                run.step(loss, logits, labels)
            run.validate(val_loader)
    return model


def warm_restarts(job: Job) -> Predict:
    model, loader, val_loader = job.model(), job.train_loader(), job.val_loader()
    optimizer = job.optimizer(model.parameters())
    scheduler = lr_scheduler.CosineAnnealingWarmRestarts(optimizer, T_0=2 * len(loader))
    with job.watch(model, optimizer, epochs=4, scheduler=scheduler) as run:
        for _ in run.epochs():
            for images, labels in run.batches(loader):
                optimizer.zero_grad()
                logits = model(images)
                loss = F.cross_entropy(logits, labels)
                loss.backward()
                optimizer.step()
                scheduler.step()
                run.step(loss, logits, labels)
            run.validate(val_loader)
    return model


def cosine_per_epoch(job: Job) -> Predict:
    model, loader, val_loader = job.model(), job.train_loader(), job.val_loader()
    optimizer = job.optimizer(model.parameters())
    scheduler = lr_scheduler.CosineAnnealingLR(optimizer, T_max=4)
    with job.watch(model, optimizer, epochs=4, scheduler=scheduler) as run:
        for _ in run.epochs():
            for images, labels in run.batches(loader):
                logits = model(images)
                loss = F.cross_entropy(logits, labels)
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                run.step(loss, logits, labels)
            scheduler.step()
            run.validate(val_loader)
    return model


def lr_by_hand(job: Job) -> Predict:
    """Sets the learning rate of the groups itself after each epoch."""
    model, loader, val_loader = job.model(), job.train_loader(), job.val_loader()
    optimizer = job.optimizer(model.parameters())
    with job.watch(model, optimizer, epochs=4) as run:
        for epoch in run.epochs():
            for images, labels in run.batches(loader):
                logits = model(images)
                loss = F.cross_entropy(logits, labels)
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                run.step(loss, logits, labels)
            for group in optimizer.param_groups:
                group["lr"] = job.lr * 0.7**epoch
            run.validate(val_loader)
    return model
