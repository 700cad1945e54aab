"""The progress of a run, its training time, and the losses that are still on the device."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import torch
from torch import Tensor

from tui_trainer.protocol.events import StepDone


class Stopwatch:
    """Measures training time; can be paused and started again."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._before = 0.0
        self._since: float | None = None

    @property
    def now(self) -> float:
        """The time of the clock in seconds, which runs on during a pause."""
        return self._clock()

    @property
    def seconds(self) -> float:
        """The measured time so far, in seconds."""
        running = 0.0 if self._since is None else self._clock() - self._since
        return self._before + running

    def resume_at(self, seconds: float) -> None:
        """Set the measured time, in seconds, and pause."""
        self._before, self._since = seconds, None

    def start(self) -> None:
        """Start; no effect while it runs."""
        if self._since is None:
            self._since = self._clock()

    def pause(self) -> None:
        """Pause; no effect while it is paused."""
        self._before = self.seconds
        self._since = None


@dataclass(frozen=True, slots=True)
class PendingStep:
    """A step whose loss has not been read from the device yet."""

    loss: Tensor
    correct: Tensor
    size: int
    step: int
    epoch: int
    epoch_images: int
    images: int
    lr: float
    seconds: float


@dataclass
class Progress:
    """Counts steps, epochs and images.

    ``step``, ``epoch``, ``images`` and ``epoch_images`` include the batch or epoch in progress.
    ``loss_sum`` and ``correct_sum`` are of this epoch, over the steps whose losses have been read
    from the device. ``last_lr`` is the learning rate of the last update, and ``epoch_began`` the
    training time at which the epoch started, in seconds.
    """

    step: int = 0
    epoch: int = 0
    epochs_done: int = 0
    images: int = 0
    epoch_images: int = 0
    loss_sum: float = 0.0
    correct_sum: int = 0
    last_lr: float = 0.0
    epoch_began: float = 0.0
    pending: list[PendingStep] = field(default_factory=list)

    def begin_epoch(self, seconds: float) -> None:
        """Start the next epoch at a training time, in seconds."""
        self.epoch += 1
        self.epoch_began = seconds
        self.epoch_images = self.correct_sum = 0
        self.loss_sum = 0.0

    def count(self, loss: Tensor, correct: Tensor, size: int, lr: float, seconds: float) -> None:
        """Count a step; its loss and number of correct predictions stay on the device."""
        self.step += 1
        self.last_lr = lr
        self.images += size
        self.epoch_images += size
        counted = (self.step, self.epoch, self.epoch_images, self.images)
        self.pending.append(PendingStep(loss, correct, size, *counted, lr, seconds))

    def read(self) -> Iterator[StepDone]:
        """Read the losses that are still on the device, in a single transfer."""
        steps, self.pending = self.pending, []
        if not steps:
            return
        if len(steps) == 1:  # stacking a single step costs ten times as much as reading it
            figures = [(steps[0].loss.item(), steps[0].correct.item())]
        else:
            losses = torch.stack([each.loss for each in steps])
            counts = torch.stack([each.correct for each in steps]).to(losses.dtype)
            figures = torch.stack((losses, counts), dim=1).tolist()
        for each, (loss, correct) in zip(steps, figures, strict=True):
            self.loss_sum += loss * each.size
            # NaN if a script's loop reports no labels.
            self.correct_sum += 0 if math.isnan(correct) else round(correct)
            yield StepDone(
                step=each.step,
                epoch=each.epoch,
                epoch_images=each.epoch_images,
                images=each.images,
                batch_size=each.size,
                loss=loss,
                accuracy=correct / each.size,
                lr=each.lr,
                seconds=each.seconds,
            )
