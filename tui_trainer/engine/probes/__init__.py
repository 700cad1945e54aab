"""Looks inside the training, now and then: they change nothing of it and cost little of its time.

When a look is due depends on steps and images alone, never on the clock: two runs with the same
seed look at the same places, and a run that was cut off and resumed looks where it would have.
"""

from __future__ import annotations

from collections.abc import Iterator

from torch import Tensor, nn

from tui_trainer.data.dataset import Data
from tui_trainer.engine.batches import Batches
from tui_trainer.engine.probes.sample import Sample
from tui_trainer.engine.probes.update import UpdateProbe, flat_gradient
from tui_trainer.engine.progress import Progress, Stopwatch
from tui_trainer.protocol.probed import Probe, UpdateProbed

EARLY_STEPS = frozenset({2, 5, 10, 20, 40})
"""Updates that are looked at while everything is new …"""

EVERY = 50
"""… and from then on one in so many, at most; …"""

EACH_EPOCH = 4
"""… in epochs of very many steps, so many an epoch."""

EARLY_IMAGES = 8_192
"""The sample is looked at before the first batch, once more after so many images, …"""

SPACING = 32
"""… at the end of the first epoch, and then at the end of one if there were so many training
images for each image of the sample."""


class Probes:
    """Takes both kinds of samples of one run.

    Attributes:
        sampled_at: How many images had been trained on at the last look at the sample; -1 before
            the first.
        last_gradient: The gradient of the step before, flat, where the next update is looked at.
    """

    def __init__(
        self,
        model: nn.Module,
        data: Data,
        batches: Batches,
        progress: Progress,
        stopwatch: Stopwatch,
        sample: Sample,
        *,
        wanted: bool,
    ) -> None:
        self.sampled_at = -1
        self.last_gradient: Tensor | None = None
        self._model, self._batches, self._progress, self._stopwatch = (
            model,
            batches,
            progress,
            stopwatch,
        )
        self._classes, self._sample, self._wanted = data.classes, sample, wanted
        self._every = max(EVERY, len(data.train) // batches.batch_size // EACH_EPOCH)
        self._probe: UpdateProbe | None = None
        self._keeps = False
        self._ready: UpdateProbed | None = None

    # --- called from within a step

    def begin_step(self) -> None:
        """Decide whether the step that begins is looked at, or comes right before one that is."""
        step = self._progress.step + 1
        self._probe = None
        if self._is_due(step):
            self._probe = UpdateProbe(
                self._model, self._classes, self._stopwatch, self.last_gradient
            )
        self._keeps = self._is_due(step + 1)
        self.last_gradient = None

    def record_batch(self, labels: Tensor) -> None:
        """Look at what the network is given."""
        if self._probe is not None:
            self._probe.record_batch(labels)

    def record_gradients(self) -> None:
        """Look at the gradients, before they are used."""
        if self._probe is not None:
            self._probe.record_gradients()
        elif self._keeps:
            self.last_gradient = flat_gradient(self._model)

    def record_update(self, lr: float) -> None:
        """Look at what the update has changed."""
        if self._probe is not None:
            self._ready = self._probe.result(self._progress, lr)
            if self._keeps:
                self.last_gradient = self._probe.gradient

    # --- called between two steps

    def has_results(self) -> bool:
        """Whether there is something to tell after this step."""
        return self._ready is not None or self._is_early()

    def after_step(self) -> Iterator[Probe]:
        """Tell of the update if it was looked at, and look at the sample if that is due early."""
        if self._ready is not None:
            yield self._ready
            self._ready = None
        if self._is_early():
            yield self._probe_sample()

    def before_training(self) -> Iterator[Probe]:
        """Look at the sample before the first batch."""
        if self._wanted and self.sampled_at < 0:
            yield self._probe_sample()

    def at_end_of_epoch(self) -> Iterator[Probe]:
        """Look at the sample, if it is time again."""
        is_due = self._progress.images - self.sampled_at >= SPACING * self._sample.size
        if self._wanted and (is_due or self._progress.epoch == 1):
            yield self._probe_sample()

    def _is_early(self) -> bool:
        return self._wanted and self.sampled_at == 0 and self._progress.images >= EARLY_IMAGES

    def _probe_sample(self) -> Probe:
        self.sampled_at = self._progress.images
        return self._sample.probe(self._model, self._batches.batch_size, self._progress)

    def _is_due(self, step: int) -> bool:
        return self._wanted and (step in EARLY_STEPS or step % self._every == 0)
