"""Can the network learn one batch by heart? If not, no setting will help it."""

from __future__ import annotations

from collections.abc import Iterator

import torch

from tui_trainer.lab.preflight.check_context import CheckContext
from tui_trainer.lab.preflight.plan import BATCH
from tui_trainer.models.build import dropout_of, set_dropout
from tui_trainer.protocol.diagnosis import Diagnosis, Severity

LR = 0.003
"""Adam's rate here, its usual one in this program."""

MEMORIZED, HALF_MEMORIZED = 0.95, 0.6
"""The share of the batch that is known by heart, and less than which is as good as nothing."""

STOP_LOSS = 0.02
"""Nats at which nothing more is to be shown."""


def overfit_items(context: CheckContext) -> Iterator[Diagnosis]:
    """Train on one batch until it is known by heart.

    With Adam, whatever the run's optimizer is: the question is what the network can learn, and how
    the run's own rate does is judged by itself. Nothing that makes learning by heart harder is on:
    no augmentation, dropout, weight decay nor label smoothing.
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
    title, advice = "one batch can be learned by heart", ""
    if not share >= HALF_MEMORIZED:
        severity, title = "error", "one batch cannot be learned by heart"
        advice = "look for what loses the image on the way: a frozen or dead layer, bounded scores"
    elif share < MEMORIZED:
        severity, title = "warning", "one batch is learned by heart slowly"
        advice = "a wider or shallower network, or a norm behind the convolutions, learns faster"
    return Diagnosis(
        code="one-batch",
        severity=severity,
        title=title,
        evidence=f"{correct} of {total} images right after {len(losses)} steps of adam at {LR:g}, "
        f"loss {losses[0]:.3f} → {losses[-1]:.3f}",
        advice=advice,
        lesson=19,
        value=share,
        figure=f"{correct} of {total} right",
    )
