"""The images of one cell of the confusion matrix, and all that is known of one of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch

from tui_trainer.lab.context import Context, Parts
from tui_trainer.lab.controls import Controls, opening_of
from tui_trainer.lab.drawing import digit_picture, probability_bars
from tui_trainer.lab.predictions import Predictions
from tui_trainer.lab.views import gallery
from tui_trainer.lab.views.confusion import chosen_cell, confusion_of
from tui_trainer.lab.views.judging import certainty, in_cell, losses, predictions_of
from tui_trainer.protocol.exhibit import Bars, Block, Exhibit, Pictures, Words, counting
from tui_trainer.stats.confusion_matrix import Confusion
from tui_trainer.stats.intervals import wilson
from tui_trainer.text.fmt import count, interval, percent

PER_PAGE = 8
"""Thumbnails beside the chosen digit."""

MOST_BARS = 12
"""Classes whose probabilities are drawn; of more, the most probable ones and the true one."""


def show(context: Context, controls: Controls, goes: bool) -> Parts:
    """Show the digits of a cell, the hardest first; the first cell is the most frequent error."""
    images = controls.word(context.images_control)
    if (judged := (yield from predictions_of(context, images))) is None:
        return
    confusion = confusion_of(judged, context.data.classes)
    label, said = chosen_cell(confusion, controls)
    numbers = in_cell(judged, label, said)
    yield None
    place = controls.whole(counting("digit", "digit", max(1, len(numbers)), first=1)) - 1
    if not numbers:
        yield _empty(judged, label, said)
        return
    chosen = numbers[place]
    yield Exhibit(
        blocks=_blocks(context, judged, numbers, place),
        result=_result(confusion, label, said),
        certainty=certainty(judged),
        opens=opening_of("where", f"where it looked in #{chosen}", images=images, digit=chosen),
        figures={
            "true": label,
            "said": said,
            "count": len(numbers),
            "chosen": chosen,
            "digits": facts(context, judged, numbers),
        },
    )


def _empty(judged: Predictions, label: int, said: int) -> Exhibit:
    """Return what is shown of a cell without images."""
    what = "right" if label == said else f"taken for a {said}"
    text = f"No {judged.images} image of class {label} is {what}."
    return Exhibit(
        blocks=(Words(text=text),),
        result=text,
        certainty=certainty(judged),
        figures={"true": label, "said": said, "count": 0, "digits": []},
    )


def _blocks(
    context: Context, judged: Predictions, numbers: Sequence[int], place: int
) -> tuple[Block, ...]:
    """Return the image at a place among those of a cell, and its page of them as thumbnails."""
    chosen = numbers[place]
    label, said = int(judged.labels[chosen]), int(judged.given[chosen])
    first = place - place % PER_PAGE
    shown = gallery.captions(context, judged, numbers[first : first + PER_PAGE])
    where = f"{count(first + 1)} to {count(first + len(shown))} of {count(len(numbers))}"
    return (
        Pictures(
            caption="", items=(digit_picture(context.digit(chosen, judged.images), f"#{chosen}"),)
        ),
        Words(text=_sentence(judged, chosen, gallery.past(context, judged, chosen))),
        _bars(judged, chosen),
        Pictures(
            caption=f"true {label}, said {said}: {where}, the hardest first",
            items=gallery.thumbnails(context, judged.images, shown, chosen),
        ),
    )


def _result(confusion: Confusion, label: int, said: int) -> str:
    """Return how many images the cell has, and which share of the class that is."""
    cell, total = confusion.counts[label][said], confusion.images[label]
    what = "are right" if label == said else f"are taken for a {said}"
    return (
        f"{count(cell)} of {count(total)} images of class {label} {what}: "
        f"{percent(cell / total)} {interval(wilson(cell, total))}."
    )


def facts(
    context: Context, judged: Predictions, numbers: Sequence[int]
) -> list[Mapping[str, object]]:
    """Return all that is known of some images as plain numbers."""
    chosen = torch.tensor(numbers, dtype=torch.int64)
    columns = zip(
        numbers,
        judged.labels[chosen].tolist(),
        judged.given[chosen].tolist(),
        losses(judged)[chosen].tolist(),
        judged.probabilities[chosen].tolist(),
        strict=True,
    )
    return [
        {
            "image": number,
            "true": label,
            "said": said,
            "loss": loss,
            "probabilities": probabilities,
            "history": gallery.history(context, judged.images, number),
        }
        for number, label, said, loss, probabilities in columns
    ]


def _sentence(judged: Predictions, number: int, told: str) -> str:
    label, said = int(judged.labels[number]), int(judged.given[number])
    sure = percent(float(judged.sureness[number]), 1)
    if label == said:
        return f"A {label}, said with {sure}: {told}."
    own = percent(float(judged.right_probability[number]), 1)
    return f"A {label} ({own}), taken for a {said} ({sure}): {told}."


def _bars(judged: Predictions, number: int) -> Bars:
    """Return the probabilities of the classes as bars, the true one marked."""
    label, said = int(judged.labels[number]), int(judged.given[number])
    probabilities = judged.probabilities[number].tolist()
    classes = range(len(probabilities))
    shown = list(classes)
    if len(shown) > MOST_BARS:
        likely = sorted(classes, key=lambda each: (each != label, -probabilities[each]))
        shown = sorted(likely[:MOST_BARS])
    rest = len(probabilities) - len(shown)
    caption = "its probabilities" + (f", the other {rest} classes' below these" if rest else "")
    return probability_bars(
        caption,
        probabilities,
        shown,
        label,
        lambda each: " ".join(["true"] * (each == label) + ["said"] * (each == said)),
    )
