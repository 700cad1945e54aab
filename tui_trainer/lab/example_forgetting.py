"""What became of each validation image, epoch by epoch."""

from __future__ import annotations

import torch
from torch import Tensor

ROWS = ("predicted", "wrong_since", "first_correct", "forgetting_events", "times_wrong")


class ExampleForgetting:
    """Remembers of each image, in bounded memory, how it was classified at the end of each epoch.

    Attributes:
        epochs: How many epochs it has seen.
        since: The first of them; a run recorded by an older version has epochs before.
        table: Its numbers (5, N), whole ones, the rows as in :data:`ROWS`: the class it was given
            last, -1 for none; the epoch since which it has been wrong without a break, 0 if it is
            right; the epoch in which it was right for the first time, 0 if never; how often it was
            right in one epoch and wrong in the next; in how many epochs it was wrong.
    """

    def __init__(self, images: int) -> None:
        self.epochs = 0
        self.since = 0
        self.table = torch.zeros((len(ROWS), images), dtype=torch.int32)

    @property
    def last(self) -> int:
        """The last epoch that it has seen."""
        return self.since + self.epochs - 1

    def row(self, name: str) -> Tensor:
        """Return one row of the table (N)."""
        return self.table[ROWS.index(name)]

    def facts(self, number: int) -> dict[str, int]:
        """Return the numbers of one image, by the names of the rows."""
        return dict(zip(ROWS, self.table[:, number].tolist(), strict=True))

    def note(self, epoch: int, predicted: Tensor, labels: Tensor) -> None:
        """Take in what the images were classified as at the end of an epoch.

        Args:
            epoch: The epoch, from 1.
            predicted: The classes that the network gave (N); -1 where its scores were no numbers.
            labels: The true ones (N), each at least 0.
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
        """Go back to what a checkpoint remembers; to nothing if it does not."""
        self.epochs, self.since = (epochs, since) if table is not None else (0, 0)
        self.table.zero_() if table is None else self.table.copy_(table)
