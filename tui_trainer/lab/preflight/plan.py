"""The plan of a check: how much is tried, from the work of the model alone.

No clock is read: a check on a loaded machine tries the same as on a quiet one, and its verdicts are
the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from tui_trainer.protocol.layers import LayerRow
from tui_trainer.stats import envelope

WORK = 2e11
"""Multiply-adds of the first steps: about five seconds of one core at 40 per nanosecond."""

FEWEST = 8
"""The fewest steps, however large the model and the batch are."""

BACKWARD = 3
"""A training step takes three times the multiply-adds of a forward pass."""

FEATURE = 160
"""The work of one feature of a layer's output, in multiply-adds: it is read and written several
times, which takes 3.4 ns where a multiply-add takes 0.02 (19 models of the zoo, one core)."""

BATCH = 32
"""The images of the batch to overfit: several of each class, and fast."""

SHUFFLED_BATCH = 64
"""Batch size of the shuffled labels control."""


@dataclass(frozen=True, slots=True)
class Plan:
    """How much is tried.

    Attributes:
        steps: The first steps of the run, at its batch size.
        overfit_steps: The most steps to overfit one batch.
        shuffled_steps: The steps on shuffled labels.
        sample: The number of sampled training images.
        val_sample: The number of sampled validation images.
    """

    steps: int = envelope.STEPS
    overfit_steps: int = 120
    shuffled_steps: int = 20
    sample: int = 512
    val_sample: int = 600


def work_of(layers: Sequence[LayerRow]) -> float:
    """Return the work of training on one image, in multiply-adds, from the layer table."""
    features = sum(row.repeats * _product(row.output_shape) for row in layers)
    # A model that cannot be traced is one row: each parameter is used at least once.
    multiply_adds = sum(max(row.multiply_adds or 0, row.parameters) for row in layers)
    return BACKWARD * multiply_adds + FEATURE * features


def whole_plan(batch_size: int, work: float) -> Plan:
    """Return the plan for a model with that work per image: large ones get fewer steps."""
    plan = Plan()
    affordable = int(WORK / max(1.0, work * batch_size))
    return replace(plan, steps=max(FEWEST, min(plan.steps, affordable)))


def _product(shape: Sequence[int]) -> int:
    height, width, channels = shape
    return height * width * channels
