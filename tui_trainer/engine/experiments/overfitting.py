"""Overfitting on purpose: few digits, a network large enough to keep them in mind, and a remedy."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch

from tui_trainer.engine.data import Data, Split
from tui_trainer.engine.experiments.bench import Bench
from tui_trainer.engine.experiments.comparison import parameters
from tui_trainer.engine.experiments.few_digits import (
    DIGITS,
    MANY,
    REMEDIES,
    learner,
    overfit,
)
from tui_trainer.engine.experiments.samples import affordable
from tui_trainer.engine.metrics import evaluate
from tui_trainer.lessons.overfitting import gap, gap_interval, per_image
from tui_trainer.run.exhibit import (
    Block,
    Choices,
    Control,
    Exhibit,
    Table,
    Words,
    at,
    chosen_number,
    chosen_word,
)
from tui_trainer.run.stats import wilson
from tui_trainer.run.text import accuracy_with_interval, count, model_name

LEAST, MOST = 100, 1_000
"""Images by which the gap of the run's network is measured."""

REMEDY = Control(name="remedy", label="remedy", value="augmentation", steps=REMEDIES)
COUNT = Control(
    name="digits", label="digits", value=float(DIGITS), steps=(100.0, 200.0, 500.0, 1000.0, 2000.0)
)


def show(bench: Bench, choices: Choices, goes: bool) -> Iterator[Exhibit]:
    """Show how much room there is to learn by heart, or train with and without a remedy."""
    remedy = chosen_word(choices, REMEDY)
    digits = min(int(chosen_number(choices, COUNT)), len(bench.data.train))
    controls = (at(REMEDY, remedy), at(COUNT, float(digits)))
    can_judge = bool(len(bench.data.val))
    if goes and can_judge:
        yield from overfit(bench, controls, remedy, digits)
        return
    found = gap_of(bench)
    yield Exhibit(
        blocks=(_room(bench, digits), *found.blocks),
        controls=controls,
        result=found.result,
        certainty=found.certainty,
        trains=(
            f"train twice on {count(digits)} digits, with and without the remedy: about 15 s"
            if can_judge
            else ""
        ),
    )


@dataclass(frozen=True, slots=True)
class _Found:
    blocks: tuple[Block, ...]
    result: str
    certainty: str


def gap_of(bench: Bench) -> _Found:
    """Return the gap of the run's network as it is now, on as many images as there is time for."""
    total = affordable(bench.layers, 2, least=LEAST, most=MOST)
    network = bench.copy()
    train, val = _first(bench.data.train, total), _first(bench.data.val, total)
    if not len(val):
        words = Words(text="This run has no validation images: it cannot see a gap.", tone="look")
        return _Found((words,), "", "")
    ours, theirs = (_right(network, bench.data, split) for split in (train, val))
    low, high = gap_interval(ours, len(train), theirs, len(val))
    table = Table(
        caption=f"{model_name(bench.config.model)} after step {bench.step:,}",
        heads=("images", "right", "accuracy, 95 %"),
        rows=tuple(
            (name, f"{right} of {len(split)}", _accuracy(right, len(split)))
            for name, right, split in (("training", ours, train), ("validation", theirs, val))
        ),
    )
    found = 100 * gap(ours, len(train), theirs, len(val))
    result = (
        f"The run's gap between training and validation is {found:+z.2f} points "
        f"[{100 * low:+z.2f}, {100 * high:+z.2f}]."
    )
    sure = "That is more than chance." if low > 0 else "That may be chance."
    return _Found((table,), result, f"{len(train)} and {len(val)} images, not augmented. {sure}")


def _room(bench: Bench, digits: int) -> Table:
    """Return how many parameters there are for each training image."""
    own, here = parameters(bench.network), parameters(learner(bench))
    total = len(bench.data.train)
    cases: Sequence[tuple[str, int, int]] = (
        ("the network of this experiment", here, digits),
        ("the same, with more images", here, min(MANY * digits, total)),
        (f"{model_name(bench.config.model)} in its run", own, total),
    )
    return Table(
        caption="how much room there is to learn by heart",
        heads=("network", "parameters", "images", "per image"),
        rows=tuple(
            (name, count(numbers), count(images), f"{per_image(numbers, images):.3g}")
            for name, numbers, images in cases
        ),
        marked=0,
    )


def _first(split: Split, total: int) -> Split:
    """Return images of a split, evenly spread over it."""
    places = torch.linspace(0, max(0, len(split) - 1), min(total, len(split))).round().long()
    places = places.to(split.labels.device)
    return Split(split.images[places], split.labels[places])


def _right(network: torch.nn.Module, data: Data, split: Split) -> int:
    return evaluate(network, data, split).correct


def _accuracy(right: int, total: int) -> str:
    return accuracy_with_interval(right / total, wilson(right, total))
