"""Layers: the network's maps one layer after the other, and one budget spent on 1, 2, 4 or 6."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator, Sequence

import torch
from torch import nn

from tui_trainer.engine.check.trial import Trial
from tui_trainer.engine.experiments.bench import SEED, Bench, Digit
from tui_trainer.engine.experiments.maps import (
    LayerMaps,
    Subject,
    is_convolution,
    maps_of,
    middle_frame,
    subject,
)
from tui_trainer.engine.experiments.pictures import digit_picture, map_picture
from tui_trainer.engine.experiments.race import Arm, Score, distinguishable, race, score
from tui_trainer.engine.networks import use_innermost_channels
from tui_trainer.lessons.layers import pooled_behind, stack_field, stack_parameters, width_for
from tui_trainer.run.exhibit import (
    Block,
    Choices,
    Control,
    Curves,
    Exhibit,
    Pictures,
    Table,
    Words,
    at,
    chosen_number,
    chosen_word,
)
from tui_trainer.run.text import accuracy_with_interval, count, field, plural

DEPTHS = (1, 2, 4, 6)
"""How many convolutions the budget is spent on."""

BUDGET = 4_870
"""Parameters of each: here the four come within 1.2 % of each other, for ten classes."""

IMAGES = 6_000
"""Images that each is trained on, if there is time for so many."""

JUDGED = 1_500
"""Images of validation that each is judged by."""

SHOWN = 4
"""Channels of a layer that are drawn."""

COMPANIONS = ("input", "batch norm", "relu", "activation", "dropout")
"""What is passed by on the walk: it changes no shape."""

DIGIT = Control(name="digit", label="digit", value=0.0, steps=tuple(map(float, range(100))))


def show(bench: Bench, choices: Choices, goes: bool) -> Iterator[Exhibit]:
    """Show a layer's maps of a digit, or train one budget at four depths."""
    if goes:
        yield from _train(bench)
        return
    seen = subject(bench, lambda seen: any(map(is_convolution, seen.layers)))
    digit = bench.digit(int(chosen_number(choices, DIGIT)))
    walk = [
        maps
        for maps in maps_of(seen, digit.network_input, None)
        if maps.row.kind not in COMPANIONS and maps.row.output_shape[:2] != (1, 1)
    ]
    names = tuple(maps.row.name for maps in walk)
    layer = Control(name="layer", label="layer", value=names[0], steps=names)
    name = chosen_word(choices, layer)
    yield Exhibit(
        blocks=(
            *seen.note,
            *_layer(seen, digit, walk[names.index(name)]),
            _plan(bench.data.classes),
        ),
        controls=(at(layer, name), at(DIGIT, float(digit.number))),
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
    if maps.is_lost:
        lost = Words(text="Its maps are no numbers any more: the run diverged.", tone="wrong")
        return Pictures(caption="", items=(digit_picture(digit),)), said, lost
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


def _plan(classes: int, scores: dict[str, Score] | None = None) -> Table:
    """Return the four networks, with their results as far as there are any."""
    rows = []
    for depth in DEPTHS:
        width = width_for(BUDGET, depth, classes)
        cells = [
            str(depth),
            str(width),
            count(stack_parameters(depth, width, classes)),
            field((stack_field(depth),) * 2),
        ]
        if scores is not None:
            done = scores.get(_name(depth))
            told = accuracy_with_interval(done.accuracy, done.interval) if done else "…"
            cells.append(told)
        rows.append(tuple(cells))
    heads = ("convolutions", "kernels each", "parameters", "sees")
    return Table(
        caption="one budget, spent on width or on depth",
        heads=heads if scores is None else (*heads, "right, validation"),
        rows=tuple(rows),
    )


def _name(depth: int) -> str:
    return plural(depth, "layer")


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


def _train(bench: Bench) -> Iterator[Exhibit]:
    """Train the four networks in turns, and judge them."""
    arms = [Arm(_name(depth), _trial(bench, depth)) for depth in DEPTHS]
    scores: dict[str, Score] = {}
    for share in race(arms, images=IMAGES, clock=bench.clock):
        yield Exhibit(blocks=_race_blocks(bench, arms, scores), progress=share)
    judged = bench.sample(JUDGED)
    for arm in arms:
        if not arm.is_lost:
            scores[arm.name] = score(arm.trial, judged)
        yield Exhibit(blocks=_race_blocks(bench, arms, scores), progress=1.0)
    yield Exhibit(
        blocks=_race_blocks(bench, arms, scores),
        result=_result(arms, scores),
        certainty=_certainty(scores, len(judged)),
    )


def _trial(bench: Bench, depth: int) -> Trial:
    """Return the training of one of the networks: the same for all, whatever the run does."""
    torch.manual_seed(SEED)
    classes = bench.data.classes
    network = stack_network(depth, width_for(BUDGET, depth, classes), classes).to(bench.device)
    if bench.device.type == "cpu":
        use_innermost_channels(network, bench.data.image_size)
    return bench.trial(
        network,
        optimizer="sgd",
        lr=0.1,
        momentum=0.9,
        nesterov=True,
        weight_decay=5e-4,
        label_smoothing=0.0,
        batch_size=32,
    )


def _race_blocks(bench: Bench, arms: Sequence[Arm], scores: dict[str, Score]) -> tuple[Block, ...]:
    return (
        Curves(
            caption="training loss, smoothed",
            x_label="images",
            curves=tuple(arm.curve() for arm in arms),
        ),
        _plan(bench.data.classes, scores),
    )


def _result(arms: Sequence[Arm], scores: dict[str, Score]) -> str:
    seen = min((arm.trial.images for arm in arms if not arm.is_lost), default=0)
    if not scores:
        return "No loss is a number any more: nothing can be compared."
    told = ", ".join(f"{name} {100 * scored.accuracy:.1f} %" for name, scored in scores.items())
    return f"After {count(seen)} images each, with the same budget: {told} right."


def _certainty(scores: dict[str, Score], judged: int) -> str:
    """Say how much the comparison rests on, and which differences are more than chance."""
    basis = f"Judged by {plural(judged, 'image')}, 95 % intervals in the table. One seed, short"
    basis += " training at one learning rate: longer runs can end in another order."
    pairs = distinguishable(scores)
    if not pairs:
        return f"{basis} No two of them differ by more than chance."
    best = max(scores, key=lambda name: scores[name].accuracy)
    beaten = [other for one, other in pairs if one == best]
    if not beaten:
        return f"{basis} {best} is best, but by no more than chance."
    return f"{basis} {best} is better than {' and '.join(beaten)} by more than chance."
