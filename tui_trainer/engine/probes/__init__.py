"""Sample gradients, updates and activations during training, without changing it and at low cost.

When a probe is due depends on steps and images alone, never on the clock: two runs with the same
seed probe the same steps, and so does a run that was interrupted and resumed.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

from torch import Tensor, nn

from tui_trainer.data.dataset import Data
from tui_trainer.engine.batches import Batches
from tui_trainer.engine.optimizers import Optimizer
from tui_trainer.engine.probes.sample import Sample
from tui_trainer.engine.probes.update import UpdateProbe
from tui_trainer.engine.progress import Progress, Stopwatch
from tui_trainer.models.tensors import flat_gradient, replaced_weights, weights_of
from tui_trainer.protocol.probed import Probe, UpdateProbed

EARLY_STEPS = frozenset({2, 5, 10, 20, 40})
"""The early updates that are probed."""

EVERY = 50
"""After those, at most one update in this many is probed."""

EACH_EPOCH = 4
"""In long epochs, about this many updates per epoch are probed."""

EARLY_IMAGES = 8_192
"""The sample is probed before the first batch, and again after this many training images."""

STUCK = 0.9
"""The loss, as a share of that of a guess, from which a model has learned nothing."""

SPACING = 32
"""The sample is probed at the end of the first epoch, then at the end of an epoch after at least
this many training images per image of the sample."""


class Probes:
    """The probes of one run: of updates and of a fixed sample of images.

    Attributes:
        sampled_at: The number of images trained on before the last probe of the sample; -1 before
            the first.
        last_gradient: The flat gradient of the previous step, kept if the next update is probed.
        is_trial_due: Whether a command has interrupted the trial of updates, which is made again.
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
        try_updates: Callable[[], Iterator[Probe]],
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
        self.is_trial_due = False
        self._try_updates = try_updates
        self._every = max(EVERY, len(data.train) // batches.batch_size // EACH_EPOCH)
        self._probe: UpdateProbe | None = None
        self._keeps = False
        self._weights: dict[str, Tensor] | None = None
        self._replaced = frozenset[str]()
        self._ready: UpdateProbed | None = None

    def restore(self, sampled_at: int, gradient: Tensor | None) -> None:
        """Continue from a checkpoint: what was copied of other weights is dropped."""
        self.sampled_at, self.last_gradient = sampled_at, gradient
        self._weights, self._replaced = None, frozenset()

    def continue_from(self, other: Probes) -> None:
        """Continue from the probes of a run whose state this run has been given."""
        self.restore(other.sampled_at, other.last_gradient)
        self._weights, self._replaced = other._weights, other._replaced
        self.is_trial_due = other.is_trial_due

    # --- called within a step

    def begin_step(self) -> None:
        """Decide whether to probe this step, or to keep its gradient for a probe of the next."""
        step = self._progress.step + 1
        self._probe = None
        if self._is_due(step):
            self._probe = UpdateProbe(
                self._model, self._classes, self._stopwatch, self.last_gradient
            )
        self._keeps = self._is_due(step + 1)
        self.last_gradient = None

    def record_batch(self, labels: Tensor) -> None:
        """Record the labels of the batch, (N)."""
        if self._probe is not None:
            self._probe.record_batch(labels)

    def record_zero_grad(self, optimizer: Optimizer) -> None:
        """Record whether gradients are left for the backward pass to add to."""
        if self._probe is not None:
            self._probe.record_zero_grad(optimizer)

    def record_gradients(self) -> None:
        """Record the gradients before the update."""
        if self._weights is not None:
            self._replaced |= replaced_weights(self._model, self._weights)
            self._weights = None
        if self._probe is not None:
            self._probe.record_gradients(self._replaced)
            self._replaced = frozenset()
        elif self._keeps:
            self.last_gradient = flat_gradient(self._model)

    def record_update(self, lr: float) -> None:
        """Record what the update has changed."""
        if self._probe is not None:
            self._ready = self._probe.result(self._progress, lr)
            if self._keeps:
                self.last_gradient = self._probe.gradient
        # Something else can replace the weights between two steps, or between two epochs.
        if self._keeps or (self._wanted and not self._batches.stream.remaining):
            self._weights = weights_of(self._model)

    # --- called between two steps

    def has_results(self) -> bool:
        """Whether :meth:`after_step` has something to report."""
        return self._ready is not None or self._is_early() or self.is_trial_due

    def after_step(self) -> Iterator[Probe]:
        """Report the update if it was probed; probe the sample if that is due early."""
        is_dead = self._ready is not None and self._finds_dead(self._ready)
        if self._ready is not None:
            yield self._ready
            self._ready = None
        if is_dead or self._is_early():
            yield from self._probe_sample()
        elif self.is_trial_due:
            self.is_trial_due = False
            yield from self._try_updates()

    def before_training(self) -> Iterator[Probe]:
        """Probe the sample before the first batch."""
        if self._wanted and self.sampled_at < 0:
            yield from self._probe_sample()

    def at_end_of_epoch(self) -> Iterator[Probe]:
        """Probe the sample if that is due."""
        is_due = self._progress.images - self.sampled_at >= SPACING * self._sample.size
        if self._wanted and (is_due or self._progress.epoch == 1):
            yield from self._probe_sample()

    def _is_early(self) -> bool:
        return self._wanted and self.sampled_at == 0 and self._progress.images >= EARLY_IMAGES

    def _finds_dead(self, update: UpdateProbed) -> bool:
        """Whether a weight's gradient is exactly 0, and the sample that explains it is old."""
        age = self._progress.images - self.sampled_at
        dead = (p.is_weight and p.gradient_norm == 0 and not p.frozen for p in update.parameters)
        return (self.sampled_at == 0 or age >= EARLY_IMAGES) and any(dead)

    def _probe_sample(self) -> Iterator[Probe]:
        """Probe the sample; if the first early one is no better than a guess, try some updates."""
        images = self._progress.images
        is_first = self.sampled_at < EARLY_IMAGES <= images
        self.sampled_at = images
        sample = self._sample.probe(self._model, self._batches, self._progress)
        yield sample
        if is_first and sample.loss >= STUCK * math.log(self._classes):
            yield from self._try_updates()

    def _is_due(self, step: int) -> bool:
        return self._wanted and (step in EARLY_STEPS or step % self._every == 0)
