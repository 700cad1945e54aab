"""User loops whose schedule, learning rate, clipping or precision is faulty: they judge alone."""

# mypy: ignore-errors

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional as F
from torch.optim import lr_scheduler

from tests.benchmarks.findings.loops.job import Job, Predict


def one_cycle_first(job: Job) -> Predict:
    """Steps OneCycleLR before the optimizer in each batch."""
    model, loader, val_loader = job.model(), job.train_loader(), job.val_loader()
    optimizer = job.optimizer(model.parameters())
    scheduler = lr_scheduler.OneCycleLR(
        optimizer, 2 * job.lr, total_steps=3 * len(loader) + 1, cycle_momentum=False
    )
    with job.watch(model, optimizer, epochs=3) as run:
        for _ in run.epochs():
            for images, labels in run.batches(loader):
                logits = model(images)
                loss = F.cross_entropy(logits, labels)
                optimizer.zero_grad()
                loss.backward()
                if job.faulty:
                    scheduler.step()
                optimizer.step()
                if not job.faulty:
                    scheduler.step()
                run.step(loss, logits, labels)
            run.validate(val_loader)
    return model


def multi_step_every_batch(job: Job) -> Predict:
    """Steps MultiStepLR, whose milestones are epochs, after each batch."""
    model, loader, val_loader = job.model(), job.train_loader(), job.val_loader()
    optimizer = job.optimizer(model.parameters())
    scheduler = lr_scheduler.MultiStepLR(optimizer, milestones=[2, 3], gamma=0.1)

    def train(run) -> None:
        for images, labels in run.batches(loader):
            logits = model(images)
            loss = F.cross_entropy(logits, labels)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            if job.faulty:
                scheduler.step()
            run.step(loss, logits, labels)

    with job.watch(model, optimizer, epochs=4, scheduler=scheduler) as run:
        for _ in run.epochs():
            train(run)
            if not job.faulty:
                scheduler.step()
            run.validate(val_loader)
    return model


def lambda_every_batch(job: Job) -> Predict:
    """Decays by a factor of 0.8 per epoch, but counts batches."""
    model, loader, val_loader = job.model(), job.train_loader(), job.val_loader()
    optimizer = job.optimizer(model.parameters())
    scheduler = lr_scheduler.LambdaLR(optimizer, lambda epoch: 0.8**epoch)
    with job.watch(model, [optimizer], epochs=3) as run:
        for _ in run.epochs():
            for images, labels in run.batches(loader):
                optimizer.zero_grad()
                logits = model(images)
                loss = F.cross_entropy(logits, labels)
                loss.backward()
                optimizer.step()
                if job.faulty:
                    scheduler.step()
                run.step(loss, logits, labels)
            if not job.faulty:
                scheduler.step()
            run.validate(val_loader)
    return model


def cosine_every_batch(job: Job) -> Predict:
    """Steps a cosine schedule over 3 epochs after each batch: it rises and falls all the time."""
    model, loader, val_loader = job.model(), job.train_loader(), job.val_loader()
    optimizer = job.optimizer(model.parameters())
    scheduler = lr_scheduler.CosineAnnealingLR(optimizer, T_max=3)
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


def clipped_by_small_value(job: Job) -> Predict:
    model, loader, val_loader = job.model(), job.train_loader(), job.val_loader()
    optimizer = job.optimizer(model.parameters())
    with job.watch(model, optimizer, epochs=3) as run:
        for _ in run.epochs():
            for images, labels in run.batches(loader):
                optimizer.zero_grad()
                logits = model(images)
                loss = F.cross_entropy(logits, labels)
                loss.backward()
                nn.utils.clip_grad_value_(model.parameters(), 1e-5 if job.faulty else 1.0)
                optimizer.step()
                run.step(loss, logits, labels)
            run.validate(val_loader)
    return model


def clipped_by_hand(job: Job) -> Predict:
    """Scales the gradients itself; the limit is that of another project."""
    model, loader, val_loader = job.model(), job.train_loader(), job.val_loader()
    optimizer = job.optimizer(model.parameters())
    limit = 0.002 if job.faulty else 10.0
    with job.watch(model, optimizer, epochs=3) as run:
        for _ in run.epochs():
            for images, labels in run.batches(loader):
                logits = model(images)
                loss = F.cross_entropy(logits, labels)
                optimizer.zero_grad()
                loss.backward()
                gradients = [parameter.grad for parameter in model.parameters()]
                norm = torch.stack([gradient.norm() for gradient in gradients]).norm()
                if norm > limit:
                    for gradient in gradients:
                        gradient.mul_(limit / norm)
                optimizer.step()
                run.step(loss, logits, labels)
            run.validate(val_loader)
    return model


def double_by_default(job: Job) -> Predict:
    """Sets float64 as the default type of the program, and loads its images as float64."""
    dtype = torch.float64 if job.faulty else torch.float32
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        model = job.model()
    finally:
        torch.set_default_dtype(before)
    images, labels = job.train_digits()
    val_images, val_labels = job.val_digits()
    train_set = torch.utils.data.TensorDataset(images.to(dtype), labels)
    val_set = torch.utils.data.TensorDataset(val_images.to(dtype), val_labels)
    loader = torch.utils.data.DataLoader(train_set, job.batch_size, shuffle=True)
    val_loader = torch.utils.data.DataLoader(val_set, 250)
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
    return lambda x: model(x.to(dtype))


_COPIED = {"sgd": 8.0, "momentum": 2.0, "adam": 0.1, "adamw": 0.2, "rmsprop": 0.1}


def lr_of_another_optimizer(job: Job) -> Predict:
    """Keeps a learning rate from a script with another optimizer."""
    model, loader, val_loader = job.model(), job.train_loader(), job.val_loader()
    lr = _COPIED[job.optimizer_name] if job.faulty else job.lr
    optimizer = job.optimizer(model.parameters(), lr)
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


def typo_in_the_exponent(job: Job) -> Predict:
    """Writes 1e-6 where 1e-3 was meant, for a batch size of 128."""
    model = job.model()
    loader, val_loader = job.train_loader(batch_size=128), job.val_loader()
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-6 if job.faulty else 4e-3)
    with job.watch(model, optimizer, epochs=4) as run:
        for _ in run.epochs():
            model.train()
            for images, labels in run.batches(loader):
                logits = model(images)
                loss = F.cross_entropy(logits, labels)
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                run.step(loss, logits, labels)
            run.validate(val_loader)
    return model
