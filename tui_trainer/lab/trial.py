"""A training of its own, beside a run: the run's first batches, without anything of the run."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from tui_trainer.data.dataset import BatchStream, Data
from tui_trainer.engine.optimizers import Optimizer, make_optimizer
from tui_trainer.engine.prepare import generator_for
from tui_trainer.engine.steps import forward_backward, loss_of
from tui_trainer.models.copies import copy_model
from tui_trainer.models.modes import begin_training
from tui_trainer.protocol.config import RunConfig
from tui_trainer.protocol.schedules import factor


@dataclass
class Trial:
    """A network in training on its own copies of all that changes.

    Attributes:
        config: How it is trained.
        data: What it is trained on; read only.
        network: The network, its own.
        optimizer: Moves its weights.
        stream: The order of the images: that of the run's first epoch.
        chance: Draws the augmentation, as in the run.
        images: Training images seen so far.
    """

    config: RunConfig
    data: Data
    network: nn.Module
    optimizer: Optimizer
    stream: BatchStream
    chance: torch.Generator
    images: int = 0

    @property
    def learning_rate(self) -> float:
        """The rate of the next update: base times schedule."""
        return self.config.learning_rate * factor(self.config, self.images / len(self.data.train))

    def batch(self) -> tuple[Tensor, Tensor]:
        """Return the next batch as the run would meet it: input (N, 1, H, H) and labels (N)."""
        if not self.stream.remaining:
            self.stream.begin_epoch()
        indices = self.stream.take(self.config.batch_size)
        amounts = None if self.config.augmentation.is_none else self.config.augmentation
        train = self.data.train
        return self.data.prepare(train.images[indices], amounts, self.chance), train.labels[indices]

    def step(self, batch: tuple[Tensor, Tensor] | None = None, rate: float | None = None) -> Tensor:
        """Train one batch as the engine's loop does; return its loss without smoothing.

        Args:
            batch: Input and labels; the next batch of the run if None.
            rate: The learning rate; the schedule's if None.
        """
        images, labels = self.batch() if batch is None else batch
        rate = self.learning_rate if rate is None else rate
        logits = self.network(images)
        self.optimizer.zero_grad()
        forward_backward(logits, labels, self.optimizer.parameters, self.config.label_smoothing)
        self.optimizer.step(rate)
        self.images += len(labels)
        return loss_of(logits.detach(), labels)


def make_trial(network: nn.Module, data: Data, config: RunConfig) -> Trial:
    """Return a training of a copy of ``network``, from its first batch on."""
    own = copy_model(network)
    begin_training(own)
    stream = BatchStream(len(data.train), generator_for(config.seed, "order"), _device(own))
    return Trial(
        config=config,
        data=data,
        network=own,
        optimizer=make_optimizer(own, config),
        stream=stream,
        chance=generator_for(config.seed, "augmentation"),
    )


def _device(network: nn.Module) -> torch.device:
    return next(network.parameters()).device
