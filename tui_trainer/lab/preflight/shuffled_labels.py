"""A negative control: a model trained on shuffled labels cannot predict the true ones.

If it does, it has not learned them here: its weights are pretrained (perhaps on these images), the
answer is in its code, or the true labels leak to it. Its validation accuracy then measures no
learning.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from tui_trainer.engine.evaluation import evaluate
from tui_trainer.lab.preflight.check_context import CheckContext
from tui_trainer.lab.preflight.check_item import check_item
from tui_trainer.lab.preflight.plan import SHUFFLED_BATCH
from tui_trainer.models.tensors import confusion_matrix
from tui_trainer.protocol.diagnosis import Diagnosis, Severity
from tui_trainer.stats.intervals import wilson
from tui_trainer.text import fmt

PERMUTATIONS = 1_000
"""Random permutations of the classes, for a permutation test of the accuracy."""

SIGNIFICANCE = 0.002
"""The significance level of the permutation test."""

LR = 0.003
SEEDS = (20, 21)
"""The seeds of the first and the second control."""


def shuffled_label_items(context: CheckContext) -> Iterator[Diagnosis]:
    """Train on shuffled labels with Adam, and test whether the accuracy beats guessing.

    One control in 500 is significant by luck: only a second one, with another seed, makes an error.
    """
    if not len(context.val_sample):
        yield check_item(
            code="shuffled-labels",
            severity="note",
            title="the shuffled labels control needs validation images",
            evidence="there is no validation split",
            advice="use a validation split: --val-size 1000",
            lesson=19,
        )
        return
    first = _control(context, SEEDS[0])
    second = _control(context, SEEDS[1]) if first.is_significant else None
    yield _item(first, second, context.plan.shuffled_steps)


@dataclass(frozen=True, slots=True)
class _Control:
    """The result of one control.

    Attributes:
        correct: Correct validation images.
        total: Their number.
        guess: The share of the most frequent class.
        share: The share of random class permutations that do as well; 1 where it was not needed.
    """

    correct: int
    total: int
    guess: float
    share: float

    @property
    def is_significant(self) -> bool:
        return self.share <= SIGNIFICANCE

    @property
    def text(self) -> str:
        bounds = wilson(self.correct, self.total)
        text = f"accuracy {fmt.accuracy_with_interval(self.correct / self.total, bounds)} on "
        text += f"{self.total:,} validation images"
        if self.share < 1:
            text += f"; {self.share:.1%} of {PERMUTATIONS:,} random class permutations do as well"
        return text


def _control(context: CheckContext, seed: int) -> _Control:
    rng = torch.Generator().manual_seed(seed)
    trial = context.trial(
        optimizer="adam", lr=LR, batch_size=SHUFFLED_BATCH, schedule="constant", seed=seed
    )
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
    total, correct = int(table.sum()), int(table.diagonal().sum())
    guess = max(1 / len(table), float(table.sum(dim=1).max()) / total)
    is_above = wilson(correct, total)[0] > guess
    return _Control(correct, total, guess, _as_good(table, correct, rng) if is_above else 1.0)


def _item(first: _Control, second: _Control | None, steps: int) -> Diagnosis:
    severity: Severity = "ok"
    title, advice = "shuffled labels: no better than guessing", ""
    if second is not None and second.is_significant:
        severity, title = "error", "it predicts labels that it never saw"
        advice = (
            "check for pretrained weights, and for labels in the model's code or the images: "
            "it did not learn this accuracy here"
        )
    text = f"{first.text} after {steps} steps; majority class {fmt.percent(first.guess)}"
    if second is not None:
        text += f"; a second control: {second.text}"
    return check_item(
        code="shuffled-labels",
        severity=severity,
        title=title,
        evidence=text,
        advice=advice,
        lesson=19,
        value=first.correct / first.total,
        figure=f"accuracy {100 * first.correct / first.total:.1f} %",
        cause="leak",
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
