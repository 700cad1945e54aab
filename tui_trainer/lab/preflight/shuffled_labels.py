"""A negative control: a model trained on shuffled labels cannot predict the true ones.

If it does, it has not learned them here: its weights are pretrained (perhaps on these images), the
answer is in its code, or the true labels leak to it. Its validation accuracy then measures no
learning.
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
"""Random permutations of the classes, for a permutation test of the accuracy."""

SIGNIFICANCE = 0.002
"""The significance level of the permutation test."""

LR = 0.003
SEED = 20


def shuffled_label_items(context: CheckContext) -> Iterator[Diagnosis]:
    """Train on shuffled labels with Adam, and test whether the accuracy beats guessing."""
    if not len(context.val_sample):
        yield Diagnosis(
            code="shuffled-labels",
            severity="warning",
            title="the shuffled labels control needs validation images",
            evidence="there is no validation split",
            advice="use a validation split: --val-size 1000",
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
    assert found.logits is not None, "evaluate keeps the logits"
    table = confusion_matrix(found.labels, found.logits.argmax(dim=1), context.data.classes)
    yield _item(table, context.plan.shuffled_steps, rng)


def _item(table: Tensor, steps: int, rng: torch.Generator) -> Diagnosis:
    total, correct = int(table.sum()), int(table.diagonal().sum())
    low, high = wilson(correct, total)
    guess = max(1 / len(table), float(table.sum(dim=1).max()) / total)
    severity: Severity = "ok"
    title, advice = "shuffled labels: no better than guessing", ""
    accuracy = fmt.accuracy_with_interval(correct / total, (low, high))
    text = f"accuracy {accuracy} on {total:,} validation images after {steps} steps; "
    text += f"majority class {fmt.percent(guess)}"
    if low > guess:
        share = _as_good(table, correct, rng)
        text += f"; {share:.1%} of {PERMUTATIONS:,} random class permutations do as well"
        if share <= SIGNIFICANCE:
            severity, title = "error", "it predicts labels that it never saw"
            advice = (
                "check for pretrained weights, and for labels in the model's code or the images: "
                "it did not learn this accuracy here"
            )
    return Diagnosis(
        code="shuffled-labels",
        severity=severity,
        title=title,
        evidence=text,
        advice=advice,
        lesson=19,
        value=correct / total,
        figure=f"accuracy {100 * correct / total:.1f} %",
    )


def _as_good(table: Tensor, correct: int, rng: torch.Generator) -> float:
    """Return the share of class permutations with at least as many correct images.

    An untrained model predicts the same class for similar images. By luck it is the true one for a
    whole class, so its accuracy varies far more than Wilson's interval, which assumes independent
    images. The permutations show how much.
    """
    classes, good = len(table), 0
    places = torch.arange(classes)
    for _ in range(PERMUTATIONS):
        names = torch.randperm(classes, generator=rng)
        good += int(table[places, names].sum()) >= correct
    return good / PERMUTATIONS
