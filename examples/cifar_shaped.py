"""A residual network for pictures of CIFAR-10's shape, with a schedule, clipping and accumulation.

The pictures are random colors with one bright square, whose place is the label: nothing is
downloaded, and the network has something to learn. Replace ``pictures`` by your dataset.
"""

from __future__ import annotations

import argparse

import torch
import torch.nn.functional as F
import tui_trainer
from torch import Tensor, nn
from torch.optim.lr_scheduler import OneCycleLR
from torch.utils.data import DataLoader, TensorDataset

CLASSES = 10


def pictures(count: int, seed: int) -> TensorDataset:
    """Return ``count`` pictures (3, 32, 32) with labels from 0 to 9."""
    rng = torch.Generator().manual_seed(seed)
    images = torch.randn(count, 3, 32, 32, generator=rng)
    labels = torch.randint(CLASSES, (count,), generator=rng)
    for image, label in zip(images, labels.tolist(), strict=True):
        row, column = divmod(label, 5)
        image[:, 4 + 14 * row : 12 + 14 * row, 6 * column : 6 * column + 6] += 0.3
    return TensorDataset(images, labels)


class Block(nn.Module):
    """Two convolutions next to a shortcut; halves the picture if the stride is 2."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, padding=1, bias=False)
        self.norm1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(outputs)
        self.shortcut = nn.Conv2d(inputs, outputs, 1, stride)

    def forward(self, x: Tensor) -> Tensor:
        """Return the features (N, outputs, height / stride, width / stride)."""
        y = F.relu(self.norm1(self.conv1(x)))
        return F.relu(self.norm2(self.conv2(y)) + self.shortcut(x))


def build_model(width: int) -> nn.Sequential:
    """Return a network that takes (N, 3, 32, 32) and returns logits (N, 10)."""
    return nn.Sequential(
        nn.Conv2d(3, width, 3, padding=1),
        nn.ReLU(),
        Block(width, width, 2),
        Block(width, 2 * width, 2),
        nn.Flatten(),
        nn.Linear(2 * width * 8 * 8, CLASSES),
    )


def main() -> None:
    """Train, and stop where the window says so."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--images", type=int, default=5_000, help="training pictures (5,000)")
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--accumulate", type=int, default=2, help="batches per update (2)")
    parser.add_argument("--width", type=int, default=16, help="channels (16)")
    parser.add_argument("--lr", type=float, default=0.05, help="highest learning rate (0.05)")
    parser.add_argument("--workers", type=int, default=0, help="processes of the loader (0)")
    args = parser.parse_args()
    torch.manual_seed(1)

    loader = DataLoader(
        pictures(args.images, seed=1), args.batch_size, shuffle=True, num_workers=args.workers
    )
    val_loader = DataLoader(pictures(args.images // 5, seed=2), 256)
    model = build_model(args.width)
    optimizer = torch.optim.SGD(model.parameters(), args.lr, momentum=0.9, weight_decay=5e-4)
    updates = -(-len(loader) // args.accumulate)
    scheduler = OneCycleLR(optimizer, args.lr, epochs=args.epochs, steps_per_epoch=updates)

    with tui_trainer.watch(model, optimizer, epochs=args.epochs, scheduler=scheduler) as run:
        for epoch in run.epochs():
            model.train()
            for number, (images, labels) in enumerate(run.batches(loader), start=1):
                logits = model(images)
                loss = F.cross_entropy(logits, labels)
                (loss / args.accumulate).backward()
                if number % args.accumulate == 0 or number == len(loader):
                    nn.utils.clip_grad_norm_(model.parameters(), 5.0)
                    optimizer.step()
                    optimizer.zero_grad()
                    if scheduler.last_epoch < scheduler.total_steps - 1:
                        scheduler.step()
                run.step(loss, logits, labels)
            found = run.validate(val_loader)
            print(f"epoch {epoch}: {found.correct:,} of {found.total:,} correct")


if __name__ == "__main__":
    main()
