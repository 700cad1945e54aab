"""Can the model overfit one batch? If not, no setting helps."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from tui_trainer.engine.steps import loss_fn
from tui_trainer.lab.preflight.check_context import CheckContext
from tui_trainer.lab.preflight.check_item import check_item
from tui_trainer.lab.preflight.plan import BATCH
from tui_trainer.models.build import dropout_of, set_dropout
from tui_trainer.protocol.diagnosis import CheckItem, Severity

LRS = (0.003, 0.0005)
"""The learning rates of Adam: its default in this program, and a lower one if that fails."""

MEMORIZED, HALF_MEMORIZED = 0.95, 0.6
"""The accuracy from which on the batch is memorized, and below which the item is an error."""

STOP_LOSS = 0.02
"""The loss in nats at which the trial ends."""


@dataclass(frozen=True, slots=True)
class Overfit:
    """The result of training on one batch.

    Attributes:
        lr: The learning rate.
        steps: The number of steps.
        first: The loss before them.
        last: The loss after them, of the same weights as ``correct``.
        correct: Correct images of the batch.
        total: The images of the batch.
    """

    lr: float
    steps: int
    first: float
    last: float
    correct: int
    total: int

    @property
    def share(self) -> float:
        """The accuracy on the batch."""
        return self.correct / self.total


def overfit_one_batch(context: CheckContext) -> Overfit:
    """Train on one batch until it is memorized; if it is not, try once more with smaller steps."""
    found = _overfit(context, LRS[0], context.plan.overfit_steps)
    if found.share >= HALF_MEMORIZED:
        return found
    again = _overfit(context, LRS[1], 2 * context.plan.overfit_steps)
    return max(found, again, key=lambda one: one.share)


def _overfit(context: CheckContext, lr: float, steps: int) -> Overfit:
    """Train on one batch with Adam.

    The optimizer is always Adam: the question is what the model can learn; the run's own learning
    rate is a separate item. All regularization is off: augmentation, dropout, weight decay and
    label smoothing.
    """
    trial = context.trial(
        optimizer="adam", lr=lr, weight_decay=0.0, label_smoothing=0.0, schedule="constant"
    )
    if dropout_of(trial.model) is not None:
        set_dropout(trial.model, 0.0)
    split = context.sample.sample(BATCH)
    batch = context.data.prepare(split.images), split.labels
    losses: list[float] = []
    while len(losses) < steps and not (losses and losses[-1] < STOP_LOSS):
        losses.append(float(trial.step(batch)))
    with torch.no_grad():
        logits = trial.model(batch[0])
        last = float(loss_fn(logits, batch[1]))
        correct = int((logits.argmax(dim=1) == batch[1]).sum())
    return Overfit(lr, len(losses), losses[0], last, correct, len(split))


def overfit_item(found: Overfit) -> CheckItem:
    """Return the item."""
    severity: Severity = "ok"
    title, advice = "it can overfit one batch", ""
    if not found.share >= HALF_MEMORIZED:
        severity, title = "error", "it cannot overfit one batch"
        advice = "look for a frozen or dead layer, a missing gradient, or bounded logits"
    elif found.share < MEMORIZED:
        severity, title = "note", "it overfits one batch slowly"
        advice = "use a wider or shallower model, or batch norm after the convolutions"
    return check_item(
        code="one-batch",
        severity=severity,
        title=title,
        evidence=f"{found.correct} of {found.total} correct after {found.steps} steps of Adam "
        f"(lr {found.lr:g}), loss {found.first:.3f} → {found.last:.3f}",
        advice=advice,
        lesson=19,
        value=found.share,
        figure=f"{found.correct} of {found.total} correct",
        cause="capacity",
        likelihood="possible",
    )
