"""Trained batches whose figures are still on the device."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from tui_trainer.protocol.events import Diverged, StepDone


class DivergedError(Exception):
    """The loss or a weight is no longer a finite number; ``event`` tells of it."""

    def __init__(self, event: Diverged) -> None:
        super().__init__(f"diverged at step {event.step}")
        self.event = event


@dataclass(frozen=True, slots=True)
class PendingStep:
    """A trained batch whose loss has not been read from the device yet."""

    loss: torch.Tensor
    hits: torch.Tensor
    size: int
    step: int
    epoch: int
    epoch_images: int
    images: int
    learning_rate: float
    seconds: float

    def event(self, loss: float, hits: float) -> StepDone:
        """Tell of the step, now that its figures are known."""
        return StepDone(
            step=self.step,
            epoch=self.epoch,
            epoch_images=self.epoch_images,
            images=self.images,
            batch_size=self.size,
            loss=loss,
            accuracy=hits / self.size,
            learning_rate=self.learning_rate,
            seconds=self.seconds,
        )


def read_figures(steps: Sequence[PendingStep]) -> list[tuple[float, float]]:
    """Return loss and hits of each step, with a single transfer from the device."""
    figures = [torch.stack((step.loss, step.hits.to(step.loss.dtype))) for step in steps]
    return [(loss, hits) for loss, hits in torch.stack(figures).tolist()]
