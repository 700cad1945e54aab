"""Max pooling: a window on a real feature map, and what is kept of it."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from tui_trainer.lab.context import DIGIT, Context, Digit
from tui_trainer.lab.controls import Controls, word_control
from tui_trainer.lab.drawing import alone, map_picture, nonfinite_notice
from tui_trainer.lab.layer_maps import Subject, batch_of_maps, is_convolution, place_after, subject
from tui_trainer.lab.lessons.max_pooling.arithmetic import SIZE, WAYS, pooled, survivors, windows
from tui_trainer.protocol.exhibit import Block, Control, Exhibit, Pictures, Table, counting
from tui_trainer.protocol.layers import COMPANIONS
from tui_trainer.stats.intervals import Z95
from tui_trainer.text.fmt import percent

STRONGEST = 0.1
"""Which share of a map's features counts as the strongest."""

SHIFTED = 16
"""Digits that are shifted by a pixel."""


POOLS: Mapping[str, Callable[[Tensor], Tensor]] = {
    "maximum": lambda maps: functional.max_pool2d(maps, SIZE),
    "mean": lambda maps: functional.avg_pool2d(maps, SIZE),
    "every other": lambda maps: maps[..., ::SIZE, ::SIZE][
        ..., : maps.shape[-2] // SIZE, : maps.shape[-1] // SIZE
    ],
}
"""The ways of ``tui_trainer.lab.lessons.max_pooling.arithmetic`` for many maps at once."""


def show(context: Context, controls: Controls, confirmed: bool) -> Iterator[Exhibit]:
    """Show a window on a map, the map pooled in three ways, and what they keep."""
    seen = subject(context, lambda seen: bool(_places(seen)))
    places = _places(seen)
    layer = word_control("layer", places, value=_usual(seen, places))
    name = controls.word(layer)
    digit = context.digit(controls.whole(DIGIT, is_shown=False))
    looked = _look(context, seen, digit, places[name])
    if not bool(torch.isfinite(looked.maps).all()):
        controls.add(DIGIT, digit.number)
        yield Exhibit(blocks=(*seen.note, alone(digit), nonfinite_notice("its maps")))
        return
    number = controls.whole(_channel(looked.first))
    chosen = looked.maps[number]
    place = controls.whole(_window(chosen))
    controls.add(DIGIT, digit.number)
    result, certainty = _measured(looked)
    yield Exhibit(
        blocks=(*seen.note, *_blocks(chosen, f"{name}, channel {number}", place)),
        result=result,
        certainty=certainty,
    )


@dataclass(frozen=True, slots=True)
class Looked:
    """The maps of a layer (channels, height, width), of several images.

    Attributes:
        maps: Of the chosen digit.
        first: Of the first digit.
        still: Of some digits (N, channels, height, width).
        moved: Of the same digits, shifted to the right by a pixel.
    """

    maps: Tensor
    first: Tensor
    still: Tensor
    moved: Tensor


def _look(context: Context, seen: Subject, digit: Digit, place: int) -> Looked:
    """Run the network once on all images that are wanted."""
    images = context.digits.images[:SHIFTED]
    shifted = functional.pad(images[..., :-1], (1, 0))
    inputs = context.data.prepare(torch.cat((digit.pixels[None], images, shifted)))
    maps = batch_of_maps(seen, inputs, place)
    middle = 1 + len(images)
    chosen, still, moved = maps[0], maps[1:middle], maps[middle:]
    return Looked(chosen, still[0], still, moved)


def _places(seen: Subject) -> dict[str, int]:
    """Return what can be pooled by the names of its convolutions: the place of what leaves each."""
    return {
        row.name: place_after(seen.layers, place, COMPANIONS)
        for place, row in enumerate(seen.layers)
        if is_convolution(row) and min(row.output_shape[:2]) >= 2 * SIZE
    }


def _usual(seen: Subject, places: Mapping[str, int]) -> str:
    """Return the layer to begin with: the first whose maps the network pools, or the first."""
    pooled_ones = {
        source for row in seen.layers if row.kind == "max pool" for source in row.sources
    }
    return next(
        (name for name, place in places.items() if place in pooled_ones), next(iter(places))
    )


def _channel(maps: Tensor) -> Control:
    """Return the control of the channels; it begins at the one that varies most."""
    spread = torch.nan_to_num(maps.flatten(1).var(dim=1))
    return counting("channel", "channel", len(maps), value=float(spread.argmax()))


def _window(chosen: Tensor) -> Control:
    """Return the control of the windows; it begins over the largest feature."""
    largest = POOLS["maximum"](chosen[None]).flatten()
    return counting("window", "window", len(largest), value=float(largest.argmax()))


def _blocks(chosen: Tensor, name: str, place: int) -> tuple[Block, ...]:
    """Return a map with the window, its numbers, and the map pooled in three ways."""
    rows = chosen.tolist()
    across = len(rows[0]) // SIZE
    down, right = divmod(place, across)
    frame = (SIZE * down, SIZE * right, SIZE, SIZE)
    numbers = windows(rows)[down][right]
    whole = map_picture(chosen, "the map", frame=frame)
    pictures = [whole]
    for way in WAYS:
        small = torch.tensor(pooled(rows, way))
        # One scale for all, so that a mean looks as faint as it is.
        pictures.append(map_picture(small, way, like=whole, frame=(down, right, 1, 1)))
    outcomes = [f"{take(numbers):+z.3f}" for take in WAYS.values()]
    table = Table(
        caption=f"the window in rows {frame[0]} and {frame[0] + 1}, "
        f"columns {frame[1]} and {frame[1] + 1}",
        heads=("left", "right", *WAYS),
        rows=(
            (f"{numbers[0]:+z.3f}", f"{numbers[1]:+z.3f}", *outcomes),
            (f"{numbers[2]:+z.3f}", f"{numbers[3]:+z.3f}", *("" for _ in outcomes)),
        ),
    )
    sides = f"{len(rows)}×{len(rows[0])} → {len(rows) // SIZE}×{across}"
    return Pictures(caption=f"{name}: {sides}", items=tuple(pictures)), table


def _measured(looked: Looked) -> tuple[str, str]:
    """Return what is kept and what a shift changes, and on how much that rests."""
    counts = [survivors(channel.tolist(), STRONGEST) for channel in looked.maps]
    strong, by_maximum, by_stride = (sum(column) for column in zip(*counts, strict=True))
    kept = "Nothing stands out in these maps."
    if strong:
        kept = (
            f"Of the strongest {percent(STRONGEST, 0)} of the features, the maximum keeps "
            f"{percent(by_maximum / strong, 0)}, every other pixel "
            f"{percent(by_stride / strong, 0)}."
        )
    changes = {way: _change(pool(looked.still), pool(looked.moved)) for way, pool in POOLS.items()}
    apart = changes["every other"] - changes["maximum"]
    if len(apart) < 2 or not bool(torch.isfinite(apart).all()):
        return kept, f"{strong:,} features of one image."
    told = {way: percent(float(change.mean()), 0) for way, change in changes.items()}
    moved = (
        f"A shift of the digit by one pixel changes the maximum by {told['maximum']}, the mean by "
        f"{told['mean']}, every other pixel by {told['every other']}."
    )
    error = Z95 * float(apart.std()) / math.sqrt(len(apart))
    mean = float(apart.mean())
    return f"{kept} {moved}", (
        f"Kept: {strong:,} features of one image. Shift: {len(apart)} digits, all channels; "
        f"maximum and every other pixel differ by {100 * mean:.1f} ± {100 * error:.1f} points, "
        f"{'more' if abs(mean) > error else 'no more'} than chance."
    )


def _change(before: Tensor, after: Tensor) -> Tensor:
    """Return how much each image's maps change (N): Σ|after − before| / Σ|before|."""
    difference = (after - before).abs().flatten(1).sum(dim=1)
    return difference / before.abs().flatten(1).sum(dim=1)
