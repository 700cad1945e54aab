"""Compare models by training them side by side: curves, a table, and the certainty of the result.

An experiment makes its arms with :func:`arm` and hands them to :func:`compare`::

    arms = [arm(context, "8 kernels", context.build(lambda: stack(8))), ...]
    yield from compare(context, arms, setup=blocks)

``compare`` yields exhibits while it trains, and a last one with result and certainty. A name has
at most 18 characters: the table is then no wider than 74 columns.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import combinations

from torch import nn

from tui_trainer.data.dataset import Data, Split
from tui_trainer.engine.evaluation import Evaluation, evaluate
from tui_trainer.lab.context import Context
from tui_trainer.lab.trial import Arm, Trial, race
from tui_trainer.models.modes import recalibrate
from tui_trainer.protocol.exhibit import Block, Curves, Exhibit, Table
from tui_trainer.stats.intervals import holm, mcnemar, wilson
from tui_trainer.text.fmt import accuracy_with_interval, count, percent

IMAGES = 12_000
"""Training images of each arm, if the time suffices."""

VAL_IMAGES = 1_500
"""Validation images on which the arms are evaluated."""

TRAINED = 14.0
"""Seconds for the training of all arms: the rest of 20 is for their evaluation."""

RECIPE: Mapping[str, object] = {
    "optimizer": "sgd",
    "lr": 0.1,
    "momentum": 0.9,
    "nesterov": True,
    "weight_decay": 5e-4,
    "label_smoothing": 0.0,
    "batch_size": 32,
}
"""The settings of all arms, independent of those of the run: they are not compared."""

RECALIBRATED_ON = 640
"""Training images on which batch norm is recalibrated before an arm is evaluated."""

WORST = 3.0
"""Losses are capped at this multiple of the loss of uniform guessing."""

ALPHA = 0.05
"""The family-wise error rate: P(any pair differs significantly) if there is no difference."""


Evaluations = Mapping[str, Evaluation]
"""The evaluation of each arm, by name."""

Found = Callable[[Sequence[Arm], Evaluations], tuple[Block, ...]]
"""Returns more blocks once the arms are trained and evaluated."""


def arm(
    context: Context, name: str, model: nn.Module, data: Data | None = None, **settings: object
) -> Arm:
    """Return the training of a copy of a model with ``RECIPE``; ``settings`` override it."""
    trial = context.trial(model, data, **{**RECIPE, **settings})
    return Arm(name, trial, cap=loss_cap(context))


def loss_cap(context: Context) -> float:
    """Return the largest plotted loss, in nats."""
    return WORST * math.log(context.data.classes)


def compare(
    context: Context,
    arms: Sequence[Arm],
    *,
    setup: tuple[Block, ...] = (),
    found: Found = lambda arms, evaluations: (),
    images: int = IMAGES,
    val_images: int = VAL_IMAGES,
    by_time: bool = False,
) -> Iterator[Exhibit]:
    """Train arms side by side, evaluate them, and test the differences for significance.

    Args:
        context: The context of the experiment.
        arms: The trainings, with unique names.
        setup: Blocks that stay below the curves.
        found: Returns blocks for the end, between the table and the curves.
        images: The most training images per arm; ignored if ``by_time``.
        val_images: The number of validation images for the evaluation.
        by_time: Give each arm equal seconds instead of equal images.
    """
    yield Exhibit(blocks=setup, progress=0.0)
    # With equal time, no arm may run out of images before the others.
    most = math.inf if by_time else images
    for share in race(arms, images=most, clock=context.clock, seconds=TRAINED, by_time=by_time):
        yield Exhibit(blocks=(losses(arms), *setup), progress=share)
    split = context.sample(val_images)
    evaluations: dict[str, Evaluation] = {}
    for each in arms:
        recalibrate_trial(each.trial)
        evaluations[each.name] = score(each.trial, split)
        yield Exhibit(blocks=(losses(arms), *setup), progress=1.0)
    yield Exhibit(
        blocks=(outcome(arms, evaluations), *found(arms, evaluations), losses(arms), *setup),
        result=result(arms, evaluations),
        evidence=evidence(context, arms, evaluations, split, by_time=by_time),
    )


def score(trial: Trial, split: Split) -> Evaluation:
    """Evaluate the model of a trial on images, in evaluation mode."""
    return evaluate(trial.model, trial.data, split)


def recalibrate_trial(trial: Trial) -> None:
    """Recalibrate the batch norm statistics with the current weights.

    After such a short training the running statistics lag behind the weights, and an evaluation
    would measure that lag. No weight changes.
    """
    # The same number of images for each arm, independent of its batch size.
    count = math.ceil(RECALIBRATED_ON / trial.config.batch_size)
    recalibrate(trial.model, (trial.batch()[0] for _ in range(count)))


def losses(arms: Sequence[Arm]) -> Curves:
    """Return the arms' training losses as curves."""
    return Curves(
        caption="training loss, smoothed",
        x_label="training images",
        curves=tuple(each.curve() for each in arms if each.images),
        is_log=True,
    )


def outcome(arms: Sequence[Arm], evaluations: Evaluations) -> Table:
    """Return a table of the arms with loss and accuracy; the best one is marked."""
    accuracies = [evaluations[each.name].accuracy for each in arms]
    return Table(
        caption="after the training",
        heads=("network", "parameters", "images", "train loss", "accuracy, 95 %"),
        rows=tuple(
            (
                each.name,
                count(parameters(each.trial.model)),
                count(each.trial.images),
                "diverged"
                if each.is_nonfinite
                else f"{each.losses[-1]:.4f}"
                if each.losses
                else "none",
                accuracy_text(evaluations[each.name].correct, evaluations[each.name].total),
            )
            for each in arms
        ),
        marked=accuracies.index(max(accuracies)),
    )


def accuracy_text(correct: int, total: int) -> str:
    """Return a share of images in percent, with its Wilson interval: ``90.0 % [88.0, 91.7]``."""
    return accuracy_with_interval(correct / total, wilson(correct, total))


def parameters(model: nn.Module) -> int:
    """Return the number of parameters of a model."""
    return sum(parameter.numel() for parameter in model.parameters())


def result(arms: Sequence[Arm], evaluations: Evaluations) -> str:
    """Return the leading arm, the accuracies in order, and the diverged arms."""
    ranked = sorted(
        (each for each in arms if not each.is_nonfinite),
        key=lambda each: evaluations[each.name].accuracy,
        reverse=True,
    )
    parts = [f"{each.name} {percent(evaluations[each.name].accuracy)}" for each in ranked]
    diverged = [each.name for each in arms if each.is_nonfinite]
    sentences = [f"Accuracy: {', '.join(parts)}."] if parts else []
    if len(ranked) > 1:
        sentences.insert(0, lead({each.name: evaluations[each.name] for each in ranked}))
    if diverged:
        sentences.append(f"The loss of {', '.join(diverged)} is not finite.")
    return " ".join(sentences)


def lead(ranked: Evaluations) -> str:
    """Return the lead of the first arm over the second, in points; ``ranked`` is best first."""
    first, second = list(ranked)[:2]
    points = 100 * (ranked[first].accuracy - ranked[second].accuracy)
    if not points:
        return f"{first} and {second} have equal accuracy."
    is_significant = (first, second) in distinguishable(ranked)
    note = "" if is_significant else ", not significant"
    return f"Highest accuracy: {first}, {points:.2f} points more than {second}{note}."


def evidence(
    context: Context,
    arms: Sequence[Arm],
    evaluations: Evaluations,
    split: Split,
    *,
    by_time: bool = False,
) -> str:
    """Return the data behind a result, and which differences are significant."""
    seen = [each.trial.images for each in arms if not each.is_nonfinite] or [0]
    few, many = count(min(seen)), count(max(seen))
    budget = f"{few} training images each" if few == many else f"{few} to {many} training images"
    if by_time:
        budget = f"{max(each.seconds for each in arms):.1f} s each, {budget}"
    return (
        f"{budget}; evaluated on {count(len(split))} {context.split_name} images with 95 % Wilson "
        f"intervals. {differences(evaluations)} One seed each: after such a short training, other "
        "initial weights can change each accuracy by a few points."
    )


def differences(evaluations: Evaluations) -> str:
    """Return a sentence on which accuracies differ significantly."""
    over: dict[str, list[str]] = {}
    for better, worse in distinguishable(evaluations):
        over.setdefault(better, []).append(worse)
    if not over:
        return "No difference is significant (McNemar, Holm)."
    ranked = sorted(over, key=lambda name: evaluations[name].accuracy, reverse=True)
    pairs = "; ".join(f"{better} over {', '.join(over[better])}" for better in ranked)
    total = len(evaluations) * (len(evaluations) - 1) // 2
    rest = (
        " The other differences are not significant."
        if sum(map(len, over.values())) < total
        else ""
    )
    return f"Significant (McNemar, Holm): {pairs}.{rest}"


def distinguishable(evaluations: Evaluations) -> list[tuple[str, str]]:
    """Return the pairs, better one first, whose accuracies differ significantly.

    All are evaluated on the same images, so McNemar's test compares each pair image by image. The
    Holm correction accounts for the number of pairs.
    """
    ranked = sorted(evaluations, key=lambda name: evaluations[name].correct, reverse=True)
    pairs = sorted(
        (_p_value(evaluations[a], evaluations[b]), a, b) for a, b in combinations(ranked, 2)
    )
    adjusted = holm([p for p, _, _ in pairs])
    return [
        (better, worse) for p, (_, better, worse) in zip(adjusted, pairs, strict=True) if p <= ALPHA
    ]


def _p_value(one: Evaluation, other: Evaluation) -> float:
    return mcnemar(
        int((one.is_correct & ~other.is_correct).sum()),
        int((~one.is_correct & other.is_correct).sum()),
    )
