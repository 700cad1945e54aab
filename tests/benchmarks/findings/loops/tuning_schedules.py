"""User loops whose schedule, learning rate, clipping or precision is faulty: the tuning half."""

# mypy: ignore-errors

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional as F
from torch.optim import lr_scheduler

from tests.benchmarks.findings.loops.job import Job, Predict


def scheduler_first(job: Job) -> Predict:
    """Steps the scheduler before the optimizer in each epoch."""
    model, loader, val_loader = job.model(), job.train_loader(), job.val_loader()
    optimizer = job.optimizer(model.parameters())
    scheduler = lr_scheduler.StepLR(optimizer, 1, gamma=0.5)
    with job.watch(model, optimizer, epochs=3, scheduler=scheduler) as run:
        for _ in run.epochs():
            if job.faulty:
                scheduler.step()
            for images, labels in run.batches(loader):
                logits = model(images)
                loss = F.cross_entropy(logits, labels)
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                run.step(loss, logits, labels)
            if not job.faulty:
                scheduler.step()
            run.validate(val_loader)
    return model


def step_lr_every_batch(job: Job) -> Predict:
    """Steps a StepLR for epochs in the loop over batches."""
    model, loader, val_loader = job.model(), job.train_loader(), job.val_loader()
    optimizer = job.optimizer(model.parameters())
    scheduler = lr_scheduler.StepLR(optimizer, step_size=2, gamma=0.5)
    with job.watch(model, optimizer, epochs=3, scheduler=scheduler) as run:
        for _ in run.epochs():
            for images, labels in run.batches(loader):
                logits = model(images)
                loss = F.cross_entropy(logits, labels)
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                if job.faulty:
                    scheduler.step()
                run.step(loss, logits, labels)
            if not job.faulty:
                scheduler.step()
            run.validate(val_loader)
    return model


def exponential_every_batch(job: Job) -> Predict:
    """The same with ExponentialLR, and without giving watch the scheduler."""
    model, criterion = job.model(), nn.CrossEntropyLoss()
    optimizer = job.optimizer(model.parameters())
    scheduler = lr_scheduler.ExponentialLR(optimizer, gamma=0.9)
    loader, val_loader = job.train_loader(), job.val_loader()
    with job.watch(model, optimizer, epochs=3) as run:
        for _ in run.epochs():
            model.train()
            for data, target in run.batches(loader):
                optimizer.zero_grad()
                output = model(data)
                loss = criterion(output, target)
                loss.backward()
                optimizer.step()
                run.step(loss, output, target)
                if job.faulty:
                    scheduler.step()
            if not job.faulty:
                scheduler.step()
            run.validate(val_loader)
    return model


def always_clipped(job: Job) -> Predict:
    model, loader, val_loader = job.model(), job.train_loader(), job.val_loader()
    optimizer = job.optimizer(model.parameters())
    max_norm = 0.005 if job.faulty else 5.0
    with job.watch(model, optimizer, epochs=3) as run:
        for _ in run.epochs():
            for images, labels in run.batches(loader):
                logits = model(images)
                loss = F.cross_entropy(logits, labels)
                optimizer.zero_grad()
                loss.backward()
                torch.nn.utils.clip_grad_norm_(model.parameters(), max_norm)
                optimizer.step()
                run.step(loss, logits, labels)
            run.validate(val_loader)
    return model


def doubles(job: Job) -> Predict:
    """Converts the model because images came as float64 from NumPy."""
    model, loader, val_loader = job.model(), job.train_loader(), job.val_loader()
    dtype = torch.float64 if job.faulty else torch.float32
    model.to(dtype)
    optimizer = job.optimizer(model.parameters())
    with job.watch(model, optimizer, epochs=2) as run:
        for _ in run.epochs():
            for images, labels in run.batches(loader):
                logits = model(images.to(dtype))
                loss = F.cross_entropy(logits, labels)
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                run.step(loss, logits, labels)
            run.validate([(images.to(dtype), labels) for images, labels in val_loader])
    return lambda images: model(images.to(dtype))


def lr_high(job: Job) -> Predict:
    """Uses the learning rate of SGD with Adam, or one a hundred times as high."""
    model, loader, val_loader = job.model(), job.train_loader(), job.val_loader()
    optimizer = job.optimizer(model.parameters(), job.lr * (100 if job.faulty else 1))
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


def lr_low(job: Job) -> Predict:
    model, loader, val_loader = job.model(), job.train_loader(), job.val_loader()
    optimizer = job.optimizer(model.parameters(), job.lr / (1_000 if job.faulty else 1))
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
