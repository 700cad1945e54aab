"""A Lightning module for MNIST; a callback records its training. Needs mnist-tui[lightning]."""

from __future__ import annotations

import argparse

import lightning
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.data import DataLoader, Subset
from tui_trainer.watching.lightning import WatchCallback

from digits import mnist


class Digits(lightning.LightningModule):
    """A small network and how it is trained."""

    def __init__(self, lr: float = 1e-3) -> None:
        super().__init__()
        self.lr = lr
        self.layers = nn.Sequential(
            nn.Conv2d(1, 8, 3, stride=2),
            nn.ReLU(),
            nn.Conv2d(8, 16, 3, stride=2),
            nn.ReLU(),
            nn.Flatten(),
            nn.Linear(16 * 6 * 6, 10),
        )

    def forward(self, images: Tensor) -> Tensor:
        """Return the logits (N, 10) of images (N, 1, 28, 28)."""
        return self.layers(images)

    def training_step(self, batch: list[Tensor]) -> Tensor:
        """Return the loss of a batch."""
        images, labels = batch
        return F.cross_entropy(self(images), labels)

    def validation_step(self, batch: list[Tensor]) -> None:
        """Log loss and accuracy; the callback finds them by these names."""
        images, labels = batch
        logits = self(images)
        self.log("val_loss", F.cross_entropy(logits, labels))
        self.log("val_accuracy", (logits.argmax(dim=1) == labels).float().mean())

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """Return the optimizer."""
        return torch.optim.AdamW(self.parameters(), self.lr)


def main() -> None:
    """Train."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--images", type=int, default=20_000, help="training images (20,000)")
    parser.add_argument("--data-dir", help="torchvision's folder; default: the packaged digits")
    args = parser.parse_args()
    lightning.seed_everything(1)
    data = mnist(args.data_dir, train=True)
    trainer = lightning.Trainer(
        max_epochs=args.epochs,
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        callbacks=[WatchCallback()],
    )
    trainer.fit(
        Digits(),
        DataLoader(Subset(data, range(args.images)), batch_size=64, shuffle=True),
        DataLoader(Subset(data, range(55_000, 60_000)), batch_size=500),
    )


if __name__ == "__main__":
    main()
