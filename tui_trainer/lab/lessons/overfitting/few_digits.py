"""Two trainings on few digits, one of them with a remedy against learning them by heart."""

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
"""Training images, unless the reader wants others."""

HIDDEN = 64
"""Units of the hidden layer: some 50,000 weights, room for a hundred numbers a digit."""

EPOCHS = 40
"""How often each digit is met, if there is time."""

BATCH = 25
"""Images of a batch: few, so that there are many steps."""

WATCHED = 500
"""Images of validation by which the losses are followed …"""

VAL_IMAGES = 2_000
"""… and by which the arms are judged at the end."""

MANY = 10
"""How many times as many images the remedy "more images" has."""

RATE = 0.01
"""Low enough for a network without batch norm and batches of so few."""

DROPOUT, DECAY = 0.3, 0.02

NOTHING = "nothing"
REMEDIES = (NOTHING, "augmentation", "dropout", "weight decay", "more images")

_MEANS: Mapping[str, str] = {
    NOTHING: "nothing as well, but other first weights: so much is chance",
    "augmentation": "each digit turned, moved and scaled a little, anew each time",
    "dropout": f"{DROPOUT:g} of the hidden units hidden at each step",
    "weight decay": f"{DECAY:g} instead of {RECIPE['weight_decay']:g}",
    "more images": f"{MANY} times as many digits, each met a {MANY}th as often",
}


def learner(context: Context, dropout: float = 0.0, seed: int = SEED) -> nn.Module:
    """Return an untrained network with one hidden layer, large for few digits."""
    inputs = context.data.image_size**2

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
class Pupil:
    """An arm with what it has shown so far.

    Attributes:
        arm: The training.
        own: Some of its training images, not augmented, by which its training loss is measured.
        epochs: How often it had met each of the few digits, or as many images, at each look.
        train: The loss on its own images then, in evaluation mode.
        val: The loss on validation images then.
    """

    arm: Arm
    own: Split
    epochs: list[float] = field(default_factory=list)
    train: list[float] = field(default_factory=list)
    val: list[float] = field(default_factory=list)

    def look(self, epoch: float, val: Split) -> None:
        """Measure both losses."""
        self.epochs.append(epoch)
        self.train.append(score(self.arm.trial, self.own).loss)
        self.val.append(score(self.arm.trial, val).loss)

    def curves(self) -> tuple[Curve, Curve]:
        """Return both losses by epoch."""
        x = tuple(self.epochs)
        return (
            Curve(name=f"{self.arm.name}, training", x=x, y=tuple(self.train)),
            Curve(name=f"{self.arm.name}, validation", x=x, y=tuple(self.val)),
        )


def overfit(context: Context, remedy: str, digits: int) -> Iterator[Exhibit]:
    """Train on few digits with and without a remedy; say what the gaps are and how sure that is."""
    pupils = _pupils(context, remedy, digits)
    text = f"{pupils[1].arm.name}: {_MEANS[remedy]}. Both see equally many images."
    setup = Words(text=text, tone="muted")
    watched, began = context.sample(WATCHED), context.clock()
    yield Exhibit(blocks=(setup,), progress=0.0)
    for epoch in range(EPOCHS + 1):
        left = SECONDS - (context.clock() - began)
        if left <= 0:
            break
        arms = [pupil.arm for pupil in pupils]
        for _ in race(arms, images=epoch * digits, clock=context.clock, seconds=left):
            yield Exhibit(blocks=_shown(pupils, setup), progress=_far(epoch))
        for pupil in pupils:
            pupil.look(arms[0].trial.images / digits, watched)
        yield Exhibit(blocks=_shown(pupils, setup), progress=_far(epoch))
    judged = context.sample(VAL_IMAGES)
    ends = [(score(p.arm.trial, p.own), score(p.arm.trial, judged)) for p in pupils]
    yield Exhibit(
        blocks=(_table(pupils, ends), *_shown(pupils, setup)),
        result=_result(pupils, ends),
        certainty=_certainty(pupils, ends),
    )


def _pupils(context: Context, remedy: str, digits: int) -> list[Pupil]:
    few = context.sample(digits, training=True)
    many = context.sample(MANY * digits, training=True) if remedy == "more images" else few
    settings: dict[str, object] = {
        "augmentation": {"augment": "light"},
        "weight decay": {"weight_decay": DECAY},
    }.get(remedy, {})  # type: ignore[assignment]
    network = learner(
        context,
        dropout=DROPOUT if remedy == "dropout" else 0.0,
        seed=SEED + 1 if remedy == NOTHING else SEED,
    )
    name = "other weights" if remedy == NOTHING else remedy
    return [
        _pupil(context, NOTHING, learner(context), few, {}, digits),
        _pupil(context, name, network, many, settings, digits),
    ]


def _pupil(
    context: Context,
    name: str,
    network: nn.Module,
    images: Split,
    settings: dict[str, object],
    digits: int,
) -> Pupil:
    data: Data = replace(context.data, train=images)
    own = Split(images.images[:digits], images.labels[:digits])
    settings = {"batch_size": BATCH, "lr": RATE, **settings}
    return Pupil(arm(context, name, network, data, **settings), own)


def _far(epoch: int) -> float:
    return min(1.0, epoch / EPOCHS)


def _shown(pupils: Sequence[Pupil], setup: Words) -> tuple[Curves | Words, ...]:
    curves = Curves(
        caption="loss by epoch, in evaluation mode",
        x_label=f"epochs of {count(len(pupils[0].own))} images",
        curves=tuple(curve for pupil in pupils for curve in pupil.curves()),
        is_log=True,
    )
    return (curves, setup) if pupils[0].epochs else (setup,)


Ends = Sequence[tuple[Evaluation, Evaluation]]
"""How each pupil does at the end: on its own images, and on those of validation."""


def _table(pupils: Sequence[Pupil], ends: Ends) -> Table:
    return Table(
        caption="at the end",
        heads=("remedy", "own digits", "new digits, 95 %", "lowest loss", "last loss"),
        rows=tuple(
            (
                pupil.arm.name,
                percent(own.accuracy),
                accuracy_text(new.correct, new.total),
                f"{min(pupil.val):.3f}",
                f"{pupil.val[-1]:.3f}",
            )
            for pupil, (own, new) in zip(pupils, ends, strict=True)
        ),
        marked=max(range(len(ends)), key=lambda i: ends[i][1].accuracy),
    )


def _result(pupils: Sequence[Pupil], ends: Ends) -> str:
    gaps = []
    for pupil, (own, new) in zip(pupils, ends, strict=True):
        counted = (own.correct, own.total, new.correct, new.total)
        low, high = gap_interval(*counted)
        gaps.append(
            f"{pupil.arm.name}: {100 * gap(*counted):.1f} points between own and new digits "
            f"[{100 * low:.1f}, {100 * high:.1f}]"
        )
    points = 100 * (ends[1][1].accuracy - ends[0][1].accuracy)
    return f"{'; '.join(gaps)}. On new digits {pupils[1].arm.name} is {points:+z.1f} points."


def _certainty(pupils: Sequence[Pupil], ends: Ends) -> str:
    scores = {pupil.arm.name: new for pupil, (_, new) in zip(pupils, ends, strict=True)}
    epochs = math.floor(pupils[0].epochs[-1])
    return (
        f"{epochs} epochs; judged on {count(ends[0][1].total)} validation images. "
        f"{differences(scores)} One seed: remedy nothing shows what another start changes."
    )
