"""Attribution: which pixels of an image the predicted class depends on."""

from __future__ import annotations

from collections.abc import Generator
from math import ceil

from torch import Tensor

from tui_trainer.lab.context import Context, Parts
from tui_trainer.lab.controls import Controls, number_control, word_control
from tui_trainer.lab.samples import BACKWARD, affordable
from tui_trainer.lab.views.activation_maps import activation_maps, chosen_layer
from tui_trainer.lab.views.attribution_methods import (
    PATH_STEPS,
    Occluded,
    gradient,
    input_x_gradient,
    integrated_gradients,
    occlusion,
)
from tui_trainer.lab.views.layer_units import part_size
from tui_trainer.lab.views.single_image import (
    GRAD_CAM,
    INPUT_X_GRADIENT,
    INTEGRATED,
    OCCLUSION,
    SALIENCY,
    AttributedImage,
    chosen_digit,
    is_sealed,
    occluder,
    picture_of,
    prediction_of,
    where,
)
from tui_trainer.lab.views.split_predictions import sealed
from tui_trainer.protocol.exhibit import Exhibit, Words
from tui_trainer.text.fmt import count, percent

METHODS = (OCCLUSION, SALIENCY, INPUT_X_GRADIENT, INTEGRATED, GRAD_CAM)
METHOD = word_control("method", METHODS)
PATCH = number_control("patch", "patch", 5, (3, 4, 5, 6, 7, 8, 9), 2.0, 14.0)

POSITIONS, FEWEST = 676, 100
"""Positions of the patch, at most and at least."""

SHOWN = 4
"""Intermediate exhibits of an occlusion."""


def show(context: Context, controls: Controls, confirmed: bool) -> Parts:
    """Show the attribution maps of the predicted class and of its rival."""
    images = controls.word(context.images_control)
    number, method = chosen_digit(context, images, controls), controls.word(METHOD)
    patch = controls.whole(PATCH, is_shown=method == OCCLUSION)
    layer = chosen_layer(context, controls) if method == GRAD_CAM else ""
    if is_sealed(context, images):
        yield sealed(context)
        return
    digit = context.digit(number, images)
    attributed = AttributedImage(
        context, digit, prediction_of(context, digit, context.model), images, method
    )
    if attributed.prediction.is_nonfinite:
        notice = Words(text=attributed.prediction.sentence, tone="error")
        yield attributed.exhibit((attributed.picture(),), (notice,))
    elif attributed.method == OCCLUSION:
        yield from _occlude(attributed, patch)
    elif attributed.method == GRAD_CAM:
        yield from activation_maps(attributed, layer)
    else:
        yield from _gradients(attributed)


def stride_for(context: Context, patch: int) -> int:
    """Return the smallest stride whose positions are affordable."""
    places = affordable(context.layers, 0.25, least=FEWEST, most=POSITIONS)
    across = context.data.image_size - patch
    return max(1, ceil(across / max(1, int(places**0.5) - 1)))


def _occlude(attributed: AttributedImage, patch: int) -> Parts:
    """Occlude the image position by position; show a few intermediate results."""
    context = attributed.context
    part, stride = part_size(context), stride_for(context, patch)
    shown_from = 0.0
    trial = occlusion(
        context.model,
        attributed.digit.model_input,
        occluder(context),
        patch=patch,
        stride=stride,
        part=part,
    )
    for found in trial:
        if found.share < 1 and found.share < shown_from:
            yield None
            continue
        shown_from = found.share + 1 / SHOWN
        yield _occlusion_exhibit(attributed, found, stride)


def _occlusion_exhibit(attributed: AttributedImage, found: Occluded, stride: int) -> Exhibit:
    """Return the exhibit of the occlusion so far."""
    maps = {class_: found.drop(class_) for class_ in attributed.rivals}
    predicted, _ = attributed.rivals
    worst = found.worst(predicted)
    top, left = found.corners[worst]
    height, width = found.size
    inside = min(found.patch, height - top), min(found.patch, width - left)
    changed = int((found.covered.argmax(dim=1) != predicted).sum())
    tried, most = len(found.covered), found.covered[worst]
    name = attributed.context.class_name
    to = f" (predicted: {name(int(most.argmax()))})" if int(most.argmax()) != predicted else ""
    pictures = [
        picture_of(values, f"P({name(class_)}) {_points(values)}", float(values.abs().max()))
        for class_, values in maps.items()
    ]
    return attributed.exhibit(
        (attributed.picture((top, left, *inside)), *pictures),
        result=f"{attributed.prediction.sentence} Occluding the framed {inside[0]}×{inside[1]} "
        f"pixels leaves P({name(predicted)}) at {percent(float(most[predicted]), 1)}{to}. "
        f"{changed} of {tried} positions change the prediction.",
        figures={
            "patch": found.patch,
            "stride": stride,
            "positions": len(found.corners),
            "changed": changed,
            "worst": {"top": top, "left": left, "probabilities": most.tolist()},
            "maps": {str(class_): values.tolist() for class_, values in maps.items()},
        },
        progress=None if found.share == 1 else found.share,
        on=f"{count(tried)} patch positions, stride {stride} px",
    )


def _points(values: Tensor) -> str:
    """Return the largest drop or rise of a map, in percentage points."""
    most = values.flatten()[int(values.abs().argmax())]
    return f"{'falls' if most >= 0 else 'rises'} by up to {100 * abs(float(most)):.2g} points"


def _gradients(attributed: AttributedImage) -> Parts:
    """Show the maps of a gradient method."""
    yield attributed.exhibit((attributed.picture(),), progress=0.0)
    is_signed = attributed.method != SALIENCY
    maps: dict[int, Tensor] = {}
    for class_ in attributed.rivals:
        values = yield from _map(attributed, class_)
        if values is None:
            missing = Words(text="No gradient flows from the logits to the image.", tone="warning")
            yield attributed.exhibit((attributed.picture(),), (missing,))
            return
        maps[class_] = values if is_signed else values.abs()
        yield None
    bound = max(float(each.abs().max()) for each in maps.values())
    pictures = [
        picture_of(
            values,
            f"logit of class {attributed.prediction.name(class_)}",
            bound,
            is_signed=is_signed,
        )
        for class_, values in maps.items()
    ]
    prediction = attributed.prediction
    is_integrated = attributed.method == INTEGRATED
    yield attributed.exhibit(
        (attributed.picture(), *pictures),
        result=f"{prediction.sentence} {_summary(attributed, maps[prediction.predicted])}".strip(),
        figures={"maps": {str(class_): values.tolist() for class_, values in maps.items()}},
        on=f"{PATH_STEPS} steps from a black baseline" if is_integrated else "one backward pass",
    )


def _map(attributed: AttributedImage, class_: int) -> Generator[None, None, Tensor | None]:
    context, image = attributed.context, attributed.digit.model_input
    model, black = context.model, context.data.black
    if attributed.method == SALIENCY:
        return gradient(model, image, class_)
    if attributed.method == INPUT_X_GRADIENT:
        return input_x_gradient(model, image, black, class_)
    part = part_size(context, passes=8 * BACKWARD)
    return (yield from integrated_gradients(model, image, black, class_, part=part))


def _summary(attributed: AttributedImage, values: Tensor) -> str:
    """Return a sentence on the map of the predicted class."""
    if attributed.method == INTEGRATED:
        return (
            f"The attributions add up to {float(values.sum()):+.1f}, the change of the logit of "
            f"class {attributed.prediction.name(attributed.prediction.predicted)}."
        )
    total = float(values.abs().sum())
    if attributed.method == INPUT_X_GRADIENT or not total > 0:
        return "" if total > 0 else "No pixel changes the logit."
    return where(attributed.digit, values.abs(), "saliency")
