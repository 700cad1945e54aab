"""The figures of one epoch of a watched run."""

from __future__ import annotations

import math

from torch import Tensor

from tui_trainer.engine.progress import Progress, Stopwatch
from tui_trainer.protocol.events import EpochDone
from tui_trainer.stats.intervals import wilson
from tui_trainer.watching.evaluation import Validated


class Epoch:
    """The epoch in progress, and the best ones before it.

    Attributes:
        validation: The last validation of this epoch.
        best_accuracy: The highest validation accuracy so far.
    """

    def __init__(self, progress: Progress, stopwatch: Stopwatch) -> None:
        self._progress, self._stopwatch = progress, stopwatch
        self.validation = Validated()
        self.best_accuracy: float | None = None
        self._best: Validated | None = None
        self._training_seconds = 0.0

    def begin(self) -> None:
        """Begin an epoch."""
        self.validation = Validated()
        self._training_seconds = 0.0

    def end_step(self) -> None:
        """Take the time: a validation may follow."""
        self._training_seconds = self._stopwatch.seconds - self._progress.epoch_began

    def log(
        self,
        loss: float | Tensor | None,
        accuracy: float | Tensor | None,
        correct: int | None,
        total: int | None,
    ) -> None:
        """Keep the figures of the loop's own validation; None leaves a figure as it is.

        An accuracy above 1 is taken for a percentage.
        """
        before = self.validation
        count = int(before.total if total is None else total)
        share = before.accuracy if accuracy is None else float(accuracy)
        if 1.0 < share <= 100.0:
            share /= 100.0
        if correct is not None and accuracy is None and count:
            share = int(correct) / count
        if correct is None and accuracy is not None and count:
            correct = round(share * count)
        self.validation = Validated(
            before.loss if loss is None else float(loss),
            share,
            int(before.correct if correct is None else correct),
            count,
        )

    def done(self, classes: int) -> EpochDone:
        """Return the event of the end of the epoch."""
        progress, found = self._progress, self.validation
        seen = max(1, progress.epoch_images)
        rise: tuple[float, float] | tuple[None, None] = (None, None)
        if found.result is not None:
            best = self._best
            if best is None or best.total != found.total or found.loss < best.loss:
                self._best = best = found
            if best.result is not None:
                rise = found.result.rise_over(best.result)
        is_counted = 0 <= found.correct <= found.total and found.total > 0
        return EpochDone(
            epoch=progress.epoch,
            step=progress.step,
            lr=progress.last_lr,
            train_loss=progress.loss_sum / seen,
            train_accuracy=progress.correct_sum / seen,
            val_loss=known(found.loss),
            val_accuracy=known(found.accuracy),
            val_correct=found.correct if is_counted else None,
            val_total=found.total if is_counted else None,
            val_interval=wilson(found.correct, found.total) if is_counted else None,
            val_class_accuracy=found.result.class_accuracy(classes) if found.result else None,
            val_loss_rise=rise[0],
            val_loss_rise_error=rise[1],
            seconds=self._stopwatch.seconds - progress.epoch_began,
            images_per_second=progress.epoch_images / max(self._training_seconds, 1e-9),
        )

    def is_best(self) -> bool:
        """Return whether the validation accuracy is the highest so far, and remember it."""
        accuracy = known(self.validation.accuracy)
        if accuracy is None or (self.best_accuracy is not None and accuracy <= self.best_accuracy):
            return False
        self.best_accuracy = accuracy
        return True


def known(value: float) -> float | None:
    """Return a number; None for NaN, which stands for an unknown one."""
    return None if math.isnan(value) else value
