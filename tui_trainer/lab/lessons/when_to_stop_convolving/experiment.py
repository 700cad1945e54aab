"""When to stop convolving: map size, field, and the endings that a last map can have."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial

import torch
from torch import Tensor, nn

from tui_trainer.anatomy.review.design import Design, is_weighted, map_size
from tui_trainer.anatomy.review.receptive_fields import OBJECT, STOP
from tui_trainer.data.dataset import Split
from tui_trainer.lab.compare import VAL_IMAGES, Evaluations, accuracy_text, arm, compare, score
from tui_trainer.lab.context import DIGIT, Context, Digit
from tui_trainer.lab.controls import Controls, word_control
from tui_trainer.lab.drawing import digit_picture, map_picture
from tui_trainer.lab.layer_maps import LayerMaps, Subject, maps_of, subject
from tui_trainer.lab.lessons.when_to_stop_convolving.arithmetic import (
    AVERAGE,
    CONNECTED,
    CONVOLUTION,
    ENDINGS,
    KERNEL,
    Ending,
    endings,
    place_to_stop,
)
from tui_trainer.lab.trial import Arm
from tui_trainer.protocol.exhibit import Block, Exhibit, Picture, Pictures, Table, Words
from tui_trainer.protocol.layers import LayerRow
from tui_trainer.text.fmt import clip, count, field

SHOWN = 8
"""Maps that are shown: those with the largest means."""

MOST_ROWS = 12
"""Rows of the table of layers: the last ones."""

MOVED = 3
"""Pixels by which digits are moved, to see whether an ending knows them elsewhere."""

TRUNK = ((8, True), (16, True), (20, False))
"""The convolutions of the trunk: kernels, and whether a pool follows."""

END = word_control("end", ENDINGS, label="ending", value=AVERAGE)

ABOUT = {
    CONVOLUTION: "Another 3×3 convolution uses each weight at every place, and sees two places "
    "further; it still takes a mean to come from many places to one.",
    KERNEL: "A kernel as large as the map has a weight of its own for each place: it knows where "
    "everything is, and pays for that.",
    CONNECTED: "A fully connected layer is the same sum as a kernel of the map's size, with a bias "
    "for each class.",
    AVERAGE: "Global average pooling keeps one number a map: how much of a feature there is, not "
    "where. It learns nothing itself; a 1×1 of the means gives the scores.",
}


def show(context: Context, controls: Controls, confirmed: bool) -> Iterator[Exhibit]:
    """Show where a network may stop convolving, and what each ending would cost there."""
    end, number = controls.word(END), controls.whole(DIGIT)
    if confirmed:
        yield from _trained(context)
        return
    seen = subject(context, lambda own: _last_place(own.layers) > 0)
    last = _last_place(seen.layers)
    digit = context.digit(number)
    (maps,) = [m for m in maps_of(seen, digit.model_input, None) if m.place == last]
    height, width, channels = seen.layers[last].output_shape
    offered = endings(height, width, channels, context.data.classes)
    yield Exhibit(
        blocks=(
            *seen.note,
            _costs(seen, last, offered, end),
            Words(text=ABOUT[end]),
            _pictures(digit, maps),
            *_layers(seen, context.data.image_size),
        ),
        result=_result(offered, end, maps),
        certainty="Counted, not trained: the costs are those of one image and follow from shapes.",
        trains="train one trunk with three endings: about 15 s",
    )


def _last_place(rows: Sequence[LayerRow]) -> int:
    """Return the place of the last map that the scores are made of; 0 if that is the image."""
    design = Design(rows)
    first = min(design.heads, default=len(rows))
    maps = [p for p in range(1, first) if max(map_size(rows[p].output_shape)) > 1]
    has_convolution = any(p < first for p in design.convolutions)
    return maps[-1] if maps and has_convolution else 0


def _costs(seen: Subject, last: int, offered: Sequence[Ending], end: str) -> Table:
    """Return what each ending costs, below what the network has now."""
    behind = seen.layers[last + 1 :]
    weighted = [row for row in behind if is_weighted(row)]
    now = (
        clip(f"now: {', '.join(f'{row.kind} {row.kernel}'.strip() for row in weighted)}", 30),
        clip(", ".join(row.name for row in weighted), 16),
        count(sum(row.parameters for row in behind)),
        count(sum(row.multiply_adds for row in behind)),
    )
    names = [ending.name for ending in offered]
    return Table(
        caption=f"from {seen.layers[last].name}, {seen.layers[last].shape_text}, to the scores",
        heads=("ending", "layers", "parameters", "multiply-adds"),
        rows=(
            *((e.name, e.layers, count(e.parameters), count(e.multiply_adds)) for e in offered),
            now,
        ),
        marked=names.index(end),
    )


def _pictures(digit: Digit, maps: LayerMaps) -> Pictures:
    """Return the digit and its last maps, those with the largest means first."""
    means = maps.values.flatten(1).mean(dim=1)
    order = torch.nan_to_num(means, nan=-torch.inf).argsort(descending=True)[:SHOWN].tolist()
    return Pictures(
        caption="its last maps, the largest means first: of each the mean is kept",
        items=(digit_picture(digit), *(_map(maps.values[c], c, float(means[c])) for c in order)),
    )


def _map(values: Tensor, channel: int, mean: float) -> Picture:
    return map_picture(values, f"{channel}: {mean:z.3f}")


def _layers(seen: Subject, side: int) -> tuple[Block, ...]:
    """Return map and field behind each layer that has a kernel, up to the prediction."""
    end = max(Design(seen.layers).heads, default=len(seen.layers) - 1)
    rows = [row for row in seen.layers[: end + 1] if row.kernel_size]
    digit = round(side * OBJECT[0] / OBJECT[1])
    maps = [map_size(row.output_shape) for row in rows]
    stop = place_to_stop(maps, [row.receptive_field for row in rows], (digit, digit), STOP)
    first = max(0, len(rows) - MOST_ROWS)
    table = Table(
        caption=f"field against a digit, {digit}×{digit}, and the image, {side}×{side}",
        heads=("layer", "kind", "map", "field", "a feature sees", "stop here?"),
        rows=tuple(
            (
                clip(row.name, 14),
                clip(f"{row.kind} {row.kernel}", 16),
                f"{row.output_shape[0]}×{row.output_shape[1]}",
                field(row.receptive_field),
                _sees(row, digit, side),
                "from here on" if place == stop else "",
            )
            for place, row in enumerate(rows[first:], first)
        ),
        marked=stop - first if stop is not None and stop >= first else None,
    )
    if stop is not None:
        return (table,)
    words = f"No feature sees a digit on a map of {STOP}×{STOP} or less: it is too early to stop."
    return (table, Words(text=words, tone="warning"))


def _sees(row: LayerRow, digit: int, side: int) -> str:
    if row.receptive_field is None:
        return "not defined"
    least = min(row.receptive_field)
    return "the image" if least >= side else "a digit" if least >= digit else "a part"


def _result(offered: Sequence[Ending], end: str, maps: LayerMaps) -> str:
    costs = {ending.name: ending for ending in offered}
    chosen, average = costs[end], costs[AVERAGE]
    channels, places = maps.values.shape[0], maps.values[0].numel()
    if maps.is_nonfinite:
        return "The maps hold no numbers any more: the run diverged. Costs do not depend on that."
    if end == AVERAGE:
        return (
            f"Global average pooling hands on {channels} of {channels * places:,} numbers, and "
            f"takes {average.parameters:,} parameters; a kernel of the map's size takes "
            f"{costs[KERNEL].parameters:,}."
        )
    times = chosen.parameters / average.parameters
    return (
        f"{end.capitalize()}: {chosen.parameters:,} parameters, {times:.1f} times those of "
        f"global average pooling with its 1×1 ({average.parameters:,})."
    )


def _trunk() -> list[nn.Module]:
    layers: list[nn.Module] = []
    channels = 1
    for width, pools in TRUNK:
        layers.append(nn.Conv2d(channels, width, 3, padding=1, bias=False))
        layers += [nn.MaxPool2d(2)] if pools else []
        layers += [nn.BatchNorm2d(width), nn.ReLU(inplace=True)]
        channels = width
    return layers


def _ended(end: str, side: int, classes: int) -> nn.Sequential:
    """Build the trunk, whose weights are drawn first and so the same for all, and an ending."""
    trunk, channels = _trunk(), TRUNK[-1][0]
    head: dict[str, Callable[[], list[nn.Module]]] = {
        AVERAGE: lambda: [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, classes)],
        KERNEL: lambda: [nn.Conv2d(channels, classes, side, bias=False), nn.Flatten()],
        CONNECTED: lambda: [nn.Flatten(), nn.Linear(side * side * channels, classes)],
    }
    return nn.Sequential(*trunk, *head[end]())


def _trained(context: Context) -> Iterator[Exhibit]:
    """Train one trunk with three endings."""
    side = context.data.image_size // 2 ** sum(pools for _, pools in TRUNK)
    classes = context.data.classes
    names = {AVERAGE: "global average", KERNEL: f"kernel {side}×{side}", CONNECTED: CONNECTED}
    arms = [
        arm(context, name, context.build(partial(_ended, end, side, classes)))
        for end, name in names.items()
    ]
    setup = Words(
        text=f"The same trunk, three 3×3 convolutions to {side}×{side}×{TRUNK[-1][0]}, from the "
        "same first weights. The kernel and the fully connected layer are the same sum: how far "
        "these two lie apart is what chance does.",
        tone="muted",
    )
    yield from compare(context, arms, setup=(setup,), found=partial(_elsewhere, context))


def _elsewhere(context: Context, arms: Sequence[Arm], scores: Evaluations) -> tuple[Block, ...]:
    """Return how each ending does on the same digits moved aside, which none has trained on."""
    judged = context.sample(VAL_IMAGES)
    split = moved(judged.take(list(range(len(judged) // 2))))
    rows = []
    for each in arms:
        here, there = scores[each.name], score(each.trial, split)
        rows.append(
            (
                each.name,
                accuracy_text(here.correct, here.total),
                accuracy_text(there.correct, there.total),
            )
        )
    return (
        Table(
            caption=f"and on {len(split):,} of them moved {MOVED} pixels down and to the right",
            heads=("ending", "where they are", "moved"),
            rows=tuple(rows),
        ),
    )


def moved(split: Split) -> Split:
    """Return images moved by ``MOVED`` pixels; what comes in from beyond the edge is black."""
    images = torch.zeros_like(split.images)
    images[:, MOVED:, MOVED:] = split.images[:, :-MOVED, :-MOVED]
    return replace(split, images=images)
