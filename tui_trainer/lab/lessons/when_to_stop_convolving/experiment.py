"""When to stop convolving: map size, receptive field, and the heads for a last map."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial

import torch
from torch import Tensor, nn

from tui_trainer.anatomy.review.design import Design, is_weighted, map_size
from tui_trainer.anatomy.review.receptive_fields import OBJECT, STOP
from tui_trainer.course.subject import shows_digits
from tui_trainer.data.dataset import Data, Split
from tui_trainer.lab.compare import VAL_IMAGES, Evaluations, accuracy_text, arm, compare, score
from tui_trainer.lab.context import DIGIT, Context, Digit
from tui_trainer.lab.controls import Controls, word_control
from tui_trainer.lab.drawing import digit_picture, map_picture
from tui_trainer.lab.layer_maps import LayerMaps, Subject, maps_of, subject
from tui_trainer.lab.lessons.when_to_stop_convolving.arithmetic import (
    AVERAGE,
    CONNECTED,
    CONVOLUTION,
    HEADS,
    KERNEL,
    Head,
    heads,
    place_to_stop,
)
from tui_trainer.lab.trial import Arm
from tui_trainer.protocol.exhibit import Block, Exhibit, Picture, Pictures, Table, Words
from tui_trainer.protocol.layers import LayerRow
from tui_trainer.text.fmt import clip, count, field

SHOWN = 8
"""Maps that are shown, those with the largest means."""

MOST_ROWS = 12
"""Rows of the layer table; it shows the last layers."""

SHIFT = 3
"""Pixels by which digits are shifted, to test whether a head depends on their position."""

BACKBONE = ((8, True), (16, True), (20, False))
"""The convolutions of the backbone: kernels, and whether a pool follows."""

HEAD = word_control("head", HEADS, value=AVERAGE)

ABOUT = {
    CONVOLUTION: "Another 3×3 convolution uses each weight at every position and sees one position "
    "further on each side; it still needs a mean to reduce many positions to one.",
    KERNEL: "A kernel as large as the map has a separate weight for each position: it knows where "
    "everything is, and pays for that.",
    CONNECTED: "A fully connected layer computes the same sum as a map-sized kernel, plus a bias "
    "for each class.",
    AVERAGE: "Global average pooling keeps one number per channel: how much of a feature there is, "
    "not where. It has no parameters; a 1×1 convolution turns the means into logits.",
}


def show(context: Context, controls: Controls, confirmed: bool) -> Iterator[Exhibit]:
    """Show where a model may stop convolving, and the cost of each head there."""
    name, number = controls.word(HEAD), controls.whole(DIGIT)
    if confirmed:
        yield from _trained(context)
        return
    inspected = subject(context, lambda candidate: _last_place(candidate.layers) > 0)
    last = _last_place(inspected.layers)
    digit = context.digit(number)
    (maps,) = [m for m in maps_of(inspected, digit.model_input, None) if m.place == last]
    height, width, channels = inspected.layers[last].output_shape
    choices = heads(height, width, channels, context.data.classes)
    yield Exhibit(
        blocks=(
            *inspected.note,
            _costs(inspected, last, choices, name),
            Words(text=ABOUT[name]),
            _pictures(digit, maps),
            *_layers(inspected, context.data),
        ),
        result=_result(choices, name, maps),
        evidence="Counted, not measured: the costs of one image follow from the shapes.",
        trains="train one backbone with three heads: about 15 s",
    )


def _last_place(rows: Sequence[LayerRow]) -> int:
    """Return the index of the last map before the head; 0 if that is the image."""
    design = Design(rows)
    first = min(design.heads, default=len(rows))
    maps = [p for p in range(1, first) if max(map_size(rows[p].output_shape)) > 1]
    has_convolution = any(p < first for p in design.convolutions)
    return maps[-1] if maps and has_convolution else 0


def _costs(inspected: Subject, last: int, choices: Sequence[Head], name: str) -> Table:
    """Return the cost of each head, and of the current one."""
    current = inspected.layers[last + 1 :]
    weighted = [row for row in current if is_weighted(row)]
    now = (
        clip(f"now: {', '.join(f'{row.kind} {row.kernel}'.strip() for row in weighted)}", 30),
        clip(", ".join(row.name for row in weighted), 16),
        count(sum(row.parameters for row in current)),
        count(sum(row.multiply_adds for row in current)),
    )
    names = [head.name for head in choices]
    row = inspected.layers[last]
    return Table(
        caption=f"from {row.name}, {row.shape_text}, to the logits",
        heads=("head", "layers", "parameters", "multiply-adds"),
        rows=(
            *((e.name, e.layers, count(e.parameters), count(e.multiply_adds)) for e in choices),
            now,
        ),
        marked=names.index(name),
    )


def _pictures(digit: Digit, maps: LayerMaps) -> Pictures:
    """Return the digit and its last maps, those with the largest means first."""
    means = maps.values.flatten(1).mean(dim=1)
    order = torch.nan_to_num(means, nan=-torch.inf).argsort(descending=True)[:SHOWN].tolist()
    return Pictures(
        caption="its last maps, largest means first; the mean is what an average keeps",
        items=(digit_picture(digit), *(_map(maps.values[c], c, float(means[c])) for c in order)),
    )


def _map(values: Tensor, channel: int, mean: float) -> Picture:
    return map_picture(values, f"{channel}: {mean:z.3f}")


def _layers(inspected: Subject, data: Data) -> tuple[Block, ...]:
    """Return map size and receptive field of each layer with a kernel, up to the head.

    How much of an image an object covers is only known for digits.
    """
    side, of_digits = data.image_size, shows_digits(data.name)
    thing, other = "a digit", "an object with the proportions of MNIST's digits"
    if not of_digits:
        thing = "an object"
    end = max(Design(inspected.layers).heads, default=len(inspected.layers) - 1)
    rows = [row for row in inspected.layers[: end + 1] if row.kernel_size]
    digit = round(side * OBJECT[0] / OBJECT[1])
    maps = [map_size(row.output_shape) for row in rows]
    stop = place_to_stop(maps, [row.receptive_field for row in rows], (digit, digit), STOP)
    first = max(0, len(rows) - MOST_ROWS)
    table = Table(
        caption=f"receptive fields; {thing if of_digits else other} covers {digit}×{digit} of "
        f"{side}×{side} pixels",
        heads=("layer", "kind", "map", "field", "a feature sees", "stop here?"),
        rows=tuple(
            (
                clip(row.name, 14),
                clip(f"{row.kind} {row.kernel}", 16),
                f"{row.output_shape[0]}×{row.output_shape[1]}",
                field(row.receptive_field),
                _sees(row, digit, side, thing),
                "from here on" if place == stop else "",
            )
            for place, row in enumerate(rows[first:], first)
        ),
        marked=stop - first if stop is not None and stop >= first else None,
    )
    if stop is not None:
        return (table,)
    words = f"No feature on a map of {STOP}×{STOP} or less sees {thing}: it is too early to stop."
    return (table, Words(text=words, tone="warning"))


def _sees(row: LayerRow, digit: int, side: int, thing: str) -> str:
    if row.receptive_field is None:
        return "not defined"
    least = min(row.receptive_field)
    return "the image" if least >= side else thing if least >= digit else "a part"


def _result(choices: Sequence[Head], name: str, maps: LayerMaps) -> str:
    costs = {head.name: head for head in choices}
    chosen, average = costs[name], costs[AVERAGE]
    channels, places = maps.values.shape[0], maps.values[0].numel()
    if maps.is_nonfinite:
        return "The maps are not finite: the run diverged. The costs do not depend on that."
    if name == AVERAGE:
        return (
            f"Global average pooling keeps {channels} of {channels * places:,} values and takes "
            f"{average.parameters:,} parameters with its 1×1; a map-sized kernel takes "
            f"{costs[KERNEL].parameters:,}."
        )
    times = chosen.parameters / average.parameters
    return (
        f"{name.capitalize()}: {chosen.parameters:,} parameters, {times:.1f} times those of "
        f"global average pooling with its 1×1 ({average.parameters:,})."
    )


def _backbone(channels: int) -> list[nn.Module]:
    layers: list[nn.Module] = []
    for width, pools in BACKBONE:
        layers.append(nn.Conv2d(channels, width, 3, padding=1, bias=False))
        layers += [nn.MaxPool2d(2)] if pools else []
        layers += [nn.BatchNorm2d(width), nn.ReLU(inplace=True)]
        channels = width
    return layers


def _with_head(name: str, side: int, classes: int, in_channels: int) -> nn.Sequential:
    """Build the backbone and a head; the backbone's weights are drawn first, so they are equal."""
    backbone, channels = _backbone(in_channels), BACKBONE[-1][0]
    layers: dict[str, Callable[[], list[nn.Module]]] = {
        AVERAGE: lambda: [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, classes)],
        KERNEL: lambda: [nn.Conv2d(channels, classes, side, bias=False), nn.Flatten()],
        CONNECTED: lambda: [nn.Flatten(), nn.Linear(side * side * channels, classes)],
    }
    return nn.Sequential(*backbone, *layers[name]())


def _trained(context: Context) -> Iterator[Exhibit]:
    """Train one backbone with three heads."""
    side = context.data.image_size // 2 ** sum(pools for _, pools in BACKBONE)
    classes, channels = context.data.classes, context.data.channels
    titles = {AVERAGE: "global average", KERNEL: f"kernel {side}×{side}", CONNECTED: CONNECTED}
    arms = [
        arm(context, title, context.build(partial(_with_head, head, side, classes, channels)))
        for head, title in titles.items()
    ]
    setup = Words(
        text=f"The same backbone, three 3×3 convolutions to {side}×{side}×{BACKBONE[-1][0]}, with "
        "the same initial weights. The kernel and the fully connected layer compute the same sum: "
        "the difference between these two is noise.",
        tone="muted",
    )
    yield from compare(context, arms, setup=(setup,), found=partial(_on_shifted, context))


def _on_shifted(
    context: Context, arms: Sequence[Arm], evaluations: Evaluations
) -> tuple[Block, ...]:
    """Return the accuracy of each head on shifted digits, which no model has trained on."""
    images = context.sample(VAL_IMAGES)
    split = shifted(images.take(list(range(len(images) // 2))))
    rows = []
    for each in arms:
        original, moved = evaluations[each.name], score(each.trial, split)
        rows.append(
            (
                each.name,
                accuracy_text(original.correct, original.total),
                accuracy_text(moved.correct, moved.total),
            )
        )
    return (
        Table(
            caption=f"accuracy; shifted: {len(split):,} images, {SHIFT} pixels down and right",
            heads=("head", "not shifted", "shifted"),
            rows=tuple(rows),
        ),
    )


def shifted(split: Split) -> Split:
    """Return images shifted by ``SHIFT`` pixels; the border is filled with black."""
    images = torch.zeros_like(split.images)
    images[..., SHIFT:, SHIFT:] = split.images[..., :-SHIFT, :-SHIFT]
    return replace(split, images=images)
