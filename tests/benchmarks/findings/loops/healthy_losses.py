"""Healthy user loops: styles of losses and models."""

# mypy: ignore-errors

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tests.benchmarks.findings.loops.job import Job, Predict


def nll_of_log_softmax(job: Job) -> Predict:
    model, loader, val_loader = job.model(), job.train_loader(), job.val_loader()
    optimizer, criterion = job.optimizer(model.parameters()), nn.NLLLoss()
    with job.watch(model, optimizer, epochs=3) as run:
        for _ in run.epochs():
            for images, labels in run.batches(loader):
                optimizer.zero_grad()
                output = F.log_softmax(model(images), dim=1)
                loss = criterion(output, labels)
                loss.backward()
                optimizer.step()
                run.step(loss, output, labels)
            run.validate(val_loader)
    return model


def log_softmax_in_model(job: Job) -> Predict:
    """Ends the model with a log-softmax, as PyTorch's MNIST example does."""
    model = nn.Sequential(job.model(), nn.LogSoftmax(dim=1))
    loader, val_loader = job.train_loader(), job.val_loader()
    optimizer = job.optimizer(model.parameters())
    with job.watch(model, optimizer, epochs=3) as run:
        for _ in run.epochs():
            model.train()
            for data, target in run.batches(loader):
                optimizer.zero_grad()
                output = model(data)
                loss = F.nll_loss(output, target)
                loss.backward()
                optimizer.step()
                run.step(loss, output, target)
            run.validate(val_loader)
    return model


def log_softmax_twice(job: Job) -> Predict:
    """Gives log-probabilities to cross-entropy: a second log-softmax changes nothing."""
    model = nn.Sequential(job.model(), nn.LogSoftmax(dim=-1))
    loader, val_loader = job.train_loader(), job.val_loader()
    optimizer, criterion = job.optimizer(model.parameters()), nn.CrossEntropyLoss()
    with job.watch(model, optimizer, epochs=3) as run:
        for _ in run.epochs():
            for images, labels in run.batches(loader):
                output = model(images)
                loss = criterion(output, labels)
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                run.step(loss, output, labels)
            run.validate(val_loader)
    return model


def nll_of_log(job: Job) -> Predict:
    """Ends the model with a softmax, and takes the logarithm in the loss."""
    model = nn.Sequential(job.model(), nn.Softmax(dim=1))
    loader, val_loader = job.train_loader(), job.val_loader()
    optimizer = job.optimizer(model.parameters())
    with job.watch(model, optimizer, epochs=3) as run:
        for _ in run.epochs():
            for images, labels in run.batches(loader):
                probabilities = model(images)
                loss = F.nll_loss(torch.log(probabilities + 1e-9), labels)
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                run.step(loss, probabilities, labels)
            run.validate(val_loader)
    return model


def bce_of_one_hot(job: Job) -> Predict:
    model, loader, val_loader = job.model(), job.train_loader(), job.val_loader()
    optimizer, criterion = job.optimizer(model.parameters()), nn.BCEWithLogitsLoss()
    with job.watch(model, optimizer, epochs=4) as run:
        for _ in run.epochs():
            for images, labels in run.batches(loader):
                logits = model(images)
                loss = 10 * criterion(logits, F.one_hot(labels, 10).float())
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                run.step(loss, logits, labels)
            run.validate(val_loader)
    return model


def mse_of_one_hot(job: Job) -> Predict:
    model, loader, val_loader = job.model(), job.train_loader(), job.val_loader()
    optimizer = torch.optim.Adam(model.parameters(), lr=2e-3)
    with job.watch(model, optimizer, epochs=4) as run:
        for _ in run.epochs():
            for images, labels in run.batches(loader):
                outputs = model(images)
                loss = F.mse_loss(outputs, F.one_hot(labels, 10).float())
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                run.step(loss, outputs, labels)
            run.validate(val_loader)
    return model


def summed_on_purpose(job: Job) -> Predict:
    """Sums the loss, and divides the learning rate by the batch size."""
    model, loader, val_loader = job.model(), job.train_loader(), job.val_loader()
    is_scaled = job.optimizer_name in ("sgd", "momentum")
    lr = job.lr / job.batch_size if is_scaled else job.lr
    optimizer = job.optimizer(model.parameters(), lr)
    with job.watch(model, optimizer, epochs=3) as run:
        for _ in run.epochs():
            for images, labels in run.batches(loader):
                logits = model(images)
                loss = F.cross_entropy(logits, labels, reduction="sum")
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                run.step(loss, logits, labels)
            run.validate(val_loader)
    return model


def divided_by_hand(job: Job) -> Predict:
    """Sums the loss, and divides it by the batch size itself."""
    model, loader, val_loader = job.model(), job.train_loader(), job.val_loader()
    optimizer = job.optimizer(model.parameters())
    criterion = nn.CrossEntropyLoss(reduction="none")
    with job.watch(model, optimizer, epochs=3) as run:
        for _ in run.epochs():
            for images, labels in run.batches(loader):
                optimizer.zero_grad()
                logits = model(images)
                losses = criterion(logits, labels)
                loss = losses.sum() / len(images)
                loss.backward()
                optimizer.step()
                run.step(loss, logits, labels)
            run.validate(val_loader)
    return model


def label_smoothing(job: Job) -> Predict:
    model, loader, val_loader = job.model(), job.train_loader(), job.val_loader()
    optimizer = job.optimizer(model.parameters())
    criterion = nn.CrossEntropyLoss(label_smoothing=0.1)
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


def class_weights(job: Job) -> Predict:
    """Weights the classes by their inverse frequency, up to a factor of two."""
    model, loader, val_loader = job.model(), job.train_loader(), job.val_loader()
    optimizer = job.optimizer(model.parameters())
    counts = torch.bincount(job.train_digits()[1], minlength=10).float()
    weight = (counts.mean() / counts).clamp(0.5, 2.0)
    weight[3] = 2.0
    with job.watch(model, optimizer, epochs=3) as run:
        for _ in run.epochs():
            for images, labels in run.batches(loader):
                logits = model(images)
                loss = F.cross_entropy(logits, labels, weight=weight)
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                run.step(loss, logits, labels)
            run.validate(val_loader)
    return model


def focal_loss(job: Job) -> Predict:
    model, loader, val_loader = job.model(), job.train_loader(), job.val_loader()
    optimizer = job.optimizer(model.parameters())
    with job.watch(model, optimizer, epochs=4) as run:
        for _ in run.epochs():
            for images, labels in run.batches(loader):
                logits = model(images)
                losses = F.cross_entropy(logits, labels, reduction="none")
                loss = ((1 - torch.exp(-losses)) ** 2 * losses).mean()
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                run.step(loss, logits, labels)
            run.validate(val_loader)
    return model


def margin_loss(job: Job) -> Predict:
    """Trains with the multi-class hinge loss."""
    model, loader, val_loader = job.model(), job.train_loader(), job.val_loader()
    optimizer, criterion = job.optimizer(model.parameters()), nn.MultiMarginLoss()
    with job.watch(model, optimizer, epochs=4) as run:
        for _ in run.epochs():
            for images, labels in run.batches(loader):
                optimizer.zero_grad()
                logits = model(images)
                loss = criterion(logits, labels)
                loss.backward()
                optimizer.step()
                run.step(loss, logits, labels)
            run.validate(val_loader)
    return model


def l1_penalty(job: Job) -> Predict:
    model, loader, val_loader = job.model(), job.train_loader(), job.val_loader()
    optimizer = job.optimizer(model.parameters())
    with job.watch(model, optimizer, epochs=3) as run:
        for _ in run.epochs():
            for images, labels in run.batches(loader):
                logits = model(images)
                loss = F.cross_entropy(logits, labels)
                penalty = sum(parameter.abs().sum() for parameter in model.parameters())
                optimizer.zero_grad()
                (loss + 1e-5 * penalty).backward()
                optimizer.step()
                run.step(loss, logits, labels)
            run.validate(val_loader)
    return model


class _TwoHeads(nn.Module):
    """A classifier with a second head in the middle, which is used in training alone."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Sequential(nn.Conv2d(1, 8, 3, 2, 1), nn.ReLU())
        self.second = nn.Sequential(nn.Conv2d(8, 16, 3, 2, 1), nn.ReLU())
        self.middle, self.last = nn.Linear(8 * 196, 10), nn.Linear(16 * 49, 10)

    def forward(self, images: Tensor) -> Tensor | tuple[Tensor, Tensor]:
        features = self.first(images)
        logits = self.last(self.second(features).flatten(1))
        return (logits, self.middle(features.flatten(1))) if self.training else logits


def auxiliary_loss(job: Job) -> Predict:
    model, loader, val_loader = _TwoHeads(), job.train_loader(), job.val_loader()
    optimizer = torch.optim.Adam(model.parameters(), 1e-3)
    with job.watch(model, optimizer, epochs=3) as run:
        for _ in run.epochs():
            for images, labels in run.batches(loader):
                logits, middle = model(images)
                loss = F.cross_entropy(logits, labels) + 0.3 * F.cross_entropy(middle, labels)
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                run.step(loss, logits, labels)
            run.validate(val_loader)
    return model


def distillation(job: Job) -> Predict:
    """Trains a small model on the soft labels of a teacher, which is trained first."""
    loader, val_loader = job.train_loader(), job.val_loader()
    teacher = nn.Sequential(nn.Flatten(), nn.Linear(784, 256), nn.ReLU(), nn.Linear(256, 10))
    teacher_optimizer = torch.optim.Adam(teacher.parameters(), 1e-3)
    for _ in range(3):
        for images, labels in loader:
            loss = F.cross_entropy(teacher(images), labels)
            teacher_optimizer.zero_grad()
            loss.backward()
            teacher_optimizer.step()
    teacher.eval()
    model = job.model()
    optimizer = job.optimizer(model.parameters())
    with job.watch(model, optimizer, epochs=3) as run:
        for _ in run.epochs():
            for images, labels in run.batches(loader):
                with torch.no_grad():
                    soft = F.softmax(teacher(images) / 2, dim=1)
                logits = model(images)
                divergence = F.kl_div(F.log_softmax(logits / 2, 1), soft, reduction="batchmean")
                loss = 0.5 * F.cross_entropy(logits, labels) + 2 * divergence
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                run.step(loss, logits, labels)
            run.validate(val_loader)
    return model


class _Autoencoder(nn.Module):
    """Encoder and decoder with tied weights, and a classifier on the code."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = nn.Linear(784, 64)
        self.bias = nn.Parameter(torch.zeros(784))
        self.classifier = nn.Linear(64, 10)
        self.rebuilt = torch.empty(0)

    def forward(self, images: Tensor) -> Tensor:
        code = F.relu(self.encoder(images.flatten(1)))
        self.rebuilt = F.linear(code, self.encoder.weight.t(), self.bias)
        return self.classifier(code)


def tied_weights(job: Job) -> Predict:
    model, loader, val_loader = _Autoencoder(), job.train_loader(), job.val_loader()
    optimizer = torch.optim.Adam(model.parameters(), 1e-3)
    with job.watch(model, optimizer, epochs=3) as run:
        for _ in run.epochs():
            for images, labels in run.batches(loader):
                logits = model(images)
                rebuilt = F.mse_loss(model.rebuilt, images.flatten(1))
                loss = F.cross_entropy(logits, labels) + 0.1 * rebuilt
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                run.step(loss, logits, labels)
            run.validate(val_loader)
    return model


def frozen_on_purpose(job: Job) -> Predict:
    """Fine-tunes: trains a model first, then only its last layer on other images."""
    model, loader, val_loader = job.model(), job.train_loader(), job.val_loader()
    optimizer = job.optimizer(model.parameters())
    for _ in range(2):
        for images, labels in loader:
            optimizer.zero_grad()
            F.cross_entropy(model(images), labels).backward()
            optimizer.step()
    for parameter in list(model.parameters())[:-2]:
        parameter.requires_grad_(False)
    optimizer = job.optimizer([p for p in model.parameters() if p.requires_grad], 0.3 * job.lr)
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


def frozen_norms(job: Job) -> Predict:
    """Fine-tunes with batch norm in evaluation mode on purpose, as detection models do."""
    from tests.benchmarks.findings.loops.architectures import CnnBn

    model, loader, val_loader = CnnBn(), job.train_loader(), job.val_loader()
    optimizer = torch.optim.Adam(model.parameters(), lr=2e-3)
    for _ in range(2):
        for images, labels in loader:
            optimizer.zero_grad()
            F.cross_entropy(model(images), labels).backward()
            optimizer.step()
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-4)
    norms = [module for module in model.modules() if isinstance(module, nn.BatchNorm2d)]
    for norm in norms:
        norm.requires_grad_(False)
    with job.watch(model, optimizer, epochs=2) as run:
        for _ in run.epochs():
            model.train()
            for norm in norms:
                norm.eval()
            for images, labels in run.batches(loader):
                logits = model(images)
                loss = F.cross_entropy(logits, labels)
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                run.step(loss, logits, labels)
            run.validate(val_loader)
    return model


def several_forwards(job: Job) -> Predict:
    """Makes two forward passes a step, with dropout, and asks that they agree (R-Drop)."""
    from tests.benchmarks.findings.loops.architectures import Mlp

    model, loader, val_loader = Mlp(), job.train_loader(), job.val_loader()
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    with job.watch(model, optimizer, epochs=4) as run:
        for _ in run.epochs():
            for images, labels in run.batches(loader):
                first, second = model(images), model(images)
                loss = (F.cross_entropy(first, labels) + F.cross_entropy(second, labels)) / 2
                loss = loss + 0.1 * (first.softmax(1) - second.softmax(1)).square().mean()
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                run.step(loss, first, labels)
            run.validate(val_loader)
    return model


def sampled_dropout(job: Job) -> Predict:
    """Leaves dropout on in evaluation on purpose, and averages eight predictions."""
    from tests.benchmarks.findings.loops.architectures import Mlp

    model, loader, val_loader = Mlp(), job.train_loader(), job.val_loader()
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)

    def predict(images: Tensor) -> Tensor:
        for module in model.modules():
            module.train(isinstance(module, nn.Dropout))
        with torch.no_grad():
            return torch.stack([model(images).softmax(1) for _ in range(8)]).mean(0)

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
            correct = sum(int((predict(x).argmax(1) == y).sum()) for x, y in val_loader)
            run.log(val_accuracy=correct / 1_000)
    return predict


def compiled(job: Job) -> Predict:
    """Compiles the model; without code generation, which takes a minute here."""
    model, loader, val_loader = job.model(), job.train_loader(), job.val_loader()
    optimizer = job.optimizer(model.parameters())
    fast = torch.compile(model, backend="eager")
    with job.watch(model, optimizer, epochs=3) as run:
        for _ in run.epochs():
            for images, labels in run.batches(loader):
                logits = fast(images)
                loss = F.cross_entropy(logits, labels)
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                run.step(loss, logits, labels)
            run.validate(val_loader)
    return model
