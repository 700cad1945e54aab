"""The batches of a run: the next slice of the epoch's permutation, augmented."""

from __future__ import annotations

import random

import torch
from torch import Tensor

from tui_trainer.data.dataset import BatchStream, Data
from tui_trainer.protocol.config import NAMED_AUGMENTATIONS, Augmentation, RunConfig


class Batches:
    """Returns the images and labels of each step.

    Attributes:
        stream: The order of this epoch's images, and the position in it.
        augment_rng: Draws the augmentation.
        batch_size: Images a step.
        augmenting: Whether they are augmented.
    """

    def __init__(self, data: Data, config: RunConfig) -> None:
        shuffle_rng = rng_for(config.seed, "order")
        self.stream = BatchStream(len(data.train), shuffle_rng, data.train.labels.device)
        self.augment_rng = rng_for(config.seed, "augmentation")
        self.batch_size = config.batch_size
        self.augmenting = not config.augmentation.is_none
        self._data, self._configured = data, config.augmentation

    @property
    def augmentation(self) -> Augmentation | None:
        """The augmentation of the next batch: as configured, or ``light`` if none is configured."""
        if not self.augmenting:
            return None
        return NAMED_AUGMENTATIONS["light"] if self._configured.is_none else self._configured

    def next(self) -> tuple[Tensor, Tensor]:
        """Return the input of the model (N, channels, H, W) and the labels (N)."""
        train = self._data.train
        indices = self.stream.take(self.batch_size)
        labels = train.labels[indices]
        images = self._data.prepare(train.images[indices], self.augmentation, self.augment_rng)
        return images, labels


def rng_for(seed: int, use: str) -> torch.Generator:
    """Return an rng for one use: each use has its own sequence."""
    return torch.Generator().manual_seed(random.Random(f"{seed} {use}").getrandbits(63))
