"""Trainings side by side, on equal terms and on a small budget."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations, takewhile

from tui_trainer.data.dataset import Split
from tui_trainer.engine.evaluation import evaluate
from tui_trainer.lab.trial import Trial
from tui_trainer.protocol.exhibit import Curve
from tui_trainer.stats.intervals import mcnemar, wilson

SECONDS = 15.0
"""What trainings may take together; what is then measured on validation comes on top."""

SLICE = 0.3
"""Seconds between two moments at which an experiment can be stopped and shown."""

HALF_LIFE = 600
"""Images after which an earlier batch counts half in the smoothed loss."""

CHANCE = 0.05
"""How likely it may be that any pair is told apart where there is no difference at all."""


@dataclass
class Arm:
    """One of the trainings.

    Attributes:
        name: What it is called in the plot and in the table.
        trial: The training.
        images: Training images after each step.
        losses: The training loss after each step, smoothed; capped at ``cap``.
        is_lost: Whether its loss is no finite number any more: it takes no further step.
        seconds: What its steps took.
    """

    name: str
    trial: Trial
    cap: float = math.inf
    images: list[float] = field(default_factory=list)
    losses: list[float] = field(default_factory=list)
    is_lost: bool = False
    seconds: float = 0.0
    _smooth: float | None = None

    def step(self) -> None:
        """Train one batch."""
        before = self.trial.images
        loss = float(self.trial.step())
        if not math.isfinite(loss):
            self.is_lost = True
            return
        loss = min(loss, self.cap)
        keeps = 0.5 ** ((self.trial.images - before) / HALF_LIFE)
        self._smooth = loss if self._smooth is None else keeps * self._smooth + (1 - keeps) * loss
        self.images.append(float(self.trial.images))
        self.losses.append(self._smooth)

    def curve(self) -> Curve:
        """Return its loss over the images that it has seen."""
        return Curve(name=self.name, x=tuple(self.images), y=tuple(self.losses))


@dataclass(frozen=True, slots=True)
class Score:
    """How an arm does on a split.

    Attributes:
        hits: Whether it told each image rightly, at least one.
        loss: The mean loss.
    """

    hits: tuple[bool, ...]
    loss: float

    @property
    def correct(self) -> int:
        """How many images it told rightly."""
        return sum(self.hits)

    @property
    def total(self) -> int:
        """Of how many."""
        return len(self.hits)

    @property
    def accuracy(self) -> float:
        """The share of images told rightly."""
        return self.correct / self.total

    @property
    def interval(self) -> tuple[float, float]:
        """Its Wilson interval, 95 %."""
        return wilson(self.correct, self.total)


def race(
    arms: Sequence[Arm],
    *,
    images: float,
    clock: Callable[[], float],
    seconds: float = SECONDS,
    by_time: bool = False,
) -> Iterator[float]:
    """Train the arms in turns; yield the share that is done, several times a second.

    The arms see equally many images: ``images``, or as many as there is time for. Each step goes to
    the arm that is behind, so that all are equally far whenever it is stopped.

    Args:
        arms: The trainings.
        images: How many training images each gets at most.
        clock: Seconds that only go up.
        seconds: How long they may take together.
        by_time: Equal seconds instead of equal images.
    """
    began = shown = clock()
    while True:
        now = clock()
        running = [arm for arm in arms if not arm.is_lost and arm.trial.images < images]
        spent = now - began
        if not running or spent >= seconds:
            return
        arm = min(running, key=lambda arm: arm.seconds if by_time else arm.trial.images)
        arm.step()
        arm.seconds += clock() - now
        if clock() - shown >= SLICE:
            shown = clock()
            far = min((arm.trial.images for arm in running), default=images) / images
            yield min(1.0, max(far, spent / seconds))


def score(trial: Trial, split: Split) -> Score:
    """Return how a trial's network does on images, in evaluation mode."""
    result = evaluate(trial.network, trial.data, split)
    return Score(tuple(result.hits.tolist()), result.loss)


def distinguishable(scores: Mapping[str, Score]) -> list[tuple[str, str]]:
    """Return the pairs, better one first, whose difference in accuracy is more than chance.

    All are judged on the same images, so that each pair is compared image by image. Of many pairs
    some differ by chance: the smaller its p value, the fewer others a pair is weighed against.

    Source: S. Holm, "A simple sequentially rejective multiple test procedure", Scandinavian Journal
    of Statistics 6 (1979), 65-70.
    """
    ranked = sorted(scores, key=lambda name: scores[name].correct, reverse=True)
    pairs = sorted((_by_chance(scores[a], scores[b]), a, b) for a, b in combinations(ranked, 2))
    left = range(len(pairs), 0, -1)
    sure = takewhile(lambda one: one[0][0] <= CHANCE / one[1], zip(pairs, left, strict=True))
    return [(better, worse) for (_, better, worse), _ in sure]


def _by_chance(one: Score, other: Score) -> float:
    pairs = list(zip(one.hits, other.hits, strict=True))
    return mcnemar(pairs.count((True, False)), pairs.count((False, True)))
