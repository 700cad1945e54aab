"""Can the network learn one batch by heart? If not, no setting will help it."""

from __future__ import annotations

from collections.abc import Iterator

import torch

from tui_trainer.lab.preflight.bench import Lab
from tui_trainer.lab.preflight.plan import BATCH
from tui_trainer.models.build import dropout_of, set_dropout
from tui_trainer.protocol.diagnosis import Diagnosis, Severity

RATE = 0.003
"""Adam's rate here, its usual one in this program."""

LEARNED, HALF_LEARNED = 0.95, 0.6
"""The share of the batch that is known by heart, and less than which is as good as nothing."""

STOP_LOSS = 0.02
"""Nats at which nothing more is to be shown."""


def overfit_items(lab: Lab) -> Iterator[Diagnosis]:
    """Train on one batch until it is known by heart.

    With Adam, whatever the run's optimizer is: the question is what the network can learn, and how
    the run's own rate does is judged by itself. Nothing that makes learning by heart harder is on:
    no augmentation, dropout, weight decay nor label smoothing.
    """
    trial = lab.trial(
        optimizer="adam", lr=RATE, weight_decay=0.0, label_smoothing=0.0, schedule="constant"
    )
    if dropout_of(trial.network) is not None:
        set_dropout(trial.network, 0.0)
    split = lab.sample.sample(BATCH)
    batch = lab.data.prepare(split.images), split.labels
    losses: list[float] = []
    while len(losses) < lab.plan.overfit_steps and not (losses and losses[-1] < STOP_LOSS):
        losses.append(float(trial.step(batch)))
    with torch.no_grad():
        hits = int((trial.network(batch[0]).argmax(dim=1) == batch[1]).sum())
    yield _item(losses, hits, len(split))


def _item(losses: list[float], hits: int, total: int) -> Diagnosis:
    share = hits / total
    severity: Severity = "ok"
    title, advice = "one batch can be learned by heart", ""
    if not share >= HALF_LEARNED:
        severity, title = "error", "one batch cannot be learned by heart"
        advice = "look for what loses the image on the way: a frozen or dead layer, bounded scores"
    elif share < LEARNED:
        severity, title = "warning", "one batch is learned by heart slowly"
        advice = "a wider or shallower network, or a norm behind the convolutions, learns faster"
    return Diagnosis(
        code="one-batch",
        severity=severity,
        title=title,
        evidence=f"{hits} of {total} images right after {len(losses)} steps of adam at {RATE:g}, "
        f"loss {losses[0]:.3f} → {losses[-1]:.3f}",
        advice=advice,
        lesson=19,
        value=share,
        figure=f"{hits} of {total} right",
    )
