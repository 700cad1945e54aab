"""A control: who learns shuffled labels can know nothing of the true ones.

A network that does all the same has not learned them here. Its weights knew the classes before
(they were trained elsewhere, on these images perhaps), the answer is built into its code, or the
true labels reach it by another way. What it then reaches on validation is not what it has learned.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from tui_trainer.engine.evaluation import confusion_matrix, evaluate
from tui_trainer.lab.preflight.check_context import CheckContext
from tui_trainer.lab.preflight.plan import SHUFFLED_BATCH
from tui_trainer.protocol.diagnosis import Diagnosis, Severity
from tui_trainer.stats.intervals import wilson
from tui_trainer.text import fmt

PERMUTATIONS = 1_000
"""Ways to name the classes anew, by which chance is told from knowledge."""

SIGNIFICANCE = 0.002
"""The share of them that may do as well as the true names."""

LR = 0.003
SEED = 20


def shuffled_label_items(context: CheckContext) -> Iterator[Diagnosis]:
    """Train on shuffled labels with Adam, and look whether validation beats guessing."""
    if not len(context.val_sample):
        yield Diagnosis(
            code="shuffled-labels",
            severity="warning",
            title="the control needs validation images",
            evidence="there is no validation split",
            advice="keep some images for validation: --val-size 1000",
            lesson=19,
        )
        return
    rng = torch.Generator().manual_seed(SEED)
    trial = context.trial(optimizer="adam", lr=LR, batch_size=SHUFFLED_BATCH, schedule="constant")
    train = context.data.train
    order = torch.randperm(len(train), generator=rng).to(train.labels.device)
    size = min(SHUFFLED_BATCH, len(train))
    for _ in range(context.plan.shuffled_steps):
        if trial.batches.stream.remaining < size:
            trial.batches.stream.begin_epoch()
        places = trial.batches.stream.take(size)
        images = context.data.prepare(train.images[places])
        trial.step((images, train.labels[order[places]]))
    found = evaluate(trial.model, context.data, context.val_sample)
    assert found.logits is not None, "evaluate keeps them"
    table = confusion_matrix(found.labels, found.logits.argmax(dim=1), context.data.classes)
    yield _item(table, context.plan.shuffled_steps, rng)


def _item(table: Tensor, steps: int, rng: torch.Generator) -> Diagnosis:
    total, right = int(table.sum()), int(table.diagonal().sum())
    low, high = wilson(right, total)
    guess = max(1 / len(table), float(table.sum(dim=1).max()) / total)
    severity: Severity = "ok"
    title, advice = "on shuffled labels it stays at guessing", ""
    told = f"{fmt.accuracy_with_interval(right / total, (low, high))} of {total:,} validation "
    told += f"images right after {steps} steps; guessing the commonest class {fmt.percent(guess)}"
    if low > guess:
        share = _as_good(table, right, rng)
        told += f"; of {PERMUTATIONS:,} other ways to name the classes {share:.1%} do as well"
        if share <= SIGNIFICANCE:
            severity, title = "error", "it knows labels that it was never shown"
            advice = (
                "what it reaches on validation is not learned here: are its weights trained "
                "already, or is the answer in its code or in the images?"
            )
    return Diagnosis(
        code="shuffled-labels",
        severity=severity,
        title=title,
        evidence=told,
        advice=advice,
        lesson=19,
        value=right / total,
        figure=f"{100 * right / total:.1f} % right",
    )


def _as_good(table: Tensor, right: int, rng: torch.Generator) -> float:
    """Return the share of random namings of the classes that get as many images right.

    An untrained network gives all images that look alike the same class. By luck that is the right
    one for a whole class, so that its accuracy spreads far wider than Wilson's interval says, which
    takes images as independent. What luck can do, the other namings show.
    """
    classes, good = len(table), 0
    places = torch.arange(classes)
    for _ in range(PERMUTATIONS):
        names = torch.randperm(classes, generator=rng)
        good += int(table[places, names].sum()) >= right
    return good / PERMUTATIONS
