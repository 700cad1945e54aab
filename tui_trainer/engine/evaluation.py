"""How good the network is on a split: loss and hits, image by image."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from tui_trainer.data.dataset import Data, Split
from tui_trainer.models.modes import evaluating

EVAL_PIXELS = 128 * 28 * 28
"""Pixels a forward pass, 128 images of MNIST's size.

Enough to keep the cores busy; with ten times as many the allocator fetches every layer's map anew
from the system, and the CPU gets through a third as many images.
"""


@dataclass(frozen=True, slots=True)
class Evaluation:
    """The result on one split.

    Attributes:
        losses: Cross-entropy of each image, in nats, (N) on the CPU.
        hits: Whether each image was classified rightly, (N) on the CPU.
        labels: The true classes, (N) on the CPU.
        scores: The scores of each image, (N, classes) on the CPU; None where they were not kept.
    """

    losses: Tensor
    is_correct: Tensor
    labels: Tensor
    logits: Tensor | None = None

    @property
    def loss(self) -> float:
        """The mean loss, summed in double precision."""
        return float(self.losses.mean(dtype=torch.float64))

    @property
    def correct(self) -> int:
        """How many images were classified rightly."""
        return int(self.is_correct.sum())

    @property
    def total(self) -> int:
        """How many images there are."""
        return len(self.is_correct)

    @property
    def accuracy(self) -> float:
        """The share of images that were classified rightly."""
        return self.correct / self.total

    def class_accuracy(self, classes: int) -> tuple[float | None, ...]:
        """Return the accuracy on each class, None for a class without an image."""
        totals = torch.bincount(self.labels, minlength=classes).tolist()
        is_correct = torch.bincount(self.labels[self.is_correct], minlength=classes).tolist()
        return tuple(h / t if t else None for h, t in zip(is_correct, totals, strict=True))

    def rise_over(self, best: Evaluation) -> tuple[float, float]:
        """Return how much the mean loss is above ``best``'s, and the standard error of that.

        Both are over the same images, so the difference is taken image by image; the error is that
        of a mean of N paired differences. With one image the error is 0.
        """
        differences = self.losses.to(torch.float64) - best.losses.to(torch.float64)
        spread = float(differences.std()) if self.total > 1 else 0.0
        return float(differences.mean()), spread / self.total**0.5


@torch.no_grad()  # not inference mode: a tensor that a model keeps could not be trained through
def evaluate(model: nn.Module, data: Data, split: Split) -> Evaluation:
    """Run the network in evaluation mode over a split, and put each module back into its mode."""
    losses, is_correct, told = [], [], []
    batch = max(1, EVAL_PIXELS // data.image_size**2)
    with evaluating(model):
        for start in range(0, len(split), batch):
            labels = split.labels[start : start + batch]
            logits = model(data.prepare(split.images[start : start + batch])).to(torch.float32)
            losses.append(functional.cross_entropy(logits, labels, reduction="none"))
            is_correct.append(logits.argmax(dim=1) == labels)
            told.append(logits)
    return Evaluation(
        losses=torch.cat(losses).cpu(),
        is_correct=torch.cat(is_correct).cpu(),
        labels=split.labels.cpu(),
        logits=torch.cat(told).cpu(),
    )


def confusion(labels: Tensor, predicted: Tensor, classes: int) -> Tensor:
    """Return how many images of each class (rows) are given each class (columns)."""
    pairs = labels * classes + predicted
    return torch.bincount(pairs, minlength=classes**2).view(classes, classes)


def probabilities_of(logits: Tensor) -> Tensor:
    """Return the probabilities (N, classes) of scores; of scores that are such, themselves."""
    return logits if are_probabilities(logits) else logits.softmax(dim=1)


def are_probabilities(logits: Tensor) -> bool:
    """Say whether the scores (N, classes) of each image add up to 1, and none is below 0."""
    return bool((logits >= 0).all()) and bool(((logits.sum(dim=1) - 1).abs() < 1e-3).all())
