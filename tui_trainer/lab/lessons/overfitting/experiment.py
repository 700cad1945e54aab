"""Overfitting on purpose: few digits, a model that can memorize them, and a remedy."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from tui_trainer.engine.evaluation import evaluate
from tui_trainer.lab.compare import accuracy_text, parameters
from tui_trainer.lab.context import Context
from tui_trainer.lab.controls import Controls, number_control, word_control
from tui_trainer.lab.lessons.overfitting.arithmetic import gap, gap_interval, per_image
from tui_trainer.lab.lessons.overfitting.few_digits import (
    DIGITS,
    MORE_IMAGES_FACTOR,
    REMEDIES,
    overfit,
    untrained_model,
)
from tui_trainer.lab.samples import affordable
from tui_trainer.protocol.exhibit import Exhibit, Table, Words
from tui_trainer.protocol.reference import model_name
from tui_trainer.text.fmt import count

MIN_IMAGES, MAX_IMAGES = 100, 1_000
"""Images for the gap of the run's model."""

REMEDY = word_control("remedy", REMEDIES, value="augmentation")
COUNT = number_control("digits", "digits", DIGITS, (100, 200, 500, 1000, 2000))


def show(context: Context, controls: Controls, confirmed: bool) -> Iterator[Exhibit]:
    """Show how much capacity there is to memorize, or train with and without a remedy."""
    remedy = controls.word(REMEDY)
    digits = min(controls.whole(COUNT), len(context.data.train))
    controls.add(COUNT, digits)
    can_judge = bool(len(context.data.val))
    if confirmed and can_judge:
        yield from overfit(context, remedy, digits)
        return
    found = gap_of(context)
    yield replace(
        found,
        blocks=(_room(context, digits), *found.blocks),
        trains=(
            f"train twice on {count(digits)} images, with and without the remedy: about 15 s"
            if can_judge
            else ""
        ),
    )


def gap_of(context: Context) -> Exhibit:
    """Return the current gap of the run's model, on as many images as there is time for."""
    if not len(context.data.val):
        words = Words(
            text="This run has no validation images, so the gap is unknown.", tone="warning"
        )
        return Exhibit(blocks=(words,))
    total = affordable(context.layers, 2, least=MIN_IMAGES, most=MAX_IMAGES)
    model = context.copy()
    train, val = context.sample(total, training=True), context.sample(total)
    train_correct, val_correct = (
        evaluate(model, context.data, split).correct for split in (train, val)
    )
    low, high = gap_interval(train_correct, len(train), val_correct, len(val))
    table = Table(
        caption=f"{model_name(context.config.model)} after step {context.step:,}",
        heads=("images", "correct", "accuracy, 95 %"),
        rows=tuple(
            (name, f"{right} of {len(split)}", accuracy_text(right, len(split)))
            for name, right, split in (
                ("training", train_correct, train),
                ("validation", val_correct, val),
            )
        ),
    )
    found = 100 * gap(train_correct, len(train), val_correct, len(val))
    result = (
        f"The generalization gap of the run is {found:+z.2f} points "
        f"[{100 * low:+z.2f}, {100 * high:+z.2f}]."
    )
    note = "The gap is more than chance." if low > 0 or high < 0 else "The gap may be chance."
    uncertainty = f"{len(train)} and {len(val)} images, not augmented. {note}"
    return Exhibit(blocks=(table,), result=result, evidence=uncertainty)


def _room(context: Context, digits: int) -> Table:
    """Return the parameters per training image."""
    of_run, of_experiment = parameters(context.model), parameters(untrained_model(context))
    total = len(context.data.train)
    cases: Sequence[tuple[str, int, int]] = (
        ("the network of this experiment", of_experiment, digits),
        ("the same, with more images", of_experiment, min(MORE_IMAGES_FACTOR * digits, total)),
        (f"{model_name(context.config.model)} in its run", of_run, total),
    )
    return Table(
        caption="capacity to memorize: parameters per training image",
        heads=("network", "parameters", "images", "per image"),
        rows=tuple(
            (name, count(numbers), count(images), f"{per_image(numbers, images):.3g}")
            for name, numbers, images in cases
        ),
        marked=0,
    )
