"""Layers: the feature maps layer by layer, and one parameter budget at four depths."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator, Mapping
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
    pooled_after,
    stack_field,
    stack_parameters,
    width_for,
)
from tui_trainer.protocol.exhibit import Block, Exhibit, Pictures, Table, Words
from tui_trainer.protocol.layers import COMPANIONS
from tui_trainer.text.fmt import count, field, plural

DEPTHS = (1, 2, 4, 6)
"""The numbers of convolutions on which the budget is spent."""

BUDGET = 4_870
"""Parameters of each: with ten classes the four are within 1.2 % of each other."""

IMAGES = 6_000
"""Training images for each, if there is time."""

SHOWN = 4
"""Channels of a layer that are drawn."""


def show(context: Context, controls: Controls, confirmed: bool) -> Iterator[Exhibit]:
    """Show the feature maps of a layer, or train one budget at four depths."""
    inspected = subject(context, lambda inspected: any(map(is_convolution, inspected.layers)))
    digit = context.digit(controls.whole(DIGIT, is_shown=False))
    walk = [
        maps
        for maps in maps_of(inspected, digit.model_input, None)
        if maps.row.kind not in ("input", *COMPANIONS) and maps.row.output_shape[:2] != (1, 1)
    ]
    names = tuple(maps.row.name for maps in walk)
    layer = word_control("layer", names)
    name = controls.word(layer)
    controls.add(DIGIT, digit.number)
    classes, channels = context.data.classes, context.data.channels
    widths = {depth: width_for(BUDGET, depth, classes, channels) for depth in DEPTHS}
    plan = _plan(widths, classes, channels)
    if confirmed:
        models = {
            depth: partial(stack_model, depth, width, classes, channels)
            for depth, width in widths.items()
        }
        arms = [
            arm(context, plural(depth, "layer"), context.build(model))
            for depth, model in models.items()
        ]
        yield from compare(context, arms, setup=(plan,), images=IMAGES)
        return
    yield Exhibit(
        blocks=(*inspected.note, *_layer(inspected, digit, walk[names.index(name)]), plan),
        trains=f"train the {len(DEPTHS)} networks of this table: about 15 s",
    )


def _layer(inspected: Subject, digit: Digit, maps: LayerMaps) -> tuple[Block, ...]:
    """Return the pictures of a layer and a sentence about it."""
    row, channels = maps.row, len(maps.values)
    sees = f"receptive field {field(row.receptive_field)}" if row.receptive_field else ""
    parts = [
        f"{row.name}: {row.kind} {row.kernel}".strip(),
        f"output {row.shape_text}",
        plural(row.parameters, "parameter"),
        *([sees] if sees else []),
    ]
    where = f"Row {maps.place} of {len(inspected.layers) - 1} in the layer table."
    sentence = Words(text=f"{', '.join(parts)}. {where}")
    if maps.is_nonfinite:
        message = nonfinite_notice("its maps")
        return alone(digit), sentence, message
    pictures = [
        map_picture(maps.values[channel], f"channel {channel}")
        for channel in range(min(SHOWN, channels))
    ]
    framed = digit_picture(digit, frame=middle_frame(row, digit.size))
    shown = f"the first {len(pictures)} of {plural(channels, 'channel')}"
    return (
        Pictures(
            caption=f"{row.name}, {shown}; framed: the field of its middle feature",
            items=(framed, *pictures),
        ),
        sentence,
    )


def _plan(widths: Mapping[int, int], classes: int, channels: int) -> Table:
    """Return the four models that the budget allows."""
    return Table(
        caption="one budget, spent on width or on depth",
        heads=("convolutions", "kernels each", "parameters", "receptive field"),
        rows=tuple(
            (
                str(depth),
                str(width),
                count(stack_parameters(depth, width, classes, channels)),
                field((stack_field(depth),) * 2),
            )
            for depth, width in widths.items()
        ),
    )


def stack_model(convolutions: int, width: int, classes: int, channels: int = 1) -> nn.Sequential:
    """Build 3×3 convolutions with batch norm, global average pooling and a linear layer.

    The first has stride 2, and a max pool follows the middle one, so that all depths end on maps of
    one size. Maps images (N, channels, H, H) to logits (N, classes).
    """
    layers: OrderedDict[str, nn.Module] = OrderedDict()
    for number in range(1, convolutions + 1):
        stride = 2 if number == 1 else 1
        layers[f"conv{number}"] = nn.Conv2d(channels, width, 3, stride, padding=1, bias=False)
        if number == pooled_after(convolutions):
            layers["pool"] = nn.MaxPool2d(2)
        layers[f"norm{number}"] = nn.BatchNorm2d(width)
        layers[f"relu{number}"] = nn.ReLU(inplace=True)
        channels = width
    layers["average"] = nn.AdaptiveAvgPool2d(1)
    layers["flatten"] = nn.Flatten()
    layers["linear"] = nn.Linear(channels, classes)
    return nn.Sequential(layers)
