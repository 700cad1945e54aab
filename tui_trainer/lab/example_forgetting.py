"""Example forgetting: how each validation image was classified, epoch by epoch."""

from __future__ import annotations

import torch
from torch import Tensor

ROWS = ("predicted", "wrong_since", "first_correct", "forgetting_events", "times_wrong")


class ExampleForgetting:
    """Counts forgetting events of each image at the end of each epoch, in bounded memory.

    Source: M. Toneva and others, "An empirical study of example forgetting during deep neural
    network learning", ICLR 2019.

    Attributes:
        epochs: The number of recorded epochs.
        since: The first recorded epoch; a run of an older version may have earlier ones.
        table: Integers (5, N), the rows as in :data:`ROWS`: the last predicted class, -1 for none;
            the epoch since which the image is misclassified, 0 if it is correct; the first epoch in
            which it was correct, 0 if never; the forgetting events (correct in one epoch,
            misclassified in the next); the number of epochs in which it was misclassified.
    """

    def __init__(self, images: int) -> None:
        self.epochs = 0
        self.since = 0
        self.table = torch.zeros((len(ROWS), images), dtype=torch.int32)

    @property
    def last(self) -> int:
        """The last recorded epoch."""
        return self.since + self.epochs - 1

    def row(self, name: str) -> Tensor:
        """Return one row of the table (N)."""
        return self.table[ROWS.index(name)]

    def counts(self, number: int) -> dict[str, int]:
        """Return the column of one image, by row name."""
        return dict(zip(ROWS, self.table[:, number].tolist(), strict=True))

    def update(self, epoch: int, predicted: Tensor, labels: Tensor) -> None:
        """Record the predictions at the end of an epoch.

        Args:
            epoch: The epoch, from 1.
            predicted: The predicted classes (N); -1 where the logits were not finite.
            labels: The true classes (N), each at least 0.
        """
        wrong = (predicted != labels).to(torch.int32)
        before = self.row("wrong_since")
        was_right = (before == 0) & (self.epochs > 0)
        first = self.row("first_correct")
        self.row("forgetting_events").add_(wrong * was_right)
        self.row("times_wrong").add_(wrong)
        first.copy_(torch.where((first == 0) & (wrong == 0), epoch, first))
        before.copy_(torch.where(wrong == 1, torch.where(before == 0, epoch, before), 0))
        self.row("predicted").copy_(predicted)
        self.since = self.since or epoch
        self.epochs += 1

    def restore(self, table: Tensor | None, epochs: int, since: int) -> None:
        """Restore the table of a checkpoint; start empty if it has none."""
        self.epochs, self.since = (epochs, since) if table is not None else (0, 0)
        self.table.zero_() if table is None else self.table.copy_(table)
