"""Healthy user loops: styles of loading, validating and calling."""

# mypy: ignore-errors

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import (
    DataLoader,
    Dataset,
    IterableDataset,
    Sampler,
    TensorDataset,
    WeightedRandomSampler,
    random_split,
)

from tests.benchmarks.findings.loops.job import Job, Predict


def _trained(job: Job, model: nn.Module, loader, val_loader, epochs: int = 3) -> None:
    """The plain loop, for styles whose loader or model is what differs."""
    optimizer = job.optimizer(model.parameters())
    with job.watch(model, optimizer, epochs=epochs) as run:
        for _ in run.epochs():
            for inputs, labels in run.batches(loader):
                logits = model(inputs)
                loss = F.cross_entropy(logits, labels)
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                run.step(loss, logits, labels)
            run.validate(val_loader)


def weighted_sampler(job: Job) -> Predict:
    """Draws the images of rare classes more often, with replacement."""
    images, labels = job.train_digits(6_000)
    kept = (labels > 2) | (torch.arange(len(labels)) % 4 == 0)
    images, labels = images[kept], labels[kept]
    weights = 1 / torch.bincount(labels)[labels].double()
    sampler = WeightedRandomSampler(weights, 4_000)
    loader = DataLoader(TensorDataset(images, labels), job.batch_size, sampler=sampler)
    model = job.model()
    _trained(job, model, loader, job.val_loader())
    return model


class _Balanced(Sampler[list[int]]):
    """Batches with as many images of each class."""

    def __init__(self, labels: Tensor, of_each: int) -> None:
        self.classes = [torch.nonzero(labels == digit).flatten() for digit in range(10)]
        self.of_each = of_each

    def __len__(self) -> int:
        return min(map(len, self.classes)) // self.of_each

    def __iter__(self):
        orders = [some[torch.randperm(len(some))] for some in self.classes]
        for index in range(len(self)):
            part = slice(index * self.of_each, (index + 1) * self.of_each)
            batch = torch.cat([order[part] for order in orders])
            yield batch[torch.randperm(len(batch))].tolist()


def balanced_batches(job: Job) -> Predict:
    train_set = job.train_set()
    loader = DataLoader(train_set, batch_sampler=_Balanced(train_set.tensors[1], 4))
    model = job.model()
    _trained(job, model, loader, job.val_loader())
    return model


class _Stream(IterableDataset):
    """Images in a new random order at each pass, without a length."""

    def __init__(self, images: Tensor, labels: Tensor) -> None:
        self.images, self.labels = images, labels

    def __iter__(self):
        for index in torch.randperm(len(self.labels)).tolist():
            yield self.images[index], int(self.labels[index])


def stream(job: Job) -> Predict:
    loader = DataLoader(_Stream(*job.train_digits()), batch_size=job.batch_size)
    model = job.model()
    _trained(job, model, loader, job.val_loader())
    return model


def last_batch_dropped(job: Job) -> Predict:
    model = job.model()
    loader = job.train_loader(batch_size=48, drop_last=True)
    _trained(job, model, loader, job.val_loader(), 4)
    return model


def with_workers(job: Job) -> Predict:
    model = job.model()
    loader = job.train_loader(num_workers=1, persistent_workers=True)
    _trained(job, model, loader, job.val_loader(), 2)
    return model


class _Noisy(Dataset):
    """Shifts and noise, drawn for each image."""

    def __init__(self, images: Tensor, labels: Tensor) -> None:
        self.images, self.labels = images, labels

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int):
        shift = torch.randint(-2, 3, (2,)).tolist()
        image = torch.roll(self.images[index], shift, (1, 2))
        return image + 0.1 * torch.randn_like(image), self.labels[index]


def augmented(job: Job) -> Predict:
    loader = DataLoader(_Noisy(*job.train_digits()), job.batch_size, shuffle=True)
    model = job.model()
    _trained(job, model, loader, job.val_loader())
    return model


def split_at_random(job: Job) -> Predict:
    """Splits one dataset with random_split, whose parts have nothing in common."""
    train_set, val_set = random_split(job.train_set(5_000), [4_000, 1_000])
    loader = DataLoader(train_set, batch_size=job.batch_size, shuffle=True)
    model = job.model()
    _trained(job, model, loader, DataLoader(val_set, 200))
    return model


def dataset_alone(job: Job) -> Predict:
    """Leaves the loader to run.batches."""
    model, train_set, val_loader = job.model(), job.train_set(), job.val_loader()
    optimizer = job.optimizer(model.parameters())
    with job.watch(model, optimizer, epochs=3) as run:
        for _ in run.epochs():
            for images, labels in run.batches(train_set, batch_size=50):
                logits = model(images)
                loss = F.cross_entropy(logits, labels)
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                run.step(loss, logits, labels)
            run.validate(val_loader)
    return model


def mixup(job: Job) -> Predict:
    """Mixes pairs of images and their losses; labels are those of the first of each pair."""
    model, loader, val_loader = job.model(), job.train_loader(), job.val_loader()
    optimizer = job.optimizer(model.parameters())
    mixing = torch.distributions.Beta(0.2, 0.2)
    with job.watch(model, optimizer, epochs=4) as run:
        for _ in run.epochs():
            for images, labels in run.batches(loader):
                share, order = mixing.sample().item(), torch.randperm(len(images))
                logits = model(share * images + (1 - share) * images[order])
                first = F.cross_entropy(logits, labels)
                second = F.cross_entropy(logits, labels[order])
                loss = share * first + (1 - share) * second
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                run.step(loss, logits, labels)
            run.validate(val_loader)
    return model


class _Colored(nn.Module):
    """A small VGG for RGB images (N, 3, 32, 32)."""

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(3, 12, 3, padding=1),
            nn.BatchNorm2d(12),
            nn.ReLU(),
            nn.MaxPool2d(4),
            nn.Conv2d(12, 24, 3, padding=1),
            nn.BatchNorm2d(24),
            nn.ReLU(),
            nn.MaxPool2d(2),
        )
        self.classifier = nn.Linear(24 * 16, 10)

    def forward(self, images: Tensor) -> Tensor:
        return self.classifier(self.features(images).flatten(1))


def _colored(images: Tensor) -> Tensor:
    """Gray digits as red and blue ones of 32 pixels."""
    padded = F.pad(images, (2, 2, 2, 2), value=-0.42)
    return torch.cat((padded, 0.5 * padded, 1 - padded), 1)


def rgb(job: Job) -> Predict:
    images, labels = job.train_digits(3_000)
    loader = DataLoader(TensorDataset(_colored(images), labels), job.batch_size, shuffle=True)
    val_images, val_labels = job.val_digits()
    val_loader = DataLoader(TensorDataset(_colored(val_images), val_labels), 250)
    model = _Colored()
    optimizer = torch.optim.SGD(model.parameters(), 0.03, 0.9, weight_decay=5e-4)
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
    return lambda x: model.eval()(_colored(x))


def sequences(job: Job) -> Predict:
    """Classifies sequences (N, 14, 56) with a GRU."""

    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.gru = nn.GRU(56, 64, batch_first=True, bidirectional=True)
            self.fc = nn.Linear(128, 10)

        def forward(self, rows: Tensor) -> Tensor:
            return self.fc(self.gru(rows)[0].mean(1))

    images, labels = job.train_digits(6_000)
    val_images, val_labels = job.val_digits()
    train_set = TensorDataset(images.reshape(-1, 14, 56), labels)
    val_set = TensorDataset(val_images.reshape(-1, 14, 56), val_labels)
    model = Net()
    optimizer = torch.optim.AdamW(model.parameters(), lr=4e-3)
    with job.watch(model, optimizer, epochs=3) as run:
        for _ in run.epochs():
            for rows, targets in run.batches(DataLoader(train_set, 64, shuffle=True)):
                logits = model(rows)
                loss = F.cross_entropy(logits, targets)
                optimizer.zero_grad()
                loss.backward()
                nn.utils.clip_grad_norm_(model.parameters(), 1.0)
                optimizer.step()
                run.step(loss, logits, targets)
            run.validate(DataLoader(val_set, 250))
    return lambda x: model.eval()(x.reshape(-1, 14, 56))


def tokens(job: Job) -> Predict:
    """Classifies sequences of 49 integers, the brightness of 4×4 patches, with embeddings."""

    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.embed, self.position = nn.Embedding(16, 24), nn.Parameter(torch.zeros(49, 24))
            self.layers = nn.Sequential(
                nn.Linear(49 * 24, 128), nn.ReLU(), nn.Dropout(0.1), nn.Linear(128, 10)
            )

        def forward(self, ids: Tensor) -> Tensor:
            return self.layers((self.embed(ids) + self.position).flatten(1))

    def ids_of(images: Tensor) -> Tensor:
        brightness = F.avg_pool2d(images, 4).flatten(1)
        return ((brightness + 0.5) * 5).long().clamp(0, 15)

    images, labels = job.train_digits()
    val_images, val_labels = job.val_digits()
    loader = DataLoader(TensorDataset(ids_of(images), labels), 32, shuffle=True)
    val_loader = DataLoader(TensorDataset(ids_of(val_images), val_labels), 250)
    model = Net()
    optimizer = torch.optim.Adam(model.parameters(), lr=2e-3)
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
    return lambda x: model.eval()(ids_of(x))


def validated_by_hand(job: Job) -> Predict:
    model, loader, val_loader = job.model(), job.train_loader(), job.val_loader()
    optimizer = job.optimizer(model.parameters())
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
            model.eval()
            loss_sum, correct = 0.0, 0
            with torch.inference_mode():
                for images, labels in val_loader:
                    logits = model(images)
                    loss_sum += F.cross_entropy(logits, labels, reduction="sum").item()
                    correct += logits.argmax(1).eq(labels).sum().item()
            run.log(val_loss=loss_sum / 1_000, val_correct=correct, val_total=1_000)
    return model


def function_calls(job: Job) -> Predict:
    """Uses no loop of the run: begin_epoch, begin_batch, step, end_epoch."""
    model, loader, val_loader = job.model(), job.train_loader(), job.val_loader()
    optimizer = job.optimizer(model.parameters())
    run = job.watch(model, optimizer, epochs=3)
    for _ in range(3):
        run.begin_epoch()
        model.train()
        for batch in loader:
            run.begin_batch(batch)
            images, labels = batch
            optimizer.zero_grad()
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


def validated_every_k_steps(job: Job) -> Predict:
    """Validates every 40 steps, in the middle of an epoch, and goes back to training mode."""
    model, loader, val_loader = job.model(), job.train_loader(), job.val_loader()
    optimizer = job.optimizer(model.parameters())
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
                if step % 40 == 0:
                    model.eval()
                    with torch.no_grad():
                        correct = sum(int((model(x).argmax(1) == y).sum()) for x, y in val_loader)
                    model.train()
            run.log(val_accuracy=correct / 1_000)
    return model


def early_stopping(job: Job) -> Predict:
    """Ends when validation accuracy has not risen for two epochs, and restores the best weights."""
    model, loader, val_loader = job.model(), job.train_loader(), job.val_loader()
    optimizer = job.optimizer(model.parameters())
    best, best_weights, waited = 0.0, None, 0
    with job.watch(model, optimizer, epochs=8) as run:
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
            with torch.no_grad():
                correct = sum(int((model(x).argmax(1) == y).sum()) for x, y in val_loader)
            run.log(val_accuracy=correct / 1_000)
            waited += 1
            if correct > best:
                best, waited = correct, 0
                best_weights = {k: v.clone() for k, v in model.state_dict().items()}
            if waited == 2:
                break
    model.load_state_dict(best_weights)
    return model


def update_by_hand(job: Job) -> Predict:
    """Uses the optimizer for its groups alone, and writes gradient descent with momentum itself."""
    model, loader, val_loader = job.model(), job.train_loader(), job.val_loader()

    class Descent(torch.optim.Optimizer):
        def __init__(self, parameters, lr: float) -> None:
            super().__init__(parameters, {"lr": lr})

        @torch.no_grad()
        def step(self, closure=None):
            for group in self.param_groups:
                for parameter in group["params"]:
                    if parameter.grad is not None:
                        parameter.sub_(group["lr"] * parameter.grad / (parameter.grad.norm() + 1))

    optimizer = Descent(model.parameters(), lr=0.15)
    with job.watch(model, optimizer, epochs=4) as run:
        for _ in run.epochs():
            for images, labels in run.batches(loader):
                logits = model(images)
                loss = F.cross_entropy(logits, labels)
                model.zero_grad()
                loss.backward()
                optimizer.step()
                run.step(loss, logits, labels)
            run.validate(val_loader)
    return model


def batches_by_hand(job: Job) -> Predict:
    """Slices a permutation of the tensors instead of using a loader."""
    model, val_loader = job.model(), job.val_loader()
    optimizer = job.optimizer(model.parameters())
    images, labels = job.train_digits()

    def batches():
        for chosen in torch.randperm(len(labels)).split(job.batch_size):
            yield images[chosen], labels[chosen]

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


def batches_of_dicts(job: Job) -> Predict:
    """Gets its batches as dicts, and reports what the run cannot find in them."""
    model, val_loader = job.model(), job.val_loader()
    optimizer = job.optimizer(model.parameters())
    images, labels = job.train_digits()
    rows = [{"pixels": x, "target": y} for x, y in zip(images, labels, strict=True)]
    loader = DataLoader(rows, batch_size=job.batch_size, shuffle=True)
    with job.watch(model, optimizer, epochs=3) as run:
        for _ in run.epochs():
            for batch in run.batches(loader):
                logits = model(batch["pixels"])
                loss = F.cross_entropy(logits, batch["target"])
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                run.step(loss, logits, batch["target"])
            run.validate(val_loader)
    return model


def losses_kept_as_numbers(job: Job) -> Predict:
    """Keeps loss.item() of each batch, and the mean accuracy of the epoch."""
    model, loader, val_loader = job.model(), job.train_loader(), job.val_loader()
    optimizer = job.optimizer(model.parameters())
    losses, correct = [], 0
    with job.watch(model, optimizer, epochs=3) as run:
        for _ in run.epochs():
            for images, labels in run.batches(loader):
                logits = model(images)
                loss = F.cross_entropy(logits, labels)
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                losses.append(loss.item())
                correct += (logits.argmax(1) == labels).sum()
                run.step(loss, logits, labels)
            run.validate(val_loader)
    return model


def two_classes(job: Job) -> Predict:
    """Learns whether a digit is odd."""

    class Parity(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.body, self.head = job.model(), nn.Linear(10, 2)

        def forward(self, images: Tensor) -> Tensor:
            return self.head(F.relu(self.body(images)))

    model = Parity()
    images, labels = job.train_digits(6_000)
    val_images, val_labels = job.val_digits()
    loader = DataLoader(TensorDataset(images, labels % 2), job.batch_size, shuffle=True)
    val_loader = DataLoader(TensorDataset(val_images, val_labels % 2), 250)
    _trained(job, model, loader, val_loader, 4)
    return model
