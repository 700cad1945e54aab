"""A gallery of misclassified images of all classes, whole and with their probabilities."""

from __future__ import annotations

from collections.abc import Sequence

from tui_trainer.lab.context import Context
from tui_trainer.lab.controls import Controls, link_to, number_control
from tui_trainer.lab.drawing import PIXELS, WIDEST, image_picture
from tui_trainer.lab.predictions import Predictions
from tui_trainer.lab.views import gallery
from tui_trainer.lab.views.split_predictions import evidence, hardest_first, losses
from tui_trainer.protocol.exhibit import Block, Exhibit, Picture, Pictures, Table, Words
from tui_trainer.stats.intervals import wilson
from tui_trainer.text.fmt import count, interval, loss, percent, plural

COUNT = number_control("count", "count", 10, (5, 10, 20, 50, 100), 1.0, 100.0)
"""How many images are shown; ten is what courses ask for."""

LEAST_SIDE = 14
"""The side in pixels to which images are shrunk where there are many of them."""


def error_gallery(context: Context, predictions: Predictions, controls: Controls) -> Exhibit:
    """Return the misclassified images with the highest loss."""
    wrong = predictions.predicted != predictions.labels
    numbers = hardest_first(predictions, wrong)
    shown = numbers[: controls.whole(COUNT)]
    total = len(predictions.labels)
    share = f"{percent(len(numbers) / total)} {interval(wilson(len(numbers), total))}"
    blocks: tuple[Block, ...] = (Words(text=f"No {predictions.images} image is misclassified."),)
    if shown:
        caption = f"{plural(len(shown), 'misclassified image')} of {count(len(numbers))}"
        blocks = (
            Pictures(
                caption=f"{caption}, highest loss first",
                items=tuple(_picture(context, predictions, each, len(shown)) for each in shown),
            ),
            _table(context, predictions, shown),
        )
    return Exhibit(
        blocks=blocks,
        result=f"{count(len(numbers))} of {plural(total, f'{predictions.images} image')} "
        f"{'is' if len(numbers) == 1 else 'are'} misclassified: {share}.",
        evidence=evidence(predictions),
        opens=link_to(
            "attribution",
            f"the attribution of #{shown[0]}",
            images=predictions.images,
            digit=shown[0],
        )
        if shown
        else None,
        figures={
            "misclassified": len(numbers),
            "count": len(shown),
            "digits": gallery.image_records(context, predictions, shown),
        },
    )


def _picture(context: Context, predictions: Predictions, number: int, total: int) -> Picture:
    """Return an image, smaller where there are many, with its true and its predicted class."""
    label, predicted = int(predictions.labels[number]), int(predictions.predicted[number])
    images = context.split(predictions.images).images[number : number + 1]
    pixels = context.data.pictures(images)[0]
    largest = min(WIDEST, max(pixels.shape[-2:]))
    side = WIDEST if total * largest**2 <= PIXELS else LEAST_SIDE
    true, as_ = context.class_name(label), context.class_name(predicted)
    likely = float(predictions.true_probability[number]), float(predictions.confidence[number])
    return image_picture(
        pixels,
        f"{_kept(f'true {true}', likely[0])}, {_kept(f'predicted {as_}', likely[1])}",
        most=side,
    )


def _kept(class_: str, probability: float) -> str:
    """Return a class and its probability in percent, which stay on one line."""
    return f"{class_}: {gallery.share(probability)}".replace(" ", "\u00a0")


def _table(context: Context, predictions: Predictions, numbers: Sequence[int]) -> Table:
    each = losses(predictions)
    return Table(
        caption="",
        heads=("rank", "image", "true", "probability", "predicted", "probability", "loss"),
        rows=tuple(
            (
                str(rank),
                f"#{number}",
                context.class_name(int(predictions.labels[number])),
                percent(float(predictions.true_probability[number])),
                context.class_name(int(predictions.predicted[number])),
                percent(float(predictions.confidence[number])),
                loss(float(each[number])).strip(),
            )
            for rank, number in enumerate(numbers, start=1)
        ),
    )
