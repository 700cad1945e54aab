"""Can the model overfit one batch? If not, no setting helps."""

from __future__ import annotations

from collections.abc import Iterator

import torch

from tui_trainer.lab.preflight.check_context import CheckContext
from tui_trainer.lab.preflight.plan import BATCH
from tui_trainer.models.build import dropout_of, set_dropout
from tui_trainer.protocol.diagnosis import Diagnosis, Severity

LR = 0.003
"""The learning rate of Adam, its default in this program."""

MEMORIZED, HALF_MEMORIZED = 0.95, 0.6
"""The accuracy from which on the batch is memorized, and below which the item is an error."""

STOP_LOSS = 0.02
"""The loss in nats at which the trial ends."""


def overfit_items(context: CheckContext) -> Iterator[Diagnosis]:
    """Train on one batch until it is memorized.

    The optimizer is always Adam: the question is what the model can learn; the run's own learning
    rate is a separate item. All regularization is off: augmentation, dropout, weight decay and
    label smoothing.
    """
    trial = context.trial(
        optimizer="adam", lr=LR, weight_decay=0.0, label_smoothing=0.0, schedule="constant"
    )
    if dropout_of(trial.model) is not None:
        set_dropout(trial.model, 0.0)
    split = context.sample.sample(BATCH)
    batch = context.data.prepare(split.images), split.labels
    losses: list[float] = []
    while len(losses) < context.plan.overfit_steps and not (losses and losses[-1] < STOP_LOSS):
        losses.append(float(trial.step(batch)))
    with torch.no_grad():
        correct = int((trial.model(batch[0]).argmax(dim=1) == batch[1]).sum())
    yield _item(losses, correct, len(split))


def _item(losses: list[float], correct: int, total: int) -> Diagnosis:
    share = correct / total
    severity: Severity = "ok"
    title, advice = "it can overfit one batch", ""
    if not share >= HALF_MEMORIZED:
        severity, title = "error", "it cannot overfit one batch"
        advice = "look for a frozen or dead layer, a missing gradient, or bounded logits"
    elif share < MEMORIZED:
        severity, title = "warning", "it overfits one batch slowly"
        advice = "use a wider or shallower model, or batch norm after the convolutions"
    return Diagnosis(
        code="one-batch",
        severity=severity,
        title=title,
        evidence=f"{correct} of {total} correct after {len(losses)} steps of Adam (lr {LR:g}), "
        f"loss {losses[0]:.3f} → {losses[-1]:.3f}",
        advice=advice,
        lesson=19,
        value=share,
        figure=f"{correct} of {total} correct",
    )
