"""Whether the images of a run are in memory, or are read during training."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from tui_trainer.data.idx import RawDataset
from tui_trainer.data.image_store import is_mapped
from tui_trainer.data.mapped_images import WORKERS
from tui_trainer.models.device import available_memory
from tui_trainer.text import fmt

NOTABLE = 100_000_000
"""The bytes of resident images from which they are worth a line."""


@dataclass(frozen=True, slots=True)
class Residency:
    """Where the images of a run are.

    Attributes:
        images: Their number: training, validation and test.
        size: The bytes of all of them.
        available: The bytes of memory that were free before; None if that is not known.
        resident: Whether they are in the memory of the device.
    """

    images: int
    size: int
    available: int | None
    resident: bool

    @property
    def is_notable(self) -> bool:
        """Whether it is reported before training."""
        return not self.resident or self.size >= NOTABLE

    @property
    def readers(self) -> int:
        """The threads that read images during training."""
        return 0 if self.resident else WORKERS

    def __str__(self) -> str:
        free = "" if self.available is None else f" of {fmt.size(self.available)} available"
        if self.resident:
            return f"{self.images:,} images resident: {fmt.size(self.size)}{free}"
        return (
            f"{self.images:,} images not resident: {fmt.size(self.size)}{free}, "
            f"read by {self.readers} workers"
        )


def residency_of(raw: RawDataset, memory_share: float, device: torch.device) -> Residency:
    """Decide whether images stay in the memory of a device.

    On the CPU, the reader has decided: images are in memory, or in a mapped file. On a GPU, they
    are in its memory if they take at most that share of what is free there.
    """
    size = len(raw.train_images) + len(raw.test_images)
    available = available_memory(device)
    apart = is_mapped(raw.train_images) or is_mapped(raw.test_images)
    if device.type == "cuda":
        apart = available is not None and size > memory_share * available
    elif available is not None and not apart:
        available += size  # they are in memory already
    return Residency(raw.train_total + raw.test_total, size, available, not apart)
