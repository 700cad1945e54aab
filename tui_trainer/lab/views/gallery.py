"""Pictures of digits with what is said of each: which it is, what it was taken for, since when."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from torch import Tensor
from torch.nn.functional import interpolate

from tui_trainer.lab.context import Context
from tui_trainer.lab.controls import Controls
from tui_trainer.lab.drawing import map_picture
from tui_trainer.lab.example_forgetting import ExampleForgetting
from tui_trainer.lab.predictions import VALIDATION, Predictions
from tui_trainer.protocol.exhibit import Picture, counting
from tui_trainer.text.fmt import count, percent

SIDE = 16
"""Pixels across a thumbnail: four stand side by side on a narrow screen."""

INK = 25
"""A grey from which on a pixel belongs to what is drawn."""

PER_PAGE = 12
"""Thumbnails of a page."""

NOT_KNOWN = "since when it is wrong is not known: no epoch of this run was recorded image by image"


@dataclass(frozen=True, slots=True)
class Page:
    """Some of many images, one of them chosen.

    Attributes:
        first: The place among all of the first one shown, from 1.
        numbers: The images shown, at least one.
        chosen: One of these.
    """

    first: int
    numbers: Sequence[int]
    chosen: int


def page_of(numbers: Sequence[int], controls: Controls) -> Page:
    """Return the page and the image on it that a reader chose, of at least one image."""
    pages = -(-len(numbers) // PER_PAGE)
    first = (controls.whole(counting("page", "page", pages, first=1)) - 1) * PER_PAGE
    shown = numbers[first : first + PER_PAGE]
    which = controls.whole(counting("digit", "digit", len(shown), first=1))
    return Page(first + 1, shown, shown[which - 1])


def thumbnail(pixels: Tensor, caption: str, *, is_chosen: bool = False) -> Picture:
    """Return a small picture of an image's greys (H, W): what is drawn, without its margin."""
    ink = (pixels >= INK).nonzero()
    shown = pixels.float()
    if len(ink):
        (top, left), (bottom, right) = ink.amin(0).tolist(), ink.amax(0).tolist()
        side = max(bottom - top, right - left) + 1
        top = _start((top + bottom + 1) // 2, side, pixels.shape[0])
        left = _start((left + right + 1) // 2, side, pixels.shape[1])
        shown = shown[top : top + side, left : left + side]
    small = interpolate(
        shown[None, None], size=(SIDE, SIDE), mode="bilinear", antialias=True, align_corners=False
    )[0, 0]
    frame = (0, 0, SIDE, SIDE) if is_chosen else None
    return map_picture(small, caption, low=0.0, high=255.0, frame=frame)


def _start(centre: int, side: int, size: int) -> int:
    return max(0, min(size - side, centre - side // 2))


def thumbnails(
    context: Context, images: str, captions: Mapping[int, str], chosen: int | None = None
) -> tuple[Picture, ...]:
    """Return thumbnails of images of a split, by their numbers; the chosen one is framed."""
    split = context.split(images)
    return tuple(
        thumbnail(split.images[number].cpu(), caption, is_chosen=number == chosen)
        for number, caption in captions.items()
    )


def captions(context: Context, predictions: Predictions, numbers: Sequence[int]) -> dict[int, str]:
    """Return what stands below pictures: number, class, what it was taken for, since when."""
    told = {}
    for number in numbers:
        label, predicted = int(predictions.labels[number]), int(predictions.predicted[number])
        sure = share(float(predictions.confidence[number]))
        told[number] = f"#{number} true {label}, said {predicted} {sure}"
        if has_history(context.forgetting, predictions.images) and label != predicted:
            epoch = int(context.forgetting.row("wrong_since")[number])
            told[number] += f" since epoch {epoch}" if epoch else " since now"
    return told


def share(probability: float) -> str:
    """Return a probability in percent, short: ``93 %``; only 1 itself is ``100 %``."""
    return percent(probability, 0 if 0.005 <= probability < 0.99 or probability == 1 else 1)


def has_history(forgetting: ExampleForgetting, images: str) -> bool:
    """Whether it is known what became of these images, epoch by epoch."""
    return images == VALIDATION and forgetting.epochs > 0


def past(context: Context, predictions: Predictions, number: int) -> str:
    """Return what became of an image, epoch by epoch, as a sentence without its full stop.

    Args:
        context: Where the chronicle is.
        predictions: The current ones of the split, perhaps from the middle of an epoch; the history
            is recorded for the validation split only.
        number: Which image.
    """
    if predictions.images != VALIDATION:
        return "since when it is wrong is recorded of validation images alone"
    forgetting = context.forgetting
    if not forgetting.epochs:
        return NOT_KNOWN
    _, wrong_since, first, forgotten, times = forgetting.facts(number).values()
    if not times:
        told = f"right at the end of {_each(forgetting)}"
    elif wrong_since and not first:
        told = f"wrong at the end of {_each(forgetting)}"
    elif wrong_since:
        told = f"right until epoch {wrong_since - 1}, wrong since epoch {wrong_since}"
    elif not forgotten:
        told = f"right since epoch {first}, wrong before"
    else:
        told = f"right again at the end of epoch {forgetting.last}"
    if forgotten:
        told += f", forgotten {'once' if forgotten == 1 else f'{forgotten} times'}"
    is_right = int(predictions.predicted[number]) == int(predictions.labels[number])
    if is_right == (wrong_since > 0):
        told += f"; {'right' if is_right else 'wrong'} now, after step {count(predictions.step)}"
    return told


def _each(forgetting: ExampleForgetting) -> str:
    """Return the epochs that a chronicle has seen."""
    if forgetting.since > 1:
        return f"each epoch since {forgetting.since}, the first that is recorded"
    return "the one epoch so far" if forgetting.epochs == 1 else f"all {forgetting.epochs} epochs"


def history(context: Context, images: str, number: int) -> Mapping[str, object] | None:
    """Return the same as plain numbers; None where nothing is known."""
    if not has_history(context.forgetting, images):
        return None
    forgetting = context.forgetting
    told = forgetting.facts(number)
    del told["predicted"]
    return {**told, "epochs": forgetting.epochs, "first_epoch": forgetting.since}
