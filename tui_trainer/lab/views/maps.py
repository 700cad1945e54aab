"""Feature maps: the activations of every layer for one image, and which channels are dead."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from torch import Tensor

from tui_trainer.lab.context import Context, Digit, Parts
from tui_trainer.lab.controls import Controls, link_to, word_control
from tui_trainer.lab.drawing import (
    PIXELS,
    WIDEST,
    digit_picture,
    map_picture,
    nonfinite_notice,
    page_of,
    shrunk,
    square,
)
from tui_trainer.lab.layer_maps import LayerMaps, Subject, maps_of, middle_frame, subject
from tui_trainer.lab.views.layer_units import output_place, unit_statistics
from tui_trainer.lab.views.single_image import Prediction, chosen_digit, is_sealed, prediction_of
from tui_trainer.lab.views.split_predictions import sealed
from tui_trainer.lab.views.weights import WEIGHTED
from tui_trainer.models.units import Units
from tui_trainer.protocol.exhibit import Block, Exhibit, Picture, Pictures, Words
from tui_trainer.protocol.layers import COMPANIONS, NO_LAYERS, LayerRow, shape_text
from tui_trainer.text.fmt import count, field, plural

ALL = "all"

STRIP = 4
"""Maps of each layer in the overview: those with the highest standard deviation."""

SMALL, COLOR_SMALL = 14, 16
"""Pixels a side to which maps are shrunk in the overview, and the image if it is in color."""

MOST_LAYERS = 14
"""Layers in the overview; with more, an evenly spaced selection."""

PAGE = 16
"""Maps on a page of one layer, at most."""

BARS = 6
"""Classes whose probabilities are shown next to the image."""

NO_STEPS = ("input", "flatten", "pad", *NO_LAYERS, "softmax", *COMPANIONS)
"""Kinds of layers without their own row; companions belong to the layer before them."""


def show(context: Context, controls: Controls, confirmed: bool) -> Parts:
    """Show a few maps of all layers, or all maps of one; then which channels are dead."""
    images = controls.word(context.images_control)
    number = chosen_digit(context, images, controls)
    if is_sealed(context, images):
        yield sealed(context)
        return
    digit = context.digit(number, images)
    seen = subject(context)
    prediction, walk = prediction_of(context, digit, seen.model), walk_of(seen, digit)
    yield None
    names = (ALL, *(maps.row.name for maps in walk))
    name = controls.word(word_control("layer", names, value=ALL))
    chosen = next((maps for maps in walk if maps.row.name == name), None)
    yield _exhibit(context, images, digit, prediction, walk, chosen, controls, None)
    yield None
    units = yield from unit_statistics(context, seen.model, {maps.place for maps in walk})
    yield _exhibit(context, images, digit, prediction, walk, chosen, controls, units)


def walk_of(seen: Subject, digit: Digit) -> list[LayerMaps]:
    """Return the output of each layer for an image, after its batch norm and ReLU.

    ``row`` is the row of the layer, ``place`` that of its last companion. A flat layer has maps of
    1×1; the logits at the end are left out.
    """
    rows = seen.layers
    weighted = [place for place, row in enumerate(rows) if row.kind in WEIGHTED]
    logits = weighted[-1] if weighted else len(rows)
    found = {m.place: m for m in maps_of(seen, digit.model_input, None, flat=True)}
    walk = []
    for place, row in enumerate(rows):
        end = output_place(rows, place)
        is_flat = rows[end].output_shape[:2] == (1, 1)
        if row.kind in NO_STEPS or (is_flat and place >= logits):
            continue
        if end in found:
            walk.append(LayerMaps(end, row, found[end].values))
    return walk


def _exhibit(
    context: Context,
    images: str,
    digit: Digit,
    prediction: Prediction,
    walk: Sequence[LayerMaps],
    chosen: LayerMaps | None,
    controls: Controls,
    units: Mapping[int, Units] | None,
) -> Exhibit:
    dead = {place: set(of.dead) for place, of in (units or {}).items()}
    sample = next((of.images for of in (units or {}).values()), 0)
    blocks: tuple[Block, ...]
    if not walk:
        blocks = (
            *_head(digit, prediction),
            Words(text="The network has no layer with feature maps."),
        )
    elif chosen is None:
        shown = _spread(walk)
        strips = [_strip(maps, context.layers, dead.get(maps.place, set())) for maps in shown]
        blocks = (*_head(digit, prediction), *strips)
    else:
        part = page_of(len(chosen.values), _per_page(digit, chosen), controls)
        blocks = _layer(digit, chosen, part, dead.get(chosen.place, set()))
    return Exhibit(
        blocks=blocks,
        result=prediction.sentence + _inactive(walk, dead, sample),
        evidence=f"One {images} image, step {count(context.step)}"
        + (f"; dead: on {count(sample)} {context.split_name} images." if sample else "."),
        opens=link_to(
            "attribution", "the attribution of this image", images=images, digit=digit.number
        ),
        progress=0.2 if units is None else None,
        figures={
            "digit": digit.number,
            **prediction.figures,
            "sample": sample,
            "layers": [_figures(maps, dead.get(maps.place)) for maps in walk],
        },
    )


def _head(digit: Digit, prediction: Prediction) -> tuple[Block, ...]:
    picture = digit_picture(digit, most=SMALL if digit.pixels.ndim == 2 else COLOR_SMALL)
    bars = () if prediction.is_nonfinite else (prediction.bars(BARS),)
    return (Pictures(caption="", items=(picture,)), *bars)


def _spread(walk: Sequence[LayerMaps]) -> list[LayerMaps]:
    """Return the layers of the overview, always with the first and the last."""
    if len(walk) <= MOST_LAYERS:
        return list(walk)
    last = len(walk) - 1
    return [walk[round(place * last / (MOST_LAYERS - 1))] for place in range(MOST_LAYERS)]


def _strip(maps: LayerMaps, rows: tuple[LayerRow, ...], dead: Collection[int]) -> Block:
    """Return the maps of a layer with the highest standard deviation, on one scale."""
    row = maps.row
    kinds = [row.kind, *(each.kind for each in rows[rows.index(row) + 1 : maps.place + 1])]
    caption = f"{row.name}  {shape_text(row.output_shape)}  {' + '.join(kinds)}"
    if maps.is_nonfinite:
        return nonfinite_notice(f"the maps of {row.name}")
    values = maps.values
    if values.shape[1:] == (1, 1):
        return Pictures(caption=caption, items=(_flat(maps),))
    order = values.flatten(1).std(dim=1, correction=0).argsort(descending=True, stable=True)[:STRIP]
    aside = f"  {plural(len(dead), 'dead map')}" if dead else ""
    return Pictures(
        caption=f"{caption}{aside}",
        items=tuple(_map(maps, int(channel), dead, SMALL) for channel in order),
    )


def _flat(maps: LayerMaps) -> Picture:
    """Return the features of a flat layer as a picture, row by row."""
    numbers = square(maps.values[:, 0, 0])
    return _drawn(maps, shrunk(numbers), plural(len(maps.values), "unit"))


def _map(maps: LayerMaps, channel: int, dead: Collection[int], most: int) -> Picture:
    values = maps.values[channel]
    mark = "dead" if channel in dead else "inactive" if _is_inactive(maps, channel) else ""
    caption = f"{channel} {mark}".strip()
    return _drawn(maps, shrunk(values, most), caption)


def _drawn(maps: LayerMaps, values: Tensor, caption: str) -> Picture:
    """Return a picture on the common scale of the layer."""
    least, most = float(maps.values.min()), float(maps.values.max())
    if least < 0:
        return map_picture(values, caption, bound=max(-least, most))
    return map_picture(values, caption, low=0.0, high=most)


def _is_inactive(maps: LayerMaps, channel: int) -> bool:
    """Whether a map is 0 everywhere for this image."""
    return not bool(maps.values[channel].any())


def _per_page(digit: Digit, maps: LayerMaps) -> int:
    _, height, width = maps.values.shape
    if height * width == 1:
        return len(maps.values)
    room = PIXELS - min(WIDEST, max(digit.size)) ** 2
    return max(1, min(PAGE, room // (min(WIDEST, height) * min(WIDEST, width))))


def _layer(digit: Digit, maps: LayerMaps, part: range, dead: Collection[int]) -> tuple[Block, ...]:
    """Return a page of one layer's maps next to the image."""
    row, total = maps.row, len(maps.values)
    frame = middle_frame(row, digit.size) if max(digit.size) <= WIDEST else None
    shown = digit_picture(digit, frame=frame, most=WIDEST)
    if maps.is_nonfinite:
        return (Pictures(caption="", items=(shown,)), nonfinite_notice(f"the maps of {row.name}"))
    sees = (
        f"; framed: receptive field of the middle feature, {field(row.receptive_field)}"
        if frame
        else ""
    )
    if maps.values.shape[1:] == (1, 1):
        pictures: tuple[Picture, ...] = (_flat(maps),)
    else:
        pictures = tuple(_map(maps, channel, dead, WIDEST) for channel in part)
    which = f"maps {part[0]} to {part[-1]} of {total}" if len(part) < total else f"all {total} maps"
    return (
        Pictures(
            caption=f"{row.name}, {shape_text(row.output_shape)}: {which}{sees}",
            items=(shown, *pictures),
        ),
    )


def _inactive(walk: Sequence[LayerMaps], dead: Mapping[int, Collection[int]], sample: int) -> str:
    total = sum(len(maps.values) for maps in walk)
    if not total or any(maps.is_nonfinite for maps in walk):
        return ""
    inactive = sum(
        _is_inactive(maps, channel) for maps in walk for channel in range(len(maps.values))
    )
    number = count(inactive) if inactive else "None"
    text = f" {number} of {plural(total, 'map')} inactive for this image"
    if not sample:
        return f"{text}."
    total_dead = sum(len(dead.get(maps.place, ())) for maps in walk)
    return f"{text}, {count(total_dead) if total_dead else 'none'} dead."


def _figures(maps: LayerMaps, dead: Collection[int] | None) -> Mapping[str, object]:
    flat = maps.values.flatten(1)
    return {
        "layer": maps.row.name,
        "shape": list(maps.row.output_shape),
        "mean": flat.mean(dim=1).tolist(),
        "largest": flat.amax(dim=1).tolist(),
        "inactive": [n for n in range(len(flat)) if _is_inactive(maps, n)],
        "dead": None if dead is None else sorted(dead),
    }
