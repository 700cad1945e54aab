"""Which validation images the model of a checkpoint classifies correctly, to compare two models."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Generator
from dataclasses import dataclass

from torch import Tensor

from tui_trainer.engine.checkpoint_store import CheckpointStore
from tui_trainer.engine.evaluation import evaluate
from tui_trainer.engine.prepare import prepare
from tui_trainer.engine.resuming import Resumption, resume_from
from tui_trainer.models.build import locate_custom_model_errors
from tui_trainer.models.checkpoints import bytes_of
from tui_trainer.protocol.commands import Inbox
from tui_trainer.protocol.config import RunConfig
from tui_trainer.protocol.errors import InputError
from tui_trainer.protocol.events import Event
from tui_trainer.stats.intervals import PairedAccuracy


@dataclass(frozen=True, slots=True, eq=False)
class CorrectImages:
    """The correctly classified images of the validation split.

    Attributes:
        is_correct: Whether each image is classified correctly, (N) on the CPU.
        step: The training step of the weights.
        digest: The SHA-256 of the images and their labels.
    """

    is_correct: Tensor
    step: int
    digest: str

    @property
    def accuracy(self) -> float:
        """The validation accuracy."""
        return int(self.is_correct.sum()) / len(self.is_correct)

    def paired_with(self, other: CorrectImages) -> PairedAccuracy | None:
        """Return how many images this model and another one classify correctly.

        None if their images are not the same, in the same order.
        """
        if self.digest != other.digest:
            return None
        mine, theirs = self.is_correct, other.is_correct
        counts = (mine & theirs, mine & ~theirs, ~mine & theirs, ~mine & ~theirs)
        return PairedAccuracy(*(int(each.sum()) for each in counts))


def correct_images(
    config: RunConfig, resume: Resumption, clock: Callable[[], float] = time.perf_counter
) -> Generator[Event, None, CorrectImages]:
    """Evaluate a checkpoint on its validation images, never on the test set; yield progress.

    Args:
        config: The run's settings.
        resume: The checkpoint.
        clock: A monotonic clock in seconds.

    Raises:
        InputError: If the data, the model or the checkpoint cannot be used, or there is no
            validation split.
        CustomModelError: If a custom model raises; the message names the line.
    """
    with locate_custom_model_errors(config.model):
        run = yield from prepare(config, Inbox(), CheckpointStore(), clock)
        resume_from(run, resume)
        split = run.data.val
        if not len(split):
            raise InputError("it has no validation split")
        found = evaluate(run.model, run.data, split)
    digest = hashlib.sha256()
    for tensor in (split.images, split.labels):
        digest.update(f"{tuple(tensor.shape)} {tensor.dtype}\0".encode())
        digest.update(bytes_of(tensor.cpu()))
    return CorrectImages(found.is_correct, run.progress.step, digest.hexdigest())
