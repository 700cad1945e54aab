"""Where a run stands: running loss and accuracy, speed, time left; and the live line they make."""

from __future__ import annotations

import math
from collections import deque

from tui_trainer.protocol.events import EpochDone, RunStarted, StepDone
from tui_trainer.text import fmt
from tui_trainer.text.fmt import Cell

_SAMPLE_SECONDS = 0.1
_SAMPLES = 50  # of 0.1 s and more: the speed of about the last five seconds

_LEAST_BAR = 9  # a blank, two ends, six columns
_WIDEST_BAR = 33


class Meter:
    """The few sums behind the live line; they do not grow with the run.

    Attributes:
        run: What the run set out to do, None before it started.
        rate: Training images a second of training time, lately; NaN until it is known.
    """

    def __init__(self) -> None:
        self.run: RunStarted | None = None
        self.rate = math.nan
        self._epoch = 1
        self._epoch_images = 0
        self._loss_sum = 0.0
        self._correct = 0.0
        self._counted = 0
        self._validation_seconds = 0.0
        self._samples: deque[tuple[float, int]] = deque(maxlen=_SAMPLES)

    def step(self, event: StepDone) -> None:
        """Take a batch in."""
        if event.epoch != self._epoch:
            self._begin(event.epoch)
        self._epoch_images = event.epoch_images
        self._loss_sum += event.loss * event.batch_size
        self._correct += event.accuracy * event.batch_size
        self._counted += event.batch_size
        samples = self._samples
        if samples and event.seconds - samples[-1][0] < _SAMPLE_SECONDS:
            return
        samples.append((event.seconds, event.images))
        (first_seconds, first_images), (seconds, images) = samples[0], samples[-1]
        if seconds > first_seconds:
            self.rate = (images - first_images) / (seconds - first_seconds)

    def epoch_done(self, event: EpochDone) -> None:
        """Learn from a whole epoch how long a validation takes; begin the next one."""
        if self.run is not None and event.images_per_second > 0:
            training = self.run.train_size / event.images_per_second
            self._validation_seconds = max(0.0, event.seconds - training)
        self._begin(event.epoch + 1)

    @property
    def loss(self) -> float:
        """The mean loss of this epoch's batches so far, each as it was met; NaN before any."""
        return self._loss_sum / self._counted if self._counted else math.nan

    @property
    def accuracy(self) -> float:
        """The share that this epoch's batches had right so far; NaN before any."""
        return self._correct / self._counted if self._counted else math.nan

    @property
    def fraction(self) -> float:
        """How much of the whole run's training is done, 0 to 1."""
        if self.run is None:
            return 0.0
        epochs_done = self._epoch - 1 + self._epoch_images / self.run.train_size
        return min(1.0, epochs_done / self.run.epochs)

    @property
    def seconds_left(self) -> float:
        """Time to the run's end, the validations to come included; NaN while it is not known."""
        if self.run is None:
            return math.nan
        images = self.run.train_size * self.run.epochs * (1 - self.fraction)
        validations = max(0, self.run.epochs - self._epoch + 1)
        return images / self.rate + validations * self._validation_seconds

    def cells(self, width: int, *, doing: str = "", ascii_only: bool = False) -> list[Cell]:
        """Return the live line: epoch, bar of the whole run, loss, accuracy, speed, time left.

        What tells least about the run's end goes first when it is too long; the bar takes the rest.

        Args:
            width: Columns it may use.
            doing: What the run does instead of training, in the place of loss and accuracy.
            ascii_only: Draw the bar without block characters.
        """
        if self.run is None:
            return []
        epochs = self.run.epochs
        head = Cell(f"epoch {min(self._epoch, epochs):>{len(str(epochs))}}/{epochs}")
        figures = [
            Cell(f"  loss {fmt.loss(self.loss)}", rank=3),
            Cell(f" {fmt.percent(self.accuracy):>8}", rank=2),
        ]
        if doing:  # as wide as the figures, or the bar would change its length
            figures = [Cell(f"  {doing:<10}", rank=2), Cell(" " * 10, rank=3)]
        tail = [
            *figures,
            Cell(f"  {fmt.rate(self.rate):>11}", rank=4),
            Cell(f"  ETA {fmt.duration(self.seconds_left):>5}", rank=1),
        ]
        kept = fmt.fit([head, *tail], width - _LEAST_BAR)
        room = width - sum(fmt.columns(cell.text) for cell in kept) - 1
        drawn = fmt.bar(self.fraction, max(3, min(_WIDEST_BAR, room)), ascii_only=ascii_only)
        return [kept[0], Cell(f" {drawn}", rank=9, style="train"), *kept[1:]]

    def _begin(self, epoch: int) -> None:
        self._epoch, self._epoch_images = epoch, 0
        self._loss_sum, self._correct, self._counted = 0.0, 0.0, 0
        self._samples.clear()  # or the validation in between would count as slow training
