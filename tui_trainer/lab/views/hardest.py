"""The hardest images: those with the highest loss, mostly confident mistakes."""

from __future__ import annotations

from tui_trainer.lab.context import Context, Parts
from tui_trainer.lab.controls import Controls, link_to
from tui_trainer.lab.predictions import Predictions
from tui_trainer.lab.views import gallery
from tui_trainer.lab.views.gallery import image_records
from tui_trainer.lab.views.split_predictions import (
    evidence,
    hardest_first,
    in_cell,
    losses,
    predictions_of,
)
from tui_trainer.protocol.exhibit import Exhibit, Link, Pictures, Table
from tui_trainer.text.fmt import count, loss, percent, plural

MOST = 240
"""Images that can be paged through: the others are correct, or nearly so."""

FEW = 100
"""The hardest images are one in so many: their share of the loss is reported."""


def show(context: Context, controls: Controls, confirmed: bool) -> Parts:
    """Show a page of the hardest images, with loss and probabilities."""
    images = controls.word(context.images_control)
    if (predictions := (yield from predictions_of(context, images))) is None:
        return
    numbers = hardest_first(predictions)[:MOST]
    page = gallery.page_of(numbers, controls)
    yield None
    captions = gallery.captions(context, predictions, page.numbers)
    last = page.first + len(page.numbers) - 1
    yield Exhibit(
        blocks=(
            Pictures(
                caption=f"{page.first} to {last} of {count(len(predictions.labels))}, "
                "highest loss first",
                items=gallery.thumbnails(context, predictions.images, captions, page.chosen),
            ),
            _table(context, predictions, page),
        ),
        result=_result(predictions),
        evidence=evidence(predictions),
        opens=link(context, predictions, page.chosen, images),
        figures={
            "images": len(predictions.labels),
            "mean_loss": float(losses(predictions).mean()),
            "hardest": image_records(context, predictions, numbers),
        },
    )


def link(context: Context, predictions: Predictions, number: int, images: str) -> Link:
    """Return a link to an image in its cell of the confusion matrix."""
    label, predicted = int(predictions.labels[number]), int(predictions.predicted[number])
    place = in_cell(predictions, label, predicted).index(number) + 1
    true, as_ = context.class_name(label), context.class_name(predicted)
    hint = f"#{number}, true {true}, predicted {as_}, and its probabilities"
    return link_to(
        "misclassified", hint, images=images, true=label, predicted=predicted, digit=place
    )


def _result(predictions: Predictions) -> str:
    """Return the share of the loss in the hardest images, and how many are misclassified."""
    each = losses(predictions)
    few = max(1, len(each) // FEW)
    hardest = each.topk(few)
    wrong = int((predictions.predicted != predictions.labels)[hardest.indices].sum())
    part = float(hardest.values.sum()) / max(float(each.sum()), 1e-12)
    hardest_images = f"The hardest {plural(few, 'image')} of {count(len(each))}"
    return f"{hardest_images}: {percent(part, 0)} of the loss, {count(wrong)} misclassified."


def _table(context: Context, predictions: Predictions, page: gallery.Page) -> Table:
    each = losses(predictions)
    has_history = gallery.has_history(context.forgetting, predictions.images)
    rows = []
    for place, number in enumerate(page.numbers, page.first):
        label, predicted = int(predictions.labels[number]), int(predictions.predicted[number])
        true, as_ = context.class_name(label), context.class_name(predicted)
        row = [
            str(place),
            f"#{number}",
            loss(float(each[number])).strip(),
            f"{true} {gallery.share(float(predictions.true_probability[number]))}",
            f"{as_} {gallery.share(float(predictions.confidence[number]))}",
        ]
        rows.append((*row, _since(context, number)) if has_history else tuple(row))
    heads = (
        "rank",
        "image",
        "loss",
        "true",
        "predicted",
        *(["wrong since"] if has_history else []),
    )
    return Table(caption="", heads=heads, rows=tuple(rows), marked=page.numbers.index(page.chosen))


def _since(context: Context, number: int) -> str:
    epoch = int(context.forgetting.row("wrong_since")[number])
    return f"epoch {epoch}" if epoch else "–"
