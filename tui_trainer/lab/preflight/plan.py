"""The plan of a check: how much is tried, so that it takes about twenty seconds."""

from __future__ import annotations

from dataclasses import dataclass, replace

SECONDS = 16.0
"""Seconds for all trials, without loading torch and the images."""

SHARES = (1.0, 0.75, 0.5, 0.25, 0.125)
"""Shares of the long trials for slow models; even the last one may take longer than planned."""

FEWEST, FEWEST_LRS = 15, 40
"""The fewest useful steps of a trial, and of a learning rate range test over five decades."""

BATCH = 32
"""The images of the batch to overfit: several of each class, and fast."""

SHUFFLED_BATCH, RANGE_BATCH = 64, 128
"""Batch size of the shuffled labels control, and the largest one of the range test."""

USUAL_OVERFIT = 50
"""Steps after which one batch is usually memorized, where the trial ends."""


@dataclass(frozen=True, slots=True)
class Plan:
    """How much is tried.

    Attributes:
        share: The share of the full plan for the long trials.
        steps: The first steps of the run, at its batch size.
        range_steps: The steps of the learning rate range test.
        overfit_steps: The most steps to overfit one batch.
        shuffled_steps: The steps on shuffled labels.
        sample: The number of sampled training images.
        val_sample: The number of sampled validation images.
    """

    share: float = 1.0
    steps: int = 100
    range_steps: int = 40
    overfit_steps: int = 120
    shuffled_steps: int = 20
    sample: int = 512
    val_sample: int = 1_000

    def images(self, batch_size: int) -> int:
        """Return the cost in training images; a forward pass alone counts a third."""
        trained = self.steps * batch_size + self.range_steps * min(batch_size, RANGE_BATCH)
        memorizing = min(self.overfit_steps, USUAL_OVERFIT) * BATCH
        apart = memorizing + self.shuffled_steps * SHUFFLED_BATCH
        return trained + apart + (4 * self.sample + 2 * self.val_sample) // 3


def whole_plan(batch_size: int, images_per_second: float) -> Plan:
    """Return the largest plan that a model of that speed finishes in :data:`SECONDS`."""
    plan = whole = Plan()
    for share in SHARES:
        plan = replace(
            whole,
            share=share,
            steps=int(whole.steps * share),
            range_steps=max(FEWEST_LRS, int(whole.range_steps * share)),
            shuffled_steps=max(FEWEST, int(whole.shuffled_steps * share)),
        )
        if plan.images(batch_size) <= SECONDS * images_per_second:
            break
    return plan
