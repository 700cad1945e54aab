"""Where the network looked: which pixels of a digit count for the class that it gives."""

from __future__ import annotations

from collections.abc import Generator
from math import ceil

import torch
from torch import Tensor

from tui_trainer.lab.context import Context, Parts
from tui_trainer.lab.controls import Controls, number_control, word_control
from tui_trainer.lab.samples import BACKWARD, affordable
from tui_trainer.lab.views.attribution_methods import (
    PATH_STEPS,
    Occluded,
    gradient,
    gradient_times_pixel,
    integrated_gradients,
    occlusion,
)
from tui_trainer.lab.views.layer_units import part_size
from tui_trainer.lab.views.single_image import (
    GRADIENT,
    INTEGRATED,
    OCCLUSION,
    TIMES_PIXEL,
    AttributedImage,
    chosen_digit,
    is_sealed,
    picture_of,
    prediction_of,
)
from tui_trainer.lab.views.split_predictions import sealed
from tui_trainer.protocol.exhibit import Exhibit, Words
from tui_trainer.text.fmt import count, percent

METHOD = word_control("method", (OCCLUSION, GRADIENT, TIMES_PIXEL, INTEGRATED))
PATCH = number_control("patch", "patch", 5, (3, 4, 5, 6, 7, 8, 9), 2.0, 14.0)

PLACES, FEWEST = 676, 100
"""Places that a patch is put to, at most and at least."""

SHOWN = 4
"""Exhibits on the way of an occlusion."""


def show(context: Context, controls: Controls, confirmed: bool) -> Parts:
    """Show what the pixels of a digit count for the class it is given, and for its rival."""
    images = controls.word(context.images_control)
    number, method = chosen_digit(context, images, controls), controls.word(METHOD)
    patch = controls.whole(PATCH, is_shown=method == OCCLUSION)
    if is_sealed(context, images):
        yield sealed(context)
        return
    digit = context.digit(number, images)
    attributed = AttributedImage(
        context, digit, prediction_of(digit, context.model), images, method
    )
    if attributed.prediction.is_nonfinite:
        lost = Words(text=attributed.prediction.sentence, tone="error")
        yield attributed.exhibit((attributed.picture(),), (lost,))
    elif attributed.method == OCCLUSION:
        yield from _cover(attributed, patch)
    else:
        yield from _slopes(attributed)


def black_of(context: Context) -> float:
    """Return what a black pixel is to the network."""
    return float(context.data.prepare(torch.zeros(1, 1, 1, dtype=torch.uint8)))


def stride_for(context: Context, patch: int) -> int:
    """Return the stride at which there are not more places than can be tried in a moment."""
    places = affordable(context.layers, 0.25, least=FEWEST, most=PLACES)
    across = context.data.image_size - patch
    return max(1, ceil(across / max(1, int(places**0.5) - 1)))


def _cover(attributed: AttributedImage, patch: int) -> Parts:
    """Cover the digit place by place; show it a few times on the way."""
    context = attributed.context
    part, stride = part_size(context), stride_for(context, patch)
    told = 0.0
    trial = occlusion(
        context.model,
        attributed.digit.model_input,
        black_of(context),
        patch=patch,
        stride=stride,
        part=part,
    )
    for found in trial:
        if found.share < 1 and found.share < told:
            yield None
            continue
        told = found.share + 1 / SHOWN
        yield _covered(attributed, found, stride)


def _covered(attributed: AttributedImage, found: Occluded, stride: int) -> Exhibit:
    """Return what covering has shown so far."""
    maps = {class_: found.loss(class_) for class_ in attributed.rivals}
    predicted, _ = attributed.rivals
    worst = found.worst(predicted)
    top, left = found.corners[worst]
    inside = min(found.patch, found.side - top), min(found.patch, found.side - left)
    changed = int((found.covered.argmax(dim=1) != predicted).sum())
    tried, most = len(found.covered), found.covered[worst]
    to = f", and it says {int(most.argmax())}" if int(most.argmax()) != predicted else ""
    pictures = [
        picture_of(values, f"P({class_}) {_points(values)}", float(values.abs().max()))
        for class_, values in maps.items()
    ]
    return attributed.exhibit(
        (attributed.picture((top, left, *inside)), *pictures),
        result=f"{attributed.prediction.sentence} Covering the framed {inside[0]}×{inside[1]} "
        f"pixels leaves P({predicted}) {percent(float(most[predicted]), 1)}{to}. {changed} of "
        f"{tried} places change the prediction.",
        figures={
            "patch": found.patch,
            "stride": stride,
            "places": len(found.corners),
            "changed": changed,
            "worst": {"top": top, "left": left, "probabilities": most.tolist()},
            "maps": {str(class_): values.tolist() for class_, values in maps.items()},
        },
        progress=None if found.share == 1 else found.share,
        on=f"{count(tried)} places of a patch, {stride} px apart",
    )


def _points(values: Tensor) -> str:
    """Return the largest loss or gain of a map, in percentage points."""
    most = values.flatten()[int(values.abs().argmax())]
    return f"{'loses' if most >= 0 else 'gains'} up to {100 * abs(float(most)):.2g} points"


def _slopes(attributed: AttributedImage) -> Parts:
    """Show what the gradient tells, by one of its methods."""
    yield attributed.exhibit((attributed.picture(),), progress=0.0)
    is_signed = attributed.method != GRADIENT
    maps: dict[int, Tensor] = {}
    for class_ in attributed.rivals:
        values = yield from _map(attributed, class_)
        if values is None:
            lack = Words(text="No gradient gets from its scores to the image.", tone="warning")
            yield attributed.exhibit((attributed.picture(),), (lack,))
            return
        maps[class_] = values if is_signed else values.abs()
        yield None
    bound = max(float(each.abs().max()) for each in maps.values())
    pictures = [
        picture_of(values, f"score of {class_}", bound, is_signed=is_signed)
        for class_, values in maps.items()
    ]
    prediction = attributed.prediction
    is_integrated = attributed.method == INTEGRATED
    yield attributed.exhibit(
        (attributed.picture(), *pictures),
        result=f"{prediction.sentence} {_told(attributed, maps[prediction.predicted])}".strip(),
        figures={"maps": {str(class_): values.tolist() for class_, values in maps.items()}},
        on=f"{PATH_STEPS} points on the way from black" if is_integrated else "its gradient",
    )


def _map(attributed: AttributedImage, class_: int) -> Generator[None, None, Tensor | None]:
    context, image = attributed.context, attributed.digit.model_input
    model, black = context.model, black_of(context)
    if attributed.method == GRADIENT:
        return gradient(model, image, class_)
    if attributed.method == TIMES_PIXEL:
        return gradient_times_pixel(model, image, black, class_)
    part = part_size(context, passes=8 * BACKWARD)
    return (yield from integrated_gradients(model, image, black, class_, part=part))


def _told(attributed: AttributedImage, values: Tensor) -> str:
    """Return what a map of the said class's score comes to, in a sentence."""
    if attributed.method == INTEGRATED:
        brought = float(values.sum())
        predicted = attributed.prediction.predicted
        return f"The attributions add up to {brought:+.1f}, the change of logit {predicted}."
    ink, total = attributed.digit.pixels.cpu() > 0, float(values.abs().sum())
    if attributed.method == TIMES_PIXEL or not total > 0:
        return "" if total > 0 else "No pixel changes the score."
    share, area = float(values.abs()[ink].sum()) / total, float(ink.float().mean())
    return f"{percent(share, 0)} of it lies on the ink, which is {percent(area, 0)} of the image."
