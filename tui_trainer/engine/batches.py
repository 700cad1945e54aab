"""The batches of a run: the next slice of the epoch's permutation, augmented as the knobs say."""

from __future__ import annotations

import torch
from torch import Tensor

from tui_trainer.data.dataset import BatchStream, Data
from tui_trainer.protocol.config import NAMED_AUGMENTATIONS, Augmentation


class Batches:
    """Gives the images and labels of each step.

    Attributes:
        stream: The order of this epoch's images, and the place in it.
        augment_rng: What augmentation is drawn from.
        batch_size: Images a step.
        augmenting: Whether they are augmented.
    """

    def __init__(
        self,
        data: Data,
        stream: BatchStream,
        augment_rng: torch.Generator,
        batch_size: int,
        augmentation: Augmentation,
    ) -> None:
        self.stream, self.augment_rng, self.batch_size = stream, augment_rng, batch_size
        self.augmenting = not augmentation.is_none
        self._data, self._configured = data, augmentation

    @property
    def augmentation(self) -> Augmentation | None:
        """How the next batch is augmented: as configured, or lightly where that is not at all."""
        if not self.augmenting:
            return None
        return NAMED_AUGMENTATIONS["light"] if self._configured.is_none else self._configured

    def next(self) -> tuple[Tensor, Tensor]:
        """Return images (N, channels, H, W) for the model, and their labels (N)."""
        train = self._data.train
        indices = self.stream.take(self.batch_size)
        labels = train.labels[indices]
        images = self._data.prepare(train.images[indices], self.augmentation, self.augment_rng)
        return images, labels
