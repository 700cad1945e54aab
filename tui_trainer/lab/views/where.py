"""Where the network looked: which pixels of a digit count for the class that it gives."""

from __future__ import annotations

from collections.abc import Generator
from math import ceil

import torch
from torch import Tensor

from tui_trainer.lab.context import Context, Parts
from tui_trainer.lab.controls import Controls, number_control, word_control
from tui_trainer.lab.samples import BACKWARD, affordable
from tui_trainer.lab.views.attribution import (
    PATH_STEPS,
    Occluded,
    gradient,
    gradient_times_pixel,
    integrated_gradients,
    occlusion,
)
from tui_trainer.lab.views.judging import sealed
from tui_trainer.lab.views.layer_units import part_size
from tui_trainer.lab.views.one_digit import (
    GRADIENT,
    INTEGRATED,
    OCCLUSION,
    TIMES_PIXEL,
    Look,
    chosen_digit,
    is_sealed,
    picture_of,
    prediction_of,
)
from tui_trainer.protocol.exhibit import Exhibit, Words
from tui_trainer.text.fmt import count, percent

METHOD = word_control("method", (OCCLUSION, GRADIENT, TIMES_PIXEL, INTEGRATED))
PATCH = number_control("patch", "patch", 5, (3, 4, 5, 6, 7, 8, 9), 2.0, 14.0)

PLACES, FEWEST = 676, 100
"""Places that a patch is put to, at most and at least."""

SHOWN = 4
"""Exhibits on the way of an occlusion."""


def show(context: Context, controls: Controls, goes: bool) -> Parts:
    """Show what the pixels of a digit count for the class it is given, and for its rival."""
    images = controls.word(context.images_control)
    number, method = chosen_digit(context, images, controls), controls.word(METHOD)
    patch = controls.whole(PATCH, is_shown=method == OCCLUSION)
    if is_sealed(context, images):
        yield sealed(context)
        return
    digit = context.digit(number, images)
    look = Look(context, digit, prediction_of(digit, context.network), images, method)
    if look.prediction.is_lost:
        lost = Words(text=look.prediction.sentence, tone="error")
        yield look.exhibit((look.picture(),), (lost,))
    elif look.method == OCCLUSION:
        yield from _cover(look, patch)
    else:
        yield from _slopes(look)


def black_of(context: Context) -> float:
    """Return what a black pixel is to the network."""
    return float(context.data.prepare(torch.zeros(1, 1, 1, dtype=torch.uint8)))


def stride_for(context: Context, patch: int) -> int:
    """Return the stride at which there are not more places than can be tried in a moment."""
    places = affordable(context.layers, 0.25, least=FEWEST, most=PLACES)
    across = context.data.image_size - patch
    return max(1, ceil(across / max(1, int(places**0.5) - 1)))


def _cover(look: Look, patch: int) -> Parts:
    """Cover the digit place by place; show it a few times on the way."""
    context = look.context
    part, stride = part_size(context), stride_for(context, patch)
    told = 0.0
    trial = occlusion(
        context.network,
        look.digit.network_input,
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
        yield _covered(look, found, stride)


def _covered(look: Look, found: Occluded, stride: int) -> Exhibit:
    """Return what covering has shown so far."""
    maps = {class_: found.loss(class_) for class_ in look.rivals}
    said, _ = look.rivals
    worst = found.worst(said)
    top, left = found.corners[worst]
    inside = min(found.patch, found.side - top), min(found.patch, found.side - left)
    changed = int((found.covered.argmax(dim=1) != said).sum())
    tried, most = len(found.covered), found.covered[worst]
    to = f", and it says {int(most.argmax())}" if int(most.argmax()) != said else ""
    pictures = [
        picture_of(values, f"P({class_}) {_points(values)}", float(values.abs().max()))
        for class_, values in maps.items()
    ]
    return look.exhibit(
        (look.picture((top, left, *inside)), *pictures),
        result=f"{look.prediction.sentence} Covering the framed {inside[0]}×{inside[1]} pixels "
        f"leaves P({said}) {percent(float(most[said]), 1)}{to}. {changed} of {tried} places "
        "change the answer.",
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


def _slopes(look: Look) -> Parts:
    """Show what the gradient tells, by one of its methods."""
    yield look.exhibit((look.picture(),), progress=0.0)
    is_signed = look.method != GRADIENT
    maps: dict[int, Tensor] = {}
    for class_ in look.rivals:
        values = yield from _map(look, class_)
        if values is None:
            lack = Words(text="No gradient gets from its scores to the image.", tone="warning")
            yield look.exhibit((look.picture(),), (lack,))
            return
        maps[class_] = values if is_signed else values.abs()
        yield None
    bound = max(float(each.abs().max()) for each in maps.values())
    pictures = [
        picture_of(values, f"score of {class_}", bound, is_signed=is_signed)
        for class_, values in maps.items()
    ]
    is_integrated = look.method == INTEGRATED
    yield look.exhibit(
        (look.picture(), *pictures),
        result=f"{look.prediction.sentence} {_told(look, maps[look.prediction.said])}".strip(),
        figures={"maps": {str(class_): values.tolist() for class_, values in maps.items()}},
        on=f"{PATH_STEPS} points on the way from black" if is_integrated else "its gradient",
    )


def _map(look: Look, class_: int) -> Generator[None, None, Tensor | None]:
    context, image = look.context, look.digit.network_input
    network, black = context.network, black_of(context)
    if look.method == GRADIENT:
        return gradient(network, image, class_)
    if look.method == TIMES_PIXEL:
        return gradient_times_pixel(network, image, black, class_)
    part = part_size(context, passes=8 * BACKWARD)
    return (yield from integrated_gradients(network, image, black, class_, part=part))


def _told(look: Look, values: Tensor) -> str:
    """Return what a map of the said class's score comes to, in a sentence."""
    if look.method == INTEGRATED:
        brought = float(values.sum())
        return f"Together the ink brings the score of {look.prediction.said} {brought:+.1f}."
    ink, total = look.digit.pixels.cpu() > 0, float(values.abs().sum())
    if look.method == TIMES_PIXEL or not total > 0:
        return "" if total > 0 else "No pixel changes the score."
    share, area = float(values.abs()[ink].sum()) / total, float(ink.float().mean())
    return f"{percent(share, 0)} of it lies on the ink, which is {percent(area, 0)} of the image."
