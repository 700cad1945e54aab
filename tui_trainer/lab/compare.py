"""Networks compared by training them side by side: curves, a table, and how sure the result is.

An experiment makes its arms with :func:`arm` and hands them to :func:`compare`::

    arms = [arm(context, "8 kernels", context.build(lambda: stack(8))), ...]
    yield from compare(context, arms, setup=blocks)

``compare`` yields exhibits while it trains, and at last one with result and certainty. A name has
at most 18 characters: the table is then no wider than 74 columns.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import combinations, takewhile

from torch import nn

from tui_trainer.data.dataset import Data, Split
from tui_trainer.engine.evaluation import Evaluation, evaluate
from tui_trainer.lab.context import Context
from tui_trainer.lab.trial import Arm, Trial, race
from tui_trainer.models.modes import recalibrate
from tui_trainer.protocol.exhibit import Block, Curves, Exhibit, Table
from tui_trainer.stats.intervals import mcnemar, wilson
from tui_trainer.text.fmt import accuracy_with_interval, count, percent

IMAGES = 12_000
"""Training images that each arm gets, if there is time."""

VAL_IMAGES = 1_500
"""Validation images on which the arms are judged."""

TRAINED = 14.0
"""Seconds that the arms train together: what is left of 20 is for judging them."""

RECIPE: Mapping[str, object] = {
    "optimizer": "sgd",
    "lr": 0.1,
    "momentum": 0.9,
    "nesterov": True,
    "weight_decay": 5e-4,
    "label_smoothing": 0.0,
    "batch_size": 32,
}
"""How arms are trained, whatever the run's own settings are: what is compared is not these."""

RECALIBRATED_ON = 640
"""Training images over which batch norm is recalibrated before an arm is judged."""

WORST = 3.0
"""Losses are capped at so many times that of a network that knows nothing."""

CHANCE = 0.05
"""How likely it may be that any pair is told apart where there is no difference at all."""


Evaluations = Mapping[str, Evaluation]
"""How the arms do, by their names."""

Found = Callable[[Sequence[Arm], Evaluations], tuple[Block, ...]]
"""What else there is to see once the arms are trained and judged."""


def arm(
    context: Context, name: str, model: nn.Module, data: Data | None = None, **settings: object
) -> Arm:
    """Return a training of a copy of a network by ``RECIPE``; ``settings`` change that."""
    trial = context.trial(model, data, **{**RECIPE, **settings})
    return Arm(name, trial, cap=loss_cap(context))


def loss_cap(context: Context) -> float:
    """Return the largest loss that is drawn, in nats."""
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
    """Train arms side by side, judge them, and say how sure the result is.

    Args:
        context: Where they are trained.
        arms: The trainings, each with a name of its own.
        setup: What was to be seen before; it stays below the curves.
        found: Gives more to see at the end, between the table and the curves.
        images: How many training images each gets at most, unless they get equal seconds.
        val_images: On how many images of validation they are judged.
        by_time: Equal seconds for each, and not equal images.
    """
    yield Exhibit(blocks=setup, progress=0.0)
    # Where time is equal, none may run out of images before the others.
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
        certainty=certainty(context, arms, evaluations, split, by_time=by_time),
    )


def score(trial: Trial, split: Split) -> Evaluation:
    """Return how a trial's network does on images, in evaluation mode."""
    return evaluate(trial.model, trial.data, split)


def recalibrate_trial(trial: Trial) -> None:
    """Recalibrate batch norm statistics with the weights as they are now.

    After so short a training they are still those of weights long gone, and an evaluation would
    judge that delay. Nothing is learned by it.
    """
    # As many images for each arm, whatever its batches are.
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
    """Return what each arm is and how far it came; the best one is marked."""
    accuracies = [evaluations[each.name].accuracy for each in arms]
    return Table(
        caption="after the training",
        heads=("network", "parameters", "images", "train loss", "accuracy, 95 %"),
        rows=tuple(
            (
                each.name,
                count(parameters(each.trial.model)),
                count(each.trial.images),
                "lost"
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
    """Return how many numbers a network learns."""
    return sum(parameter.numel() for parameter in model.parameters())


def result(arms: Sequence[Arm], evaluations: Evaluations) -> str:
    """Return who leads, who got how many images right, best first, and who was lost."""
    ranked = sorted(
        (each for each in arms if not each.is_nonfinite),
        key=lambda each: evaluations[each.name].accuracy,
        reverse=True,
    )
    parts = [f"{each.name} {percent(evaluations[each.name].accuracy)}" for each in ranked]
    lost = [each.name for each in arms if each.is_nonfinite]
    sentences = [f"Right: {', '.join(parts)}."] if parts else []
    if len(ranked) > 1:
        sentences.insert(0, lead({each.name: evaluations[each.name] for each in ranked}))
    if lost:
        sentences.append(f"The loss of {', '.join(lost)} is no number any more.")
    return " ".join(sentences)


def lead(ranked: Evaluations) -> str:
    """Return by how many points the first of several, best first, is ahead of the second."""
    first, second = list(ranked)[:2]
    points = 100 * (ranked[first].accuracy - ranked[second].accuracy)
    if not points:
        return f"{first} and {second} are level."
    is_sure = (first, second) in distinguishable(ranked)
    chance = "" if is_sure else ", which may be chance"
    return f"Ahead: {first}, by {points:.2f} points over {second}{chance}."


def certainty(
    context: Context,
    arms: Sequence[Arm],
    evaluations: Evaluations,
    split: Split,
    *,
    by_time: bool = False,
) -> str:
    """Return on how much a result rests, and which differences are more than chance."""
    seen = [each.trial.images for each in arms if not each.is_nonfinite] or [0]
    few, many = count(min(seen)), count(max(seen))
    amount = f"{few} training images each" if few == many else f"{few} to {many} training images"
    if by_time:
        amount = f"{max(each.seconds for each in arms):.1f} s each, {amount}"
    return (
        f"{amount}; judged on {count(len(split))} {context.split_name} images with 95 % Wilson "
        f"intervals. {differences(evaluations)} One seed each: after such a short training, other "
        "initial weights can change each accuracy by some points."
    )


def differences(evaluations: Evaluations) -> str:
    """Return which accuracies differ by more than the choice of the images explains."""
    over: dict[str, list[str]] = {}
    for better, worse in distinguishable(evaluations):
        over.setdefault(better, []).append(worse)
    if not over:
        return "No difference is more than the choice of images explains."
    ranked = sorted(over, key=lambda name: evaluations[name].accuracy, reverse=True)
    pairs = "; ".join(f"{better} over {', '.join(over[better])}" for better in ranked)
    total = len(evaluations) * (len(evaluations) - 1) // 2
    rest = " The other differences may be chance." if sum(map(len, over.values())) < total else ""
    return f"More than the choice of images explains: {pairs}.{rest}"


def distinguishable(evaluations: Evaluations) -> list[tuple[str, str]]:
    """Return the pairs, better one first, whose difference in accuracy is more than chance.

    All are judged on the same images, so that each pair is compared image by image. Of many pairs
    some differ by chance: the smaller its p value, the fewer others a pair is weighed against.

    Source: S. Holm, "A simple sequentially rejective multiple test procedure", Scandinavian Journal
    of Statistics 6 (1979), 65-70.
    """
    ranked = sorted(evaluations, key=lambda name: evaluations[name].correct, reverse=True)
    pairs = sorted(
        (_by_chance(evaluations[a], evaluations[b]), a, b) for a, b in combinations(ranked, 2)
    )
    left = range(len(pairs), 0, -1)
    sure = takewhile(lambda one: one[0][0] <= CHANCE / one[1], zip(pairs, left, strict=True))
    return [(better, worse) for (_, better, worse), _ in sure]


def _by_chance(one: Evaluation, other: Evaluation) -> float:
    return mcnemar(
        int((one.is_correct & ~other.is_correct).sum()),
        int((~one.is_correct & other.is_correct).sum()),
    )
