"""Max pooling: a window on a real feature map, and what it keeps."""

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
from tui_trainer.lab.lessons.max_pooling.arithmetic import (
    SIZE,
    WAYS,
    pooled,
    strongest_kept,
    windows,
)
from tui_trainer.protocol.exhibit import Block, Control, Exhibit, Pictures, Table, counting
from tui_trainer.protocol.layers import COMPANIONS
from tui_trainer.stats.intervals import Z95
from tui_trainer.text.fmt import percent

STRONGEST = 0.1
"""The share of a map's features that counts as the strongest."""

SHIFTED_IMAGES = 16
"""Digits that are shifted by one pixel."""


POOLS: Mapping[str, Callable[[Tensor], Tensor]] = {
    "maximum": lambda maps: functional.max_pool2d(maps, SIZE),
    "mean": lambda maps: functional.avg_pool2d(maps, SIZE),
    "subsampled": lambda maps: maps[..., ::SIZE, ::SIZE][
        ..., : maps.shape[-2] // SIZE, : maps.shape[-1] // SIZE
    ],
}
"""The ``WAYS`` of ``max_pooling.arithmetic`` for many maps at once."""


def show(context: Context, controls: Controls, confirmed: bool) -> Iterator[Exhibit]:
    """Show a window on a map, the map pooled in three ways, and what they keep."""
    inspected = subject(context, lambda inspected: bool(_places(inspected)))
    places = _places(inspected)
    layer = word_control("layer", places, value=_usual(inspected, places))
    name = controls.word(layer)
    digit = context.digit(controls.whole(DIGIT, is_shown=False))
    features = _feature_maps(context, inspected, digit, places[name])
    if not bool(torch.isfinite(features.maps).all()):
        controls.add(DIGIT, digit.number)
        yield Exhibit(blocks=(*inspected.note, alone(digit), nonfinite_notice("its maps")))
        return
    number = controls.whole(_channel(features.first))
    chosen = features.maps[number]
    place = controls.whole(_window(chosen))
    controls.add(DIGIT, digit.number)
    result, uncertainty = _measured(features)
    yield Exhibit(
        blocks=(*inspected.note, *_blocks(chosen, f"{name}, channel {number}", place)),
        result=result,
        evidence=uncertainty,
    )


@dataclass(frozen=True, slots=True)
class FeatureMaps:
    """The feature maps of a layer (channels, height, width) for several images.

    Attributes:
        maps: Those of the chosen digit.
        first: Those of the first digit.
        original: Those of several digits (N, channels, height, width).
        shifted: Those of the same digits, shifted right by one pixel.
    """

    maps: Tensor
    first: Tensor
    original: Tensor
    shifted: Tensor


def _feature_maps(context: Context, inspected: Subject, digit: Digit, place: int) -> FeatureMaps:
    """Run the model once on all images."""
    images = context.digits.images[:SHIFTED_IMAGES]
    shifted_images = functional.pad(images[..., :-1], (1, 0))
    inputs = context.data.prepare(torch.cat((digit.pixels[None], images, shifted_images)))
    maps = batch_of_maps(inspected, inputs, place)
    middle = 1 + len(images)
    chosen, original, shifted = maps[0], maps[1:middle], maps[middle:]
    return FeatureMaps(chosen, original[0], original, shifted)


def _places(inspected: Subject) -> dict[str, int]:
    """Return the maps that can be pooled: by convolution, the row whose output is pooled."""
    return {
        row.name: place_after(inspected.layers, place, COMPANIONS)
        for place, row in enumerate(inspected.layers)
        if is_convolution(row) and min(row.output_shape[:2]) >= 2 * SIZE
    }


def _usual(inspected: Subject, places: Mapping[str, int]) -> str:
    """Return the initial layer: the first whose output the model pools, or the first."""
    pooled_ones = {
        source for row in inspected.layers if row.kind == "max pool" for source in row.sources
    }
    return next(
        (name for name, place in places.items() if place in pooled_ones), next(iter(places))
    )


def _channel(maps: Tensor) -> Control:
    """Return the channel control; it starts at the channel with the largest variance."""
    spread = torch.nan_to_num(maps.flatten(1).var(dim=1))
    return counting("channel", "channel", len(maps), value=float(spread.argmax()))


def _window(chosen: Tensor) -> Control:
    """Return the window control; it starts at the largest feature."""
    largest = POOLS["maximum"](chosen[None]).flatten()
    return counting("window", "window", len(largest), value=float(largest.argmax()))


def _blocks(chosen: Tensor, name: str, place: int) -> tuple[Block, ...]:
    """Return a map with the window, its values, and the map pooled in three ways."""
    rows = chosen.tolist()
    across = len(rows[0]) // SIZE
    down, right = divmod(place, across)
    frame = (SIZE * down, SIZE * right, SIZE, SIZE)
    numbers = windows(rows)[down][right]
    whole = map_picture(chosen, "the map", frame=frame)
    pictures = [whole]
    for way in WAYS:
        small = torch.tensor(pooled(rows, way))
        # One scale for all, so that a mean looks as weak as it is.
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


def _measured(features: FeatureMaps) -> tuple[str, str]:
    """Return what is kept and what a shift changes, and the uncertainty."""
    counts = [strongest_kept(channel.tolist(), STRONGEST) for channel in features.maps]
    strong, by_maximum, by_stride = (sum(column) for column in zip(*counts, strict=True))
    kept = "These maps have no strong features."
    if strong:
        kept = (
            f"Of the strongest {percent(STRONGEST, 0)} of the features, the maximum keeps "
            f"{percent(by_maximum / strong, 0)}, subsampling with stride 2 "
            f"{percent(by_stride / strong, 0)}."
        )
    changes = {
        way: _change(pool(features.original), pool(features.shifted)) for way, pool in POOLS.items()
    }
    apart = changes["subsampled"] - changes["maximum"]
    if len(apart) < 2 or not bool(torch.isfinite(apart).all()):
        return kept, f"{strong:,} features of one image."
    by_way = {way: percent(float(change.mean()), 0) for way, change in changes.items()}
    shifted = (
        f"A shift of the image by one pixel changes the maximum by {by_way['maximum']}, the mean "
        f"by {by_way['mean']}, the subsampled map by {by_way['subsampled']}."
    )
    error = Z95 * float(apart.std()) / math.sqrt(len(apart))
    mean = float(apart.mean())
    return f"{kept} {shifted}", (
        f"Kept: {strong:,} features of one image. Shift: {len(apart)} images, all channels; "
        f"maximum and subsampling differ by {100 * mean:.1f} ± {100 * error:.1f} points, "
        f"{'more' if abs(mean) > error else 'no more'} than chance."
    )


def _change(before: Tensor, after: Tensor) -> Tensor:
    """Return the relative change of the maps of each image (N): Σ|after − before| / Σ|before|."""
    difference = (after - before).abs().flatten(1).sum(dim=1)
    return difference / before.abs().flatten(1).sum(dim=1)
