"""Thumbnails of images with true class, predicted class and history."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import interpolate

from tui_trainer.lab.context import Context
from tui_trainer.lab.controls import Controls
from tui_trainer.lab.drawing import image_picture, map_picture
from tui_trainer.lab.example_forgetting import ExampleForgetting
from tui_trainer.lab.predictions import VALIDATION, Predictions
from tui_trainer.lab.views.split_predictions import losses
from tui_trainer.protocol.exhibit import Picture, counting
from tui_trainer.text.fmt import count, percent

SIDE = 16
"""Pixels across a thumbnail: four stand side by side on a narrow screen."""

COLOR_SIDE = 22
"""The same in color: a photograph needs more. Three stand side by side on a narrow screen."""

INK = 25
"""The least gray of a pixel that belongs to the stroke."""

PER_PAGE = 12
"""Thumbnails on a page."""

NOT_KNOWN = "no history: no epoch of this run recorded the prediction of each image"


@dataclass(frozen=True, slots=True)
class Page:
    """A page of images, one of them selected.

    Attributes:
        first: The rank of the first image on the page, from 1.
        numbers: The indices of the images on the page, at least one.
        chosen: The index of the selected one.
    """

    first: int
    numbers: Sequence[int]
    chosen: int


def page_of(numbers: Sequence[int], controls: Controls) -> Page:
    """Return the page that the controls select; ``numbers`` has at least one image."""
    pages = -(-len(numbers) // PER_PAGE)
    first = (controls.whole(counting("page", "page", pages, first=1)) - 1) * PER_PAGE
    shown = numbers[first : first + PER_PAGE]
    which = controls.whole(counting("digit", "digit", len(shown), first=1))
    return Page(first + 1, shown, shown[which - 1])


def thumbnail(pixels: Tensor, caption: str, *, is_chosen: bool = False) -> Picture:
    """Return a thumbnail of grays (H, W), cropped to the stroke; whole if it is not square.

    Colors (3, H, W) are whole too.
    """
    if pixels.ndim == 3:
        return _in_color(pixels, caption, is_chosen=is_chosen)
    if pixels.shape[0] != pixels.shape[1]:
        return image_picture(pixels, caption, most=SIDE)
    ink = (pixels >= INK).nonzero()
    shown = pixels.float()
    if len(ink):
        (top, left), (bottom, right) = ink.amin(0).tolist(), ink.amax(0).tolist()
        side = max(bottom - top, right - left) + 1
        top = _start((top + bottom + 1) // 2, side, pixels.shape[0])
        left = _start((left + right + 1) // 2, side, pixels.shape[1])
        shown = shown[top : top + side, left : left + side]
    small = _resized(shown[None], (SIDE, SIDE))[0]
    frame = (0, 0, SIDE, SIDE) if is_chosen else None
    return map_picture(small, caption, low=0.0, high=255.0, frame=frame)


def _in_color(pixels: Tensor, caption: str, *, is_chosen: bool) -> Picture:
    """Return a thumbnail of colors (3, H, W); smaller images keep their size."""
    height, width = pixels.shape[-2:]
    scale = min(1.0, COLOR_SIDE / max(height, width))
    size = max(1, round(height * scale)), max(1, round(width * scale))
    small = _resized(pixels.float(), size).clamp(0, 255)
    frame = (0, 0, *size) if is_chosen else None
    return map_picture(small, caption, low=0.0, high=255.0, frame=frame)


def _resized(pixels: Tensor, size: tuple[int, int]) -> Tensor:
    """Return pixels (channels, H, W) in another size."""
    return interpolate(
        pixels[None], size=size, mode="bilinear", antialias=True, align_corners=False
    )[0]


def _start(center: int, side: int, size: int) -> int:
    return max(0, min(size - side, center - side // 2))


def thumbnails(
    context: Context, images: str, captions: Mapping[int, str], chosen: int | None = None
) -> tuple[Picture, ...]:
    """Return thumbnails of images of a split by index; the selected one is framed."""
    split, data = context.split(images), context.data
    return tuple(
        thumbnail(
            data.pictures(split.images[number : number + 1])[0].cpu(),
            caption,
            is_chosen=number == chosen,
        )
        for number, caption in captions.items()
    )


def captions(context: Context, predictions: Predictions, numbers: Sequence[int]) -> dict[int, str]:
    """Return the captions of thumbnails: index, true and predicted class, since which epoch."""
    texts = {}
    for number in numbers:
        label, predicted = int(predictions.labels[number]), int(predictions.predicted[number])
        confidence = share(float(predictions.confidence[number]))
        true, as_ = context.class_name(label), context.class_name(predicted)
        texts[number] = f"#{number} true {true}, predicted {as_} {confidence}"
        if has_history(context.forgetting, predictions.images) and label != predicted:
            epoch = int(context.forgetting.row("wrong_since")[number])
            texts[number] += f" since epoch {epoch}" if epoch else " since this epoch"
    return texts


def share(probability: float) -> str:
    """Return a probability in percent, short: ``93 %``; ``100 %`` only if it is exactly 1."""
    return percent(probability, 0 if 0.005 <= probability < 0.99 or probability == 1 else 1)


def has_history(forgetting: ExampleForgetting, images: str) -> bool:
    """Whether the predictions of these images were recorded epoch by epoch."""
    return images == VALIDATION and forgetting.epochs > 0


def past(context: Context, predictions: Predictions, number: int) -> str:
    """Return the history of an image as a sentence without its full stop.

    Args:
        context: The context of the view.
        predictions: The current predictions of the split, perhaps from the middle of an epoch. Only
            the validation split has a history.
        number: The index of the image.
    """
    if predictions.images != VALIDATION:
        return "only validation images have a history"
    forgetting = context.forgetting
    if not forgetting.epochs:
        return NOT_KNOWN
    _, wrong_since, first, forgotten, times = forgetting.counts(number).values()
    if not times:
        text = f"correct at the end of {_epochs(forgetting)}"
    elif wrong_since and not first:
        text = f"misclassified at the end of {_epochs(forgetting)}"
    elif wrong_since:
        text = f"correct until epoch {wrong_since - 1}, misclassified since epoch {wrong_since}"
    elif not forgotten:
        text = f"correct since epoch {first}, misclassified before"
    else:
        text = f"correct again at the end of epoch {forgetting.last}"
    if forgotten:
        text += f", forgotten {'once' if forgotten == 1 else f'{forgotten} times'}"
    is_correct = int(predictions.predicted[number]) == int(predictions.labels[number])
    if is_correct == (wrong_since > 0):
        state = "correct" if is_correct else "misclassified"
        text += f"; {state} now, after step {count(predictions.step)}"
    return text


def _epochs(forgetting: ExampleForgetting) -> str:
    if forgetting.since > 1:
        return f"each epoch since {forgetting.since}, the first recorded one"
    return (
        "the only epoch so far"
        if forgetting.epochs == 1
        else f"each of the {forgetting.epochs} epochs"
    )


def history(context: Context, images: str, number: int) -> Mapping[str, object] | None:
    """Return the history of an image as plain numbers; None if there is none."""
    if not has_history(context.forgetting, images):
        return None
    forgetting = context.forgetting
    counts = forgetting.counts(number)
    del counts["predicted"]
    return {**counts, "epochs": forgetting.epochs, "first_epoch": forgetting.since}


def image_records(
    context: Context, predictions: Predictions, numbers: Sequence[int]
) -> list[Mapping[str, object]]:
    """Return label, prediction, loss, probabilities and history of some images."""
    chosen = torch.tensor(numbers, dtype=torch.int64)
    columns = zip(
        numbers,
        predictions.labels[chosen].tolist(),
        predictions.predicted[chosen].tolist(),
        losses(predictions)[chosen].tolist(),
        predictions.probabilities[chosen].tolist(),
        strict=True,
    )
    return [
        {
            "image": number,
            "true": label,
            "predicted": predicted,
            **context.names_of(true=label, predicted=predicted),
            "loss": loss,
            "probabilities": probabilities,
            "history": history(context, predictions.images, number),
        }
        for number, label, predicted, loss, probabilities in columns
    ]
