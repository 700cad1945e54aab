"""Activation maximization: maximally activating images of a unit, and generated ones."""

from __future__ import annotations

from collections import Counter
from collections.abc import Generator
from functools import partial
from math import ceil, floor, isfinite

import torch
from torch import nn

from tui_trainer.data.dataset import Split
from tui_trainer.lab.context import Context, Parts
from tui_trainer.lab.controls import Controls, word_control
from tui_trainer.lab.drawing import WIDEST, drawable, image_picture, nonfinite_notice
from tui_trainer.lab.layer_maps import place_after
from tui_trainer.lab.samples import affordable
from tui_trainer.lab.views.gradient_ascent import (
    JITTER_FROM,
    STEPS,
    ActivatingImage,
    Search,
    Unit,
    activations,
    generated,
)
from tui_trainer.lab.views.layer_units import part_size
from tui_trainer.lab.views.single_image import is_sealed
from tui_trainer.lab.views.split_predictions import sealed
from tui_trainer.lab.views.weights import WEIGHTED
from tui_trainer.models.tensors import magnitudes
from tui_trainer.protocol.exhibit import (
    Bar,
    Bars,
    Block,
    Exhibit,
    Picture,
    Pictures,
    Words,
    counting,
)
from tui_trainer.protocol.layers import LayerRow
from tui_trainer.text.fmt import count, plural

LOGITS = "logits"
"""The name of the logits in the list of layers."""

SEARCHED, FEWEST = 300, 60
"""Searched images, at most and at least."""

BEST = 8
"""Maximally activating images that are kept."""

GENERATED = 2
"""Generated images, each from its own noise."""

NOISE_LOW, NOISE_HIGH = 0.3, 0.5
"""The range of the initial noise, in grays."""

SHOWN = 4
"""Intermediate exhibits."""

CLASSES = 10
"""Classes with a bar, those with the highest mean activation."""


def show(context: Context, controls: Controls, confirmed: bool) -> Parts:
    """Search the images that activate a unit most, then generate some by gradient ascent."""
    images, rows = controls.word(context.images_control), context.layers
    places = {
        row.name: place_after(rows, place, ("batch norm",))
        for place, row in enumerate(rows)
        if row.kind in WEIGHTED
    }
    # A model may name its last layer so, too.
    layer = word_control("layer", dict.fromkeys((LOGITS, *places)))
    place = places.get(name := controls.word(layer))
    total = context.data.classes if place is None else rows[place].output_shape[2]
    classes = context.class_control("unit", "class")
    is_logit = name == LOGITS and total == context.data.classes
    number = controls.whole(classes if is_logit else counting("unit", "unit", total))
    if is_sealed(context, images):
        yield sealed(context)
        return
    unit, model, search = Unit(place, number), context.copy(), Search()
    model.requires_grad_(False)
    shown = partial(_exhibit, context, search, images, name, number)
    for each in _search(context, model, unit, images, search):
        yield shown(each) if each >= 0 else None
    if not search.best or not all(map(isfinite, search.values)):
        yield shown(None)
        return
    due = 1 / SHOWN
    for share in _generate(context, model, unit, search):
        is_shown = share >= due
        due += 1 / SHOWN if is_shown else 0.0
        yield shown((1 + share) / 2) if is_shown else None
    yield shown(None)


def _search(
    context: Context, model: nn.Module, unit: Unit, images: str, search: Search
) -> Generator[float, None, None]:
    """Search some images; yield the share that is done if the best ones changed, else −1."""
    most = affordable(context.layers, 0.25, least=FEWEST, most=SEARCHED)
    sample, size = context.split(images).sample(most), part_size(context)
    for start in range(0, len(sample), size):
        part = Split(sample.images[start : start + size], sample.labels[start : start + size])
        with torch.no_grad():
            inputs = context.data.prepare(part.images)
            found = activations(model, context.layers, unit, inputs)
        if found is None:
            return
        found = magnitudes(found).cpu()
        across = found.shape[2]
        values, where = found.flatten(1).max(dim=1)
        labels = part.labels.tolist()
        for number, value in enumerate(values.tolist()):
            search.values.append(value)
            search.labels.append(labels[number])
            if len(search.best) < BEST or value > search.best[-1].value:
                down, along = divmod(int(where[number]), across)
                box = _box(context, unit, down, along)
                grays = context.data.pictures(part.images[number : number + 1])[0].float().cpu()
                name = context.class_name(labels[number])
                new = ActivatingImage(grays, labels[number], value, box, name)
                search.best = sorted([*search.best, new], key=lambda f: -f.value)[:BEST]
        is_first = start == 0
        yield 0.5 * (start + len(part)) / len(sample) if is_first else -1.0


def _box(context: Context, unit: Unit, down: int, along: int) -> tuple[int, int, int, int] | None:
    if unit.place is None:
        return None
    box = context.layers[unit.place].box(down, along)
    if box is None:
        return None
    # A receptive field between pixels starts and ends in the middle of a pixel.
    top, left = floor(box.top), floor(box.left)
    return top, left, ceil(box.bottom) - top, ceil(box.right) - left


def _generate(
    context: Context, model: nn.Module, unit: Unit, search: Search
) -> Generator[float, None, None]:
    """Generate images by gradient ascent; yield the share that is done."""
    black, white = context.data.black, context.data.white
    height, width, channels = context.data.shape
    noise = torch.rand(GENERATED, channels, height, width) * (NOISE_HIGH - NOISE_LOW) + NOISE_LOW
    row: LayerRow | None = None if unit.place is None else context.layers[unit.place]
    seen = None if row is None else row.receptive_field
    part = max(1, min(8, part_size(context, passes=64)))
    ascent = generated(
        model,
        context.layers,
        unit,
        noise.to(context.device),
        black=black,
        white=white,
        scale=search.scale,
        is_moved=seen is None or min(seen) >= JITTER_FROM,
        part=part,
    )
    middle = (0, 0) if row is None else (row.output_shape[0] // 2, row.output_shape[1] // 2)
    box = _box(context, unit, *middle)
    for turn, grays in enumerate(ascent, start=1):
        with torch.no_grad():
            inputs = black + (white - black) * grays
            found = activations(model, context.layers, unit, inputs)
        if found is None:
            return
        values = found[:, found.shape[1] // 2, found.shape[2] // 2].float().tolist()
        search.generated = [
            ActivatingImage(255 * drawable(image).float().cpu(), None, value, box)
            for image, value in zip(grays, values, strict=True)
        ]
        yield min(1.0, turn * part / STEPS)


def _exhibit(
    context: Context, search: Search, images: str, layer: str, number: int, progress: float | None
) -> Exhibit:
    name = f"{layer} unit {number}"
    if layer == LOGITS:
        name = f"class {context.class_name(number)}"
    return Exhibit(
        blocks=_blocks(context, search, name),
        result=_result(context, search, name),
        evidence=f"The top images of {plural(len(search.values), f'{images} image')}, step "
        f"{count(context.step)}; generated: {STEPS} steps of gradient ascent from two noise "
        "images.",
        progress=progress,
        figures={
            "layer": layer,
            "unit": number,
            "searched": len(search.values),
            "best": [
                {
                    "true": one.label,
                    **context.names_of(true=one.label or 0),
                    "value": one.value,
                    "receptive_field": one.box,
                }
                for one in search.best
            ],
            "generated": [
                {"value": one.value, "receptive_field": one.box} for one in search.generated
            ],
            "mean_by_class": {str(label): mean for label, mean in search.by_class},
        },
    )


def _blocks(context: Context, search: Search, name: str) -> tuple[Block, ...]:
    if not search.best:
        return (Words(text=f"The activation of {name} cannot be read.", tone="warning"),)
    if not all(map(isfinite, search.values)):
        return (nonfinite_notice(f"the activations of {name}"),)
    shown = [*search.generated, *search.best]
    is_whole = all(one.is_whole for one in shown)
    blocks: list[Block] = []
    if not is_whole:
        _, _, height, width = search.best[0].box or (0, 0, 0, 0)
        blocks.append(
            Pictures(
                caption=f"receptive field at the maximum of {name}: {height}×{width} pixels",
                items=tuple(image_picture(one.cut, one.caption, most=WIDEST) for one in shown),
            )
        )
    blocks.append(
        Pictures(
            caption=f"maximally activating images of {name}"
            if is_whole
            else "the whole images; framed: the receptive field",
            items=tuple(_framed(one) for one in (shown if is_whole else search.best[: BEST - 2])),
        )
    )
    return (*blocks, *_by_class(context, search))


def _framed(one: ActivatingImage) -> Picture:
    """Return an image, with the receptive field framed if it is smaller than the image."""
    if one.box is None or one.is_whole:
        return image_picture(one.pixels, one.caption, most=WIDEST)
    top, left, height, width = one.box
    low, near = max(0, top), max(0, left)
    tall, wide = one.pixels.shape[-2:]
    inside = (low, near, min(tall, top + height) - low, min(wide, left + width) - near)
    return image_picture(one.pixels, one.caption, inside, most=WIDEST)


def _by_class(context: Context, search: Search) -> tuple[Block, ...]:
    means = search.by_class[:CLASSES]
    most = max((abs(mean) for _, mean in means), default=0.0) or 1.0
    return (
        Bars(
            caption="largest activation on an image, mean by class",
            bars=tuple(
                Bar(
                    label=context.class_name(label),
                    share=max(0.0, mean / most),
                    number=f"{mean:.2f}",
                )
                for label, mean in means
            ),
        ),
    )


def _result(context: Context, search: Search, name: str) -> str:
    if not search.best or not all(map(isfinite, search.values)):
        return f"{name}: no finite activation."
    frequent = Counter(one.label for one in search.best).most_common(3)
    named = ((context.class_name(label or 0), times) for label, times in frequent)
    classes = ", ".join(f"{times} of class {name}" for name, times in named)
    best = f"Highest activation of {name}: {search.best[0].value:.2f}"
    if search.generated:
        best += f", on a generated image {max(one.value for one in search.generated):.2f}"
    return f"{best}. Top {len(search.best)} images: {classes}."
