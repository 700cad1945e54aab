"""Two trainings on few digits, one of them with a remedy against memorizing them."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from torch import nn

from tui_trainer.data.dataset import Data, Split
from tui_trainer.engine.evaluation import Evaluation
from tui_trainer.lab.compare import RECIPE, accuracy_text, arm, differences, score
from tui_trainer.lab.context import SEED, Context
from tui_trainer.lab.lessons.overfitting.arithmetic import gap, gap_interval
from tui_trainer.lab.trial import SECONDS, Arm, race
from tui_trainer.protocol.exhibit import Curve, Curves, Exhibit, Table, Words
from tui_trainer.text.fmt import count, percent

DIGITS = 500
"""Training images by default."""

HIDDEN = 64
"""Hidden units: about 50,000 weights, a hundred for each of 500 digits."""

EPOCHS = 40
"""Epochs over the few digits, if there is time."""

BATCH = 25
"""Batch size: small, so that there are many steps."""

TRACKED_IMAGES = 500
"""Validation images for the loss curves …"""

VAL_IMAGES = 2_000
"""… and for the evaluation at the end."""

MORE_IMAGES_FACTOR = 10
"""The factor of the remedy "more images"."""

LR = 0.01
"""Low enough for small batches without batch norm."""

DROPOUT, DECAY = 0.3, 0.02

NO_REMEDY = "nothing"
REMEDIES = (NO_REMEDY, "augmentation", "dropout", "weight decay", "more images")

_DESCRIPTIONS: Mapping[str, str] = {
    NO_REMEDY: "no remedy either, but other initial weights: this difference is noise",
    "augmentation": "each image rotated, shifted and scaled a little, differently each time",
    "dropout": f"{DROPOUT:g} of the hidden units dropped at each step",
    "weight decay": f"{DECAY:g} instead of {RECIPE['weight_decay']:g}",
    "more images": f"{MORE_IMAGES_FACTOR} times as many images, each seen less often",
}


def untrained_model(context: Context, dropout: float = 0.0, seed: int = SEED) -> nn.Module:
    """Return an untrained model with one hidden layer, large for few digits."""
    inputs = context.data.values

    def build() -> nn.Module:
        return nn.Sequential(
            nn.Flatten(),
            nn.Linear(inputs, HIDDEN),
            nn.ReLU(),
            nn.Dropout(dropout),
            nn.Linear(HIDDEN, context.data.classes),
        )

    return context.build(build, seed)


@dataclass
class TrackedArm:
    """An arm with its loss curves.

    Attributes:
        arm: The training.
        train_images: Some of its training images, not augmented, for the training loss.
        epochs: At each measurement, the epochs over the few digits, counted in images.
        train: The loss on its own images, in evaluation mode.
        val: The loss on validation images.
    """

    arm: Arm
    train_images: Split
    epochs: list[float] = field(default_factory=list)
    train: list[float] = field(default_factory=list)
    val: list[float] = field(default_factory=list)

    def record(self, epoch: float, val: Split) -> None:
        """Measure both losses."""
        self.epochs.append(epoch)
        self.train.append(score(self.arm.trial, self.train_images).loss)
        self.val.append(score(self.arm.trial, val).loss)

    def curves(self) -> tuple[Curve, Curve]:
        """Return both losses by epoch."""
        x = tuple(self.epochs)
        return (
            Curve(name=f"{self.arm.name}, training", x=x, y=tuple(self.train)),
            Curve(name=f"{self.arm.name}, validation", x=x, y=tuple(self.val)),
        )


def overfit(context: Context, remedy: str, digits: int) -> Iterator[Exhibit]:
    """Train on few digits with and without a remedy, and compare the gaps."""
    tracked_arms = _tracked_arms(context, remedy, digits)
    text = f"{tracked_arms[1].arm.name}: {_DESCRIPTIONS[remedy]}. Both get equally many images."
    setup = Words(text=text, tone="muted")
    tracked_images, began = context.sample(TRACKED_IMAGES), context.clock()
    yield Exhibit(blocks=(setup,), progress=0.0)
    for epoch in range(EPOCHS + 1):
        left = SECONDS - (context.clock() - began)
        if left <= 0:
            break
        arms = [tracked.arm for tracked in tracked_arms]
        for _ in race(arms, images=epoch * digits, clock=context.clock, seconds=left):
            yield Exhibit(blocks=_shown(tracked_arms, setup), progress=_progress(epoch))
        for tracked in tracked_arms:
            tracked.record(arms[0].trial.images / digits, tracked_images)
        yield Exhibit(blocks=_shown(tracked_arms, setup), progress=_progress(epoch))
    val_images = context.sample(VAL_IMAGES)
    ends = [
        (score(p.arm.trial, p.train_images), score(p.arm.trial, val_images)) for p in tracked_arms
    ]
    yield Exhibit(
        blocks=(_table(tracked_arms, ends), *_shown(tracked_arms, setup)),
        result=_result(tracked_arms, ends),
        evidence=_uncertainty(tracked_arms, ends),
    )


def _tracked_arms(context: Context, remedy: str, digits: int) -> list[TrackedArm]:
    few = context.sample(digits, training=True)
    many = (
        context.sample(MORE_IMAGES_FACTOR * digits, training=True)
        if remedy == "more images"
        else few
    )
    settings: dict[str, object] = {
        "augmentation": {"augment": "light"},
        "weight decay": {"weight_decay": DECAY},
    }.get(remedy, {})  # type: ignore[assignment]
    model = untrained_model(
        context,
        dropout=DROPOUT if remedy == "dropout" else 0.0,
        seed=SEED + 1 if remedy == NO_REMEDY else SEED,
    )
    name = "other weights" if remedy == NO_REMEDY else remedy
    return [
        _tracked_arm(context, NO_REMEDY, untrained_model(context), few, {}, digits),
        _tracked_arm(context, name, model, many, settings, digits),
    ]


def _tracked_arm(
    context: Context,
    name: str,
    model: nn.Module,
    images: Split,
    settings: dict[str, object],
    digits: int,
) -> TrackedArm:
    data: Data = replace(context.data, train=images)
    train_images = Split(images.images[:digits], images.labels[:digits])
    settings = {"batch_size": BATCH, "lr": LR, **settings}
    return TrackedArm(arm(context, name, model, data, **settings), train_images)


def _progress(epoch: int) -> float:
    return min(1.0, epoch / EPOCHS)


def _shown(tracked_arms: Sequence[TrackedArm], setup: Words) -> tuple[Curves | Words, ...]:
    curves = Curves(
        caption="loss by epoch, in evaluation mode",
        x_label=f"epochs of {count(len(tracked_arms[0].train_images))} images",
        curves=tuple(curve for tracked in tracked_arms for curve in tracked.curves()),
        is_log=True,
    )
    return (curves, setup) if tracked_arms[0].epochs else (setup,)


Ends = Sequence[tuple[Evaluation, Evaluation]]
"""The final evaluation of each arm: on its own images, and on validation images."""


def _table(tracked_arms: Sequence[TrackedArm], ends: Ends) -> Table:
    return Table(
        caption="at the end; losses are validation losses",
        heads=("remedy", "training", "validation, 95 %", "lowest loss", "last loss"),
        rows=tuple(
            (
                tracked.arm.name,
                percent(train_images.accuracy),
                accuracy_text(new.correct, new.total),
                f"{min(tracked.val):.3f}",
                f"{tracked.val[-1]:.3f}",
            )
            for tracked, (train_images, new) in zip(tracked_arms, ends, strict=True)
        ),
        marked=max(range(len(ends)), key=lambda i: ends[i][1].accuracy),
    )


def _result(tracked_arms: Sequence[TrackedArm], ends: Ends) -> str:
    gaps = []
    for tracked, (train_images, new) in zip(tracked_arms, ends, strict=True):
        counted = (train_images.correct, train_images.total, new.correct, new.total)
        low, high = gap_interval(*counted)
        gaps.append(
            f"{tracked.arm.name} {100 * gap(*counted):.1f} points "
            f"[{100 * low:.1f}, {100 * high:.1f}]"
        )
    points = 100 * (ends[1][1].accuracy - ends[0][1].accuracy)
    return (
        f"Generalization gap: {'; '.join(gaps)}. Validation accuracy with "
        f"{tracked_arms[1].arm.name}: {points:+z.1f} points."
    )


def _uncertainty(tracked_arms: Sequence[TrackedArm], ends: Ends) -> str:
    evaluations = {
        tracked.arm.name: new for tracked, (_, new) in zip(tracked_arms, ends, strict=True)
    }
    epochs = math.floor(tracked_arms[0].epochs[-1])
    return (
        f"{epochs} epochs; evaluated on {count(ends[0][1].total)} validation images. "
        f"{differences(evaluations)} One seed: with remedy nothing, only the initial "
        "weights differ."
    )
