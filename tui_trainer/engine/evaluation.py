"""Evaluate a model on a split: loss and prediction of each image."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from tui_trainer.data.dataset import Data, Split
from tui_trainer.models.device import Ranks
from tui_trainer.models.modes import evaluating

EVAL_PIXELS = 128 * 28 * 28
"""Pixels a forward pass, 128 images of MNIST's size.

Enough to keep the cores busy. With ten times as many, the allocator requests every feature map from
the system again, and the CPU processes a third as many images per second.
"""


@dataclass(frozen=True, slots=True)
class Evaluation:
    """The result on one split.

    Attributes:
        losses: Cross-entropy of each image, in nats, (N) on the CPU.
        is_correct: Whether each prediction is the true class, (N) on the CPU.
        labels: The true classes, (N) on the CPU.
        logits: (N, classes) on the CPU; None where they were not kept.
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
        """How many images were classified correctly."""
        return int(self.is_correct.sum())

    @property
    def total(self) -> int:
        """How many images there are."""
        return len(self.is_correct)

    @property
    def accuracy(self) -> float:
        """The share of images that were classified correctly."""
        return self.correct / self.total

    def class_accuracy(self, classes: int) -> tuple[float | None, ...]:
        """Return the accuracy on each class, None for a class without an image."""
        totals = torch.bincount(self.labels, minlength=classes).tolist()
        correct = torch.bincount(self.labels[self.is_correct], minlength=classes).tolist()
        return tuple(c / t if t else None for c, t in zip(correct, totals, strict=True))

    def rise_over(self, best: Evaluation) -> tuple[float, float]:
        """Return by how much the mean loss exceeds that of ``best``, and its standard error.

        The differences are paired, image by image, since both evaluate the same images. With one
        image the standard error is 0.
        """
        differences = self.losses.to(torch.float64) - best.losses.to(torch.float64)
        spread = float(differences.std()) if self.total > 1 else 0.0
        return float(differences.mean()), spread / self.total**0.5


@torch.no_grad()  # not inference mode: autograd could not use a tensor that the model keeps
def evaluate(model: nn.Module, data: Data, split: Split, ranks: Ranks | None = None) -> Evaluation:
    """Evaluate the model on a split in evaluation mode, then restore each module's own mode.

    With ``ranks``, each of them evaluates a part of the images, and gets the whole result.
    """
    ranks = ranks or Ranks()
    parts: list[tuple[Tensor, ...]] = []
    batch = max(1, EVAL_PIXELS // data.values)
    with evaluating(model):
        for start in range(0, len(split), batch)[ranks.rank :: ranks.world_size]:
            labels = split.labels[start : start + batch]
            logits = model(data.prepare(split.images[start : start + batch])).to(torch.float32)
            losses = functional.cross_entropy(logits, labels, reduction="none")
            parts.append((losses, logits.argmax(dim=1) == labels, logits))
    columns = zip(*ranks.gather(parts), strict=True)
    losses, is_correct, logits = (torch.cat(column).cpu() for column in columns)
    return Evaluation(losses, is_correct, split.labels.cpu(), logits)
