"""The exhibit of Grad-CAM: the maps of the predicted class and of its rival, at one layer."""

from __future__ import annotations

from math import isfinite

from tui_trainer.lab.context import Context, Parts
from tui_trainer.lab.controls import Controls, word_control
from tui_trainer.lab.views.grad_cam import (
    GradCam,
    grad_cam,
    last_convolution,
    layers_with_maps,
    place_of,
)
from tui_trainer.lab.views.single_image import (
    INPUT_X_GRADIENT,
    INTEGRATED,
    OCCLUSION,
    SALIENCY,
    AttributedImage,
    picture_of,
    where,
)
from tui_trainer.protocol.exhibit import Words
from tui_trainer.protocol.layers import LayerRow
from tui_trainer.text.fmt import field, percent

LITTLE = 0.5
"""The share of the gradient that must be left after averaging it over the positions."""


def chosen_layer(context: Context, controls: Controls) -> str:
    """Return the name of the chosen layer; empty, without a control, if there is none to choose."""
    names = layers_with_maps(context.layers)
    if not names:
        return ""
    return controls.word(word_control("layer", names, value=last_convolution(context.layers)))


def activation_maps(attributed: AttributedImage, layer: str) -> Parts:
    """Show the Grad-CAM maps of a layer; without one, which methods there are instead."""
    if not layer:
        text = (
            "Grad-CAM needs a convolution with a map larger than 1×1, and this model has none: "
            f"choose {OCCLUSION}, {SALIENCY}, {INPUT_X_GRADIENT} or {INTEGRATED}."
        )
        yield attributed.exhibit((attributed.picture(),), (Words(text=text, tone="warning"),))
        return
    context = attributed.context
    yield attributed.exhibit((attributed.picture(),), progress=0.0)
    place = place_of(context.layers, layer)
    found = grad_cam(context.copy(), place, attributed.digit.model_input, attributed.rivals)
    if found is None:
        text = f"No gradient flows from the logits to the maps of {layer}."
        yield attributed.exhibit((attributed.picture(),), (Words(text=text, tone="warning"),))
        return
    size = attributed.digit.size
    maps = {class_: cam.enlarged(size) for class_, cam in found.items()}
    bound = max(float(each.max()) for each in maps.values())
    pictures = [
        picture_of(
            values,
            f"class {context.class_name(class_)}{_emptiness(found[class_])}",
            bound,
            is_signed=False,
        )
        for class_, values in maps.items()
    ]
    predicted = attributed.prediction.predicted
    row = next(row for row in context.layers if row.name == layer)
    yield attributed.exhibit(
        (attributed.picture(), *pictures),
        _notes(context, row, found[predicted]),
        result=f"{attributed.prediction.sentence} {_summary(attributed, found[predicted])}",
        figures={
            "layer": layer,
            "size": list(found[predicted].values.shape),
            "gradient_kept": {str(class_): cam.kept for class_, cam in found.items()},
            "coarse": {str(class_): cam.values.tolist() for class_, cam in found.items()},
            "maps": {str(class_): values.tolist() for class_, values in maps.items()},
        },
        on=f"one backward pass per class, to {context.layers[place].name}",
    )


def _emptiness(cam: GradCam) -> str:
    return "" if float(cam.values.max()) > 0 else ": empty"


def _summary(attributed: AttributedImage, cam: GradCam) -> str:
    """Return where the map of the predicted class lies."""
    values = cam.enlarged(attributed.digit.size)
    total = float(values.sum())
    if not isfinite(total):
        return "The map is not finite."
    if not total > 0:
        return "The weighted sum is negative at every position: the map is empty."
    return where(attributed.digit, values, "map")


def _notes(context: Context, row: LayerRow, cam: GradCam) -> tuple[Words, ...]:
    """Return how coarse the map is, and what makes it unreliable at this layer."""
    height, width = cam.values.shape
    whole = "×".join(map(str, context.data.shape[:2]))
    coarse = f"The map of {row.name} has {height}×{width} values, enlarged to {whole} pixels"
    if row.receptive_field is None:
        sees = (
            ". The receptive field of this layer is undefined: its positions need not be those of "
            "the image."
        )
    else:
        sees = f"; each value depends on {field(row.receptive_field)} pixels of the image."
    notes = [Words(text=coarse + sees, tone="plain" if row.receptive_field else "warning")]
    if not isfinite(cam.kept):
        return tuple(notes)
    share = percent(cam.kept, 0 if cam.kept >= 0.1 else 1)
    left = f"Averaged over the positions, {share} of the squared gradient is left"
    if cam.kept >= LITTLE:
        return (*notes, Words(text=f"{left}.", tone="muted"))
    why = (
        f"{left}: the layers after {row.name} treat each position differently, which Grad-CAM "
        "ignores. Compare it with occlusion."
    )
    return (*notes, Words(text=why, tone="warning"))
