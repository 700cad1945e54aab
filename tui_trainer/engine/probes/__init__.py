"""Looks inside the training, now and then: they change nothing of it and cost little of its time.

When a look is due depends on steps and images alone, never on the clock: two runs with the same
seed look at the same places, and a run that was cut off and resumed looks where it would have.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from torch import Tensor, nn

from tui_trainer.engine.probes.sample import Sample
from tui_trainer.engine.probes.update import UpdateLook, flat_gradient
from tui_trainer.protocol.probed import Probe, UpdateProbed

if TYPE_CHECKING:
    from tui_trainer.engine.session import Session

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
        self, network: nn.Module, sample: Sample, *, wanted: bool, steps_an_epoch: int
    ) -> None:
        self.sampled_at = -1
        self.last_gradient: Tensor | None = None
        self._wanted = wanted
        self._every = max(EVERY, steps_an_epoch // EACH_EPOCH)
        self._sample = sample
        self._network = network
        self._look: UpdateLook | None = None
        self._keeps = False
        self._ready: UpdateProbed | None = None

    # --- called from within a step

    def begin_step(self, session: Session) -> None:
        """Decide whether the step that begins is looked at, or comes right before one that is."""
        step = session.step + 1
        self._look = UpdateLook(session, self.last_gradient) if self._is_due(step) else None
        self._keeps = self._is_due(step + 1)
        self.last_gradient = None

    def see_batch(self, labels: Tensor) -> None:
        """Look at what the network is given."""
        if self._look is not None:
            self._look.see_batch(labels)

    def see_gradients(self) -> None:
        """Look at the gradients, before they are used."""
        if self._look is not None:
            self._look.see_gradients()
        elif self._keeps:
            self.last_gradient = flat_gradient(self._network)

    def see_update(self, session: Session, rate: float) -> None:
        """Look at what the update has changed."""
        if self._look is not None:
            self._ready = self._look.result(session, rate)
            if self._keeps:
                self.last_gradient = self._look.gradient

    # --- called between two steps

    def are_ready(self, session: Session) -> bool:
        """Whether there is something to tell after this step."""
        return self._ready is not None or self._is_early(session)

    def after_step(self, session: Session) -> Iterator[Probe]:
        """Tell of the update if it was looked at, and look at the sample if that is due early."""
        if self._ready is not None:
            yield self._ready
            self._ready = None
        if self._is_early(session):
            yield self._look_at_sample(session)

    def before_training(self, session: Session) -> Iterator[Probe]:
        """Look at the sample before the first batch."""
        if self._wanted and self.sampled_at < 0:
            yield self._look_at_sample(session)

    def at_end_of_epoch(self, session: Session) -> Iterator[Probe]:
        """Look at the sample, if it is time again."""
        is_due = session.images - self.sampled_at >= SPACING * self._sample.size
        if self._wanted and (is_due or session.epoch == 1):
            yield self._look_at_sample(session)

    def _is_early(self, session: Session) -> bool:
        return self._wanted and self.sampled_at == 0 and session.images >= EARLY_IMAGES

    def _look_at_sample(self, session: Session) -> Probe:
        self.sampled_at = session.images
        return self._sample.look(session)

    def _is_due(self, step: int) -> bool:
        return self._wanted and (step in EARLY_STEPS or step % self._every == 0)
