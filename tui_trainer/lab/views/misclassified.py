"""The images of one cell of the confusion matrix, and details of one; or those of all cells."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from tui_trainer.lab.context import Context, Parts
from tui_trainer.lab.controls import Controls, link_to
from tui_trainer.lab.drawing import digit_picture, probability_bars, shown_classes
from tui_trainer.lab.predictions import Predictions
from tui_trainer.lab.views import gallery
from tui_trainer.lab.views.confusion import chosen_cell, confusion_of
from tui_trainer.lab.views.error_gallery import error_gallery
from tui_trainer.lab.views.split_predictions import evidence, in_cell, predictions_of
from tui_trainer.protocol.exhibit import Bars, Block, Control, Exhibit, Pictures, Words, counting
from tui_trainer.stats.confusion_matrix import Confusion
from tui_trainer.stats.intervals import wilson
from tui_trainer.text.fmt import count, interval, percent

PER_PAGE = 8
"""Thumbnails next to the selected image."""

ALL = "all"
"""The true class that stands for a gallery of all errors instead of one cell."""


def show(context: Context, controls: Controls, confirmed: bool) -> Parts:
    """Show the images of a cell, highest loss first; at first the most frequent confusion.

    On demand, show the misclassified images with the highest loss of all cells.
    """
    images = controls.word(context.images_control)
    if (predictions := (yield from predictions_of(context, images))) is None:
        return
    if controls.choices.get("true") == ALL:
        controls.add(_true_control(context), ALL)
        yield error_gallery(context, predictions, controls)
        return
    confusion = confusion_of(predictions, context.data.classes)
    label, predicted = chosen_cell(context, confusion, controls)
    controls.add(_true_control(context), label)
    numbers = in_cell(predictions, label, predicted)
    yield None
    place = controls.whole(counting("digit", "digit", max(1, len(numbers)), first=1)) - 1
    if not numbers:
        yield _empty(context, predictions, label, predicted)
        return
    chosen = numbers[place]
    yield Exhibit(
        blocks=_blocks(context, predictions, numbers, place),
        result=_result(context, confusion, label, predicted),
        evidence=evidence(predictions),
        opens=link_to("attribution", f"the attribution of #{chosen}", images=images, digit=chosen),
        figures={
            "true": label,
            "predicted": predicted,
            **context.names_of(true=label, predicted=predicted),
            "count": len(numbers),
            "chosen": chosen,
            "digits": gallery.image_records(context, predictions, numbers),
        },
    )


def _true_control(context: Context) -> Control:
    """Return the control of the true class, with all of them after the last one."""
    control = context.class_control("true", "true")
    return replace(control, steps=(*control.steps, ALL))


def _empty(context: Context, predictions: Predictions, label: int, predicted: int) -> Exhibit:
    """Return what is shown for an empty cell."""
    true, as_ = context.class_name(label), context.class_name(predicted)
    text = f"No {predictions.images} image of class {true} is predicted as {as_}."
    return Exhibit(
        blocks=(Words(text=text),),
        result=text,
        evidence=evidence(predictions),
        figures={
            "true": label,
            "predicted": predicted,
            **context.names_of(true=label, predicted=predicted),
            "count": 0,
            "digits": [],
        },
    )


def _blocks(
    context: Context, predictions: Predictions, numbers: Sequence[int], place: int
) -> tuple[Block, ...]:
    """Return one image of a cell, and the page of thumbnails that contains it."""
    chosen = numbers[place]
    label, predicted = int(predictions.labels[chosen]), int(predictions.predicted[chosen])
    true, as_ = context.class_name(label), context.class_name(predicted)
    first = place - place % PER_PAGE
    shown = gallery.captions(context, predictions, numbers[first : first + PER_PAGE])
    where = f"{count(first + 1)} to {count(first + len(shown))} of {count(len(numbers))}"
    return (
        Pictures(
            caption="",
            items=(digit_picture(context.digit(chosen, predictions.images), f"#{chosen}"),),
        ),
        Words(text=_sentence(context, predictions, chosen)),
        _bars(context, predictions, chosen),
        Pictures(
            caption=f"true {true}, predicted {as_}: {where}, highest loss first",
            items=gallery.thumbnails(context, predictions.images, shown, chosen),
        ),
    )


def _result(context: Context, confusion: Confusion, label: int, predicted: int) -> str:
    """Return the number of images in the cell, and its share of the true class."""
    cell, total = confusion.counts[label][predicted], confusion.images[label]
    true, as_ = context.class_name(label), context.class_name(predicted)
    return (
        f"{count(cell)} of {count(total)} images of class {true} are predicted as {as_}: "
        f"{percent(cell / total)} {interval(wilson(cell, total))}."
    )


def _sentence(context: Context, predictions: Predictions, number: int) -> str:
    history = gallery.past(context, predictions, number)
    label, predicted = int(predictions.labels[number]), int(predictions.predicted[number])
    name = context.class_name(label)
    confidence = percent(float(predictions.confidence[number]), 1)
    if label == predicted:
        return f"True class {name}, predicted with confidence {confidence}: {history}."
    true = percent(float(predictions.true_probability[number]), 1)
    as_ = context.class_name(predicted)
    return f"True class {name} ({true}), predicted {as_} ({confidence}): {history}."


def _bars(context: Context, predictions: Predictions, number: int) -> Bars:
    label, predicted = int(predictions.labels[number]), int(predictions.predicted[number])
    probabilities = predictions.probabilities[number].tolist()
    shown = shown_classes(probabilities, label)
    rest = len(probabilities) - len(shown)
    caption = "class probabilities" + (f"; {rest} less probable classes left out" if rest else "")
    return probability_bars(
        caption,
        probabilities,
        shown,
        label,
        context.data.class_names,
        lambda each: " ".join(["true"] * (each == label) + ["predicted"] * (each == predicted)),
    )
