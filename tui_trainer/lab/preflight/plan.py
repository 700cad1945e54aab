"""How much a check tries, so that it is done in about twenty seconds."""

from __future__ import annotations

from dataclasses import dataclass, replace

SECONDS = 16.0
"""What the trials may take together; loading torch and the images comes on top."""

SHARES = (1.0, 0.75, 0.5, 0.25, 0.125)
"""How much of the long trials is left for a slow network; below the last it takes longer."""

FEWEST, FEWEST_RATES = 15, 40
"""Steps of a trial that still say something; over five decades of rates it takes more."""

BATCH = 32
"""The images that are learned by heart: several of each digit, and quick."""

SHUFFLED_BATCH, RANGE_BATCH = 64, 128
"""The images a step of the control with shuffled labels, and at most of the range test."""

USUAL_OVERFIT = 50
"""Steps after which one batch is mostly known by heart: the trial ends there."""


@dataclass(frozen=True, slots=True)
class Plan:
    """How much is tried.

    Attributes:
        share: The share of the whole plan that the long trials have.
        steps: The first steps of the run, at its batch size.
        range_steps: The steps of the learning rate's range test.
        overfit_steps: At most so many steps to learn one batch by heart.
        control_steps: The steps on shuffled labels.
        sample: Training images that are looked at.
        val_sample: Validation images, likewise.
    """

    share: float = 1.0
    steps: int = 100
    range_steps: int = 40
    overfit_steps: int = 120
    shuffled_steps: int = 20
    sample: int = 512
    val_sample: int = 1_000

    def images(self, batch_size: int) -> int:
        """Return how many images are trained on; one that is only looked at costs a third."""
        trained = self.steps * batch_size + self.range_steps * min(batch_size, RANGE_BATCH)
        memorizing = min(self.overfit_steps, USUAL_OVERFIT) * BATCH
        apart = memorizing + self.shuffled_steps * SHUFFLED_BATCH
        return trained + apart + (4 * self.sample + 2 * self.val_sample) // 3


def whole_plan(batch_size: int, images_per_second: float) -> Plan:
    """Return the largest plan that a network of that speed gets through in :data:`SECONDS`."""
    plan = whole = Plan()
    for share in SHARES:
        plan = replace(
            whole,
            share=share,
            steps=int(whole.steps * share),
            range_steps=max(FEWEST_RATES, int(whole.range_steps * share)),
            shuffled_steps=max(FEWEST, int(whole.shuffled_steps * share)),
        )
        if plan.images(batch_size) <= SECONDS * images_per_second:
            break
    return plan
