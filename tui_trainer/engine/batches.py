"""The batches of a run: the next slice of the epoch's permutation, augmented."""

from __future__ import annotations

import random

import torch
from torch import Tensor

from tui_trainer.data.dataset import BatchStream, Data
from tui_trainer.models.device import Ranks
from tui_trainer.protocol.config import NAMED_AUGMENTATIONS, Augmentation, RunConfig


class Batches:
    """Returns the images and labels of each step.

    Both ``resize_until`` and ``augment_until`` of the configuration are shares of the training:
    training on smaller images first (progressive resizing; J. Howard, fast.ai, 2018) is faster, and
    the last steps on images as they are in the test set adapt the statistics of batch norm to them.

    Attributes:
        stream: The order of this epoch's images, and the position in it.
        augment_rng: Draws the augmentation.
        batch_size: Images a step.
        augmenting: Whether they are augmented.
        done: The share of the training that was done before the last batch, 0 to 1.
        labels: Those of the last batch, of all ranks.
    """

    labels: Tensor

    def __init__(self, data: Data, config: RunConfig, ranks: Ranks | None = None) -> None:
        shuffle_rng = rng_for(config.seed, "order")
        self.stream = BatchStream(len(data.train), shuffle_rng, data.train.labels.device)
        self.augment_rng = rng_for(config.seed, "augmentation")
        self.batch_size = config.batch_size
        self.augmenting = not config.augmentation.is_none
        self.done = 0.0
        self._data, self._config, self._configured = data, config, config.augmentation
        self._ranks = ranks or Ranks()

    @property
    def augmentation(self) -> Augmentation | None:
        """The augmentation at this point: as configured, or ``light`` if none is configured."""
        if not self.augmenting or self.done >= self._config.augment_until:
            return None
        return NAMED_AUGMENTATIONS["light"] if self._configured.is_none else self._configured

    def next(self, done: float) -> tuple[Tensor, Tensor]:
        """Return the input of the model (N, channels, H, W) and the labels (N): this rank's share.

        Args:
            done: The share of the training that is done, 0 to 1.
        """
        self.done = done
        train = self._data.train
        indices = self.stream.take(self.batch_size)
        self.labels = labels = train.labels[indices]
        part = self._ranks.share(len(indices), f"{self._config.seed} {done}")
        if part is not None:
            indices, labels = indices[part[1]], labels[part[1]]
        size = self._config.resize_to if done < self._config.resize_until else None
        chosen = train.images[indices]
        return self._data.prepare(chosen, self.augmentation, self.augment_rng, size, part), labels


def rng_for(seed: int, use: str) -> torch.Generator:
    """Return an rng for one use: each use has its own sequence."""
    return torch.Generator().manual_seed(random.Random(f"{seed} {use}").getrandbits(63))
