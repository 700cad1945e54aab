"""Short trainings next to a run, alone or several in turns under equal conditions."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from torch import Tensor, nn

from tui_trainer.data.dataset import Data
from tui_trainer.engine.batches import Batches
from tui_trainer.engine.optimizers import Optimizer, make_optimizer
from tui_trainer.engine.steps import autocast, backward, loss_fn
from tui_trainer.models.copies import copy_model
from tui_trainer.models.modes import begin_training
from tui_trainer.protocol.config import RunConfig
from tui_trainer.protocol.exhibit import Curve
from tui_trainer.protocol.schedules import factor

SECONDS = 15.0
"""Seconds for all trainings together, without the evaluation that follows."""

SLICE = 0.3
"""Seconds between two exhibits; an experiment can be stopped at each."""

HALF_LIFE = 600
"""Half-life of the smoothed loss, in images."""


@dataclass
class Trial:
    """A training that shares no mutable state with the run.

    Attributes:
        config: The settings.
        data: The data, read-only.
        model: Its own copy of the model.
        optimizer: The optimizer.
        batches: Its batches, the same as in the run's first epoch.
        images: Training images seen so far.
        precision: The precision of the forward pass: float32 in lessons, even if the run has bf16.
    """

    config: RunConfig
    data: Data
    model: nn.Module
    optimizer: Optimizer
    batches: Batches
    images: int = 0
    precision: str = "float32"

    @property
    def lr(self) -> float:
        """The learning rate of the next update: base_lr × schedule."""
        return self.config.base_lr * factor(self.config, self.images / len(self.data.train))

    def batch(self) -> tuple[Tensor, Tensor]:
        """Return the next batch as the run would: inputs (N, 1, H, H) and labels (N)."""
        if not self.batches.stream.remaining:
            self.batches.stream.begin_epoch()
        return self.batches.next(self.images / (len(self.data.train) * self.config.epochs))

    def step(self, batch: tuple[Tensor, Tensor] | None = None, lr: float | None = None) -> Tensor:
        """Train one batch as the engine's loop does; return its loss without label smoothing.

        Args:
            batch: Inputs and labels; the next batch of the run if None.
            lr: The learning rate; the schedule's if None.
        """
        images, labels = self.batch() if batch is None else batch
        lr = self.lr if lr is None else lr
        with autocast(images.device, self.precision):
            logits = self.model(images)
        self.optimizer.zero_grad()
        loss = loss_fn(logits, labels, self.config.label_smoothing)
        backward(loss, self.optimizer.parameters)
        self.optimizer.step(lr)
        self.images += len(labels)
        return loss_fn(logits.detach(), labels)


def make_trial(model: nn.Module, data: Data, config: RunConfig) -> Trial:
    """Return the training of a copy of ``model``, from the first batch on."""
    copy = copy_model(model)
    begin_training(copy)
    return Trial(
        config=config,
        data=data,
        model=copy,
        optimizer=make_optimizer(copy, config),
        batches=Batches(data, config),
    )


@dataclass
class Arm:
    """One of several compared trainings.

    Attributes:
        name: Its name in plot and table.
        trial: The training.
        cap: The largest plotted loss.
        images: Training images after each step.
        losses: The training loss after each step, smoothed; capped at ``cap``.
        batch_losses: The loss of each batch.
        is_nonfinite: Whether its loss is no longer finite; then it takes no further step.
        seconds: The time of its steps.
    """

    name: str
    trial: Trial
    cap: float = math.inf
    images: list[float] = field(default_factory=list)
    losses: list[float] = field(default_factory=list)
    batch_losses: list[float] = field(default_factory=list)
    is_nonfinite: bool = False
    seconds: float = 0.0
    _smooth: float | None = None

    def step(self) -> None:
        """Train one batch."""
        before = self.trial.images
        loss = float(self.trial.step())
        self.batch_losses.append(loss)
        if not math.isfinite(loss):
            self.is_nonfinite = True
            return
        loss = min(loss, self.cap)
        keeps = 0.5 ** ((self.trial.images - before) / HALF_LIFE)
        self._smooth = loss if self._smooth is None else keeps * self._smooth + (1 - keeps) * loss
        self.images.append(float(self.trial.images))
        self.losses.append(self._smooth)

    def curve(self) -> Curve:
        """Return its smoothed loss by training images."""
        return Curve(name=self.name, x=tuple(self.images), y=tuple(self.losses))


def race(
    arms: Sequence[Arm],
    *,
    images: float,
    clock: Callable[[], float],
    seconds: float = SECONDS,
    by_time: bool = False,
) -> Iterator[float]:
    """Train the arms in turns; yield the share that is done, several times a second.

    All arms see the same number of images: ``images``, or fewer if the time runs out. Each step
    goes to the arm that is behind, so that all are equally far at any time.

    Args:
        arms: The trainings.
        images: The most training images per arm.
        clock: A monotonic clock in seconds.
        seconds: The time for all arms together.
        by_time: Give each arm equal seconds instead of equal images.
    """
    began = shown = clock()
    while True:
        now = clock()
        running = [arm for arm in arms if not arm.is_nonfinite and arm.trial.images < images]
        spent = now - began
        if not running or spent >= seconds:
            return
        arm = min(running, key=lambda arm: arm.seconds if by_time else arm.trial.images)
        arm.step()
        arm.seconds += clock() - now
        if clock() - shown >= SLICE:
            shown = clock()
            far = min((arm.trial.images for arm in running), default=images) / images
            yield min(1.0, max(far, spent / seconds))
