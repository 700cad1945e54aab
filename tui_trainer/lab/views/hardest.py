"""The hardest digits: the images with the highest loss."""

from __future__ import annotations

from tui_trainer.lab.context import Context, Parts
from tui_trainer.lab.controls import Controls, opening_of
from tui_trainer.lab.predictions import Predictions
from tui_trainer.lab.views import gallery
from tui_trainer.lab.views.digits import facts
from tui_trainer.lab.views.judging import certainty, hardest_first, in_cell, losses, predictions_of
from tui_trainer.protocol.exhibit import Exhibit, Opening, Pictures, Table
from tui_trainer.text.fmt import count, loss, percent, plural

MOST = 240
"""Images that can be paged through: the rest is right, or nearly so."""

FEW = 100
"""One in so many images: what they have of the loss is told."""


def show(context: Context, controls: Controls, goes: bool) -> Parts:
    """Show a page of the hardest digits, and what stands behind each."""
    images = controls.word(context.images_control)
    if (judged := (yield from predictions_of(context, images))) is None:
        return
    numbers = hardest_first(judged)[:MOST]
    page = gallery.page_of(numbers, controls)
    yield None
    captions = gallery.captions(context, judged, page.numbers)
    last = page.first + len(page.numbers) - 1
    yield Exhibit(
        blocks=(
            Pictures(
                caption=f"{page.first} to {last} of {count(len(judged.labels))}, "
                "the highest loss first",
                items=gallery.thumbnails(context, judged.images, captions, page.chosen),
            ),
            _table(context, judged, page),
        ),
        result=_result(judged),
        certainty=certainty(judged),
        opens=opening(judged, page.chosen, images),
        figures={
            "images": len(judged.labels),
            "mean_loss": float(losses(judged).mean()),
            "hardest": facts(context, judged, numbers),
        },
    )


def opening(judged: Predictions, number: int, images: str) -> Opening:
    """Return the way to an image in its cell of the confusion matrix."""
    label, said = int(judged.labels[number]), int(judged.given[number])
    place = in_cell(judged, label, said).index(number) + 1
    hint = f"#{number}, true {label}, said {said}, and its probabilities"
    return opening_of("digits", hint, images=images, true=label, said=said, digit=place)


def _result(judged: Predictions) -> str:
    """Say which part of the loss the hardest images make up, and how many of them are wrong."""
    each = losses(judged)
    few = max(1, len(each) // FEW)
    hardest = each.topk(few)
    wrong = int((judged.given != judged.labels)[hardest.indices].sum())
    part = float(hardest.values.sum()) / max(float(each.sum()), 1e-12)
    few_told = f"The hardest {plural(few, 'image')} of {count(len(each))}"
    return f"{few_told}: {percent(part, 0)} of the loss, and {count(wrong)} wrong."


def _table(context: Context, judged: Predictions, page: gallery.Page) -> Table:
    each = losses(judged)
    is_told = gallery.is_chronicled(context.chronicle, judged.images)
    rows = []
    for place, number in enumerate(page.numbers, page.first):
        label, said = int(judged.labels[number]), int(judged.given[number])
        row = [
            str(place),
            f"#{number}",
            loss(float(each[number])).strip(),
            f"{label} {gallery.share(float(judged.right_probability[number]))}",
            f"{said} {gallery.share(float(judged.sureness[number]))}",
        ]
        rows.append((*row, _since(context, number)) if is_told else tuple(row))
    heads = ("rank", "image", "loss", "true", "said", *(["wrong since"] if is_told else []))
    return Table(caption="", heads=heads, rows=tuple(rows), marked=page.numbers.index(page.chosen))


def _since(context: Context, number: int) -> str:
    epoch = int(context.chronicle.row("wrong_since")[number])
    return f"epoch {epoch}" if epoch else "–"
