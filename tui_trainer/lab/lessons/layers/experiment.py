"""Layers: the network's maps one layer after the other, and one budget spent on 1, 2, 4 or 6."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from functools import partial

from torch import nn

from tui_trainer.lab.compare import arm, compare
from tui_trainer.lab.context import DIGIT, Context, Digit
from tui_trainer.lab.controls import Controls, word_control
from tui_trainer.lab.drawing import alone, digit_picture, map_picture, nonfinite_notice
from tui_trainer.lab.layer_maps import (
    LayerMaps,
    Subject,
    is_convolution,
    maps_of,
    middle_frame,
    subject,
)
from tui_trainer.lab.lessons.layers.arithmetic import (
    pooled_behind,
    stack_field,
    stack_parameters,
    width_for,
)
from tui_trainer.protocol.exhibit import Block, Exhibit, Pictures, Table, Words
from tui_trainer.protocol.layers import COMPANIONS
from tui_trainer.text.fmt import count, field, plural

DEPTHS = (1, 2, 4, 6)
"""How many convolutions the budget is spent on."""

BUDGET = 4_870
"""Parameters of each: here the four come within 1.2 % of each other, for ten classes."""

IMAGES = 6_000
"""Images that each is trained on, if there is time for so many."""

SHOWN = 4
"""Channels of a layer that are drawn."""


def show(context: Context, controls: Controls, confirmed: bool) -> Iterator[Exhibit]:
    """Show a layer's maps of a digit, or train one budget at four depths."""
    seen = subject(context, lambda seen: any(map(is_convolution, seen.layers)))
    digit = context.digit(controls.whole(DIGIT, is_shown=False))
    walk = [
        maps
        for maps in maps_of(seen, digit.model_input, None)
        if maps.row.kind not in ("input", *COMPANIONS) and maps.row.output_shape[:2] != (1, 1)
    ]
    names = tuple(maps.row.name for maps in walk)
    layer = word_control("layer", names)
    name = controls.word(layer)
    controls.add(DIGIT, digit.number)
    classes = context.data.classes
    plan = _plan(classes)
    if confirmed:
        networks = {
            depth: partial(stack_network, depth, width_for(BUDGET, depth, classes), classes)
            for depth in DEPTHS
        }
        arms = [
            arm(context, plural(depth, "layer"), context.build(network))
            for depth, network in networks.items()
        ]
        yield from compare(context, arms, setup=(plan,), images=IMAGES)
        return
    yield Exhibit(
        blocks=(*seen.note, *_layer(seen, digit, walk[names.index(name)]), plan),
        trains=f"train the {len(DEPTHS)} networks of this table: about 15 s",
    )


def _layer(seen: Subject, digit: Digit, maps: LayerMaps) -> tuple[Block, ...]:
    """Return a layer in pictures and in a sentence."""
    row, channels = maps.row, len(maps.values)
    sees = f"a feature sees {field(row.receptive_field)} pixels" if row.receptive_field else ""
    facts = [
        f"{row.name}: {row.kind} {row.kernel}".strip(),
        f"{row.shape_text} out",
        plural(row.parameters, "parameter"),
        *([sees] if sees else []),
    ]
    where = f"Row {maps.place} of {len(seen.layers) - 1} in the layer table."
    said = Words(text=f"{', '.join(facts)}. {where}")
    if maps.is_nonfinite:
        lost = nonfinite_notice("its maps")
        return alone(digit), said, lost
    pictures = [
        map_picture(maps.values[channel], f"channel {channel}")
        for channel in range(min(SHOWN, channels))
    ]
    framed = digit_picture(digit, frame=middle_frame(row, digit.pixels.shape))
    shown = f"the first {len(pictures)} of {plural(channels, 'channel')}"
    return (
        Pictures(
            caption=f"{row.name}, {shown}; framed: what its middle feature sees",
            items=(framed, *pictures),
        ),
        said,
    )


def _plan(classes: int) -> Table:
    """Return the four networks that one budget allows."""
    widths = {depth: width_for(BUDGET, depth, classes) for depth in DEPTHS}
    return Table(
        caption="one budget, spent on width or on depth",
        heads=("convolutions", "kernels each", "parameters", "sees"),
        rows=tuple(
            (
                str(depth),
                str(width),
                count(stack_parameters(depth, width, classes)),
                field((stack_field(depth),) * 2),
            )
            for depth, width in widths.items()
        ),
    )


def stack_network(convolutions: int, width: int, classes: int) -> nn.Sequential:
    """Build a stack of 3×3 convolutions with batch norm, global average pooling and scores.

    The first moves by 2, and a max pool stands behind the middle one, so that all end on maps of
    one size. Takes (N, 1, H, H), gives scores (N, classes).
    """
    layers: OrderedDict[str, nn.Module] = OrderedDict()
    channels = 1
    for number in range(1, convolutions + 1):
        stride = 2 if number == 1 else 1
        layers[f"conv{number}"] = nn.Conv2d(channels, width, 3, stride, padding=1, bias=False)
        if number == pooled_behind(convolutions):
            layers["pool"] = nn.MaxPool2d(2)
        layers[f"norm{number}"] = nn.BatchNorm2d(width)
        layers[f"relu{number}"] = nn.ReLU(inplace=True)
        channels = width
    layers["average"] = nn.AdaptiveAvgPool2d(1)
    layers["flatten"] = nn.Flatten()
    layers["scores"] = nn.Linear(channels, classes)
    return nn.Sequential(layers)
