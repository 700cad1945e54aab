"""What the units of each layer do on some images: channels of a map, or numbers of a flat layer."""

from __future__ import annotations

from collections.abc import Callable, Collection, Generator
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from tui_trainer.anatomy.trace import Step, trace
from tui_trainer.engine.probes.sample import BOUNDS, NEAR
from tui_trainer.lab.map_drawing import place_after
from tui_trainer.lab.samples import affordable
from tui_trainer.lab.views.scene import Scene
from tui_trainer.models.numbers import magnitudes
from tui_trainer.protocol.layers import COMPANIONS, LayerRow

SAMPLE, FEWEST = 128, 40
"""Images on which units are judged, at most and at least."""

PARTS = 8
"""Parts that a look is done in, of the length that experiments give one."""

Taken = Callable[[int, Tensor], None]
"""Told of each layer's outputs (N, channels, …): its place in the table, and they."""


@dataclass(slots=True)
class Units:
    """What a layer gives, as far as it was seen.

    Attributes:
        row: Its row in the layer table.
        images: On how many images.
        low: The least number of each unit (units).
        high: The largest.
        numbers: How many numbers it gave altogether.
        zeros: How many of them were exactly 0.
        saturated: How many lie at an end of what a sigmoid or tanh can give.
        total: Their sum.
        square: The sum of their squares.
    """

    row: LayerRow
    images: int
    low: Tensor
    high: Tensor
    numbers: int
    zeros: int
    saturated: int
    total: float
    square: float

    @property
    def dead(self) -> list[int]:
        """The units that never change; behind a ReLU also those that are never above 0."""
        is_still = self.high == self.low
        if self.row.kind == "relu":
            is_still |= self.high <= 0
        return [int(unit) for unit in is_still.nonzero().flatten()]

    @property
    def mean(self) -> float:
        """The mean of all numbers."""
        return self.total / self.numbers

    @property
    def std(self) -> float:
        """Their standard deviation."""
        spread = self.square / self.numbers - self.mean**2
        return max(0.0, spread) ** 0.5 if spread == spread else spread

    @property
    def saturated_share(self) -> float | None:
        """The share that is saturated; None where the layer's numbers have no such ends."""
        return self.saturated / self.numbers if self.row.type.lower() in BOUNDS else None


def outlet(rows: tuple[LayerRow, ...], place: int) -> int:
    """Return where a layer's result is ready: behind its batch norm, ReLU and dropout."""
    return place_after(rows, place, COMPANIONS)


def sample_size(scene: Scene) -> int:
    """Return on how many images units are judged: as many as can be looked at meanwhile."""
    wanted = affordable(scene.bench.layers, 0.5, least=FEWEST, most=SAMPLE)
    return min(wanted, len(scene.bench.digits))


def part_size(scene: Scene, passes: float = PARTS) -> int:
    """Return on how many images the network is run in one part."""
    return affordable(scene.bench.layers, passes, least=1, most=128)


def census(
    scene: Scene, network: nn.Module, places: Collection[int], taken: Taken | None = None
) -> Generator[None, None, dict[int, Units]]:
    """Return what the layers at some places do on a sample; after each part it breathes.

    Args:
        scene: What is looked at.
        network: A copy of its network, or another of the same layers.
        places: Places in the layer table.
        taken: Is shown the outputs as they come.
    """
    images = scene.bench.sample(sample_size(scene)).images
    device = next((p.device for p in network.parameters()), scene.bench.device)
    found: dict[int, Units] = {}

    def reached(place: int, step: Step, result: Tensor) -> None:
        if place not in places or result.ndim < 2:
            return
        row = scene.bench.layers[place]
        if result.shape[1] != row.output_shape[2]:
            return
        outputs = magnitudes(result)
        known, more = found.get(place), _units(row, outputs)
        found[place] = more if known is None else _together(known, more)
        if taken is not None:
            taken(place, outputs)

    size = part_size(scene)
    for start in range(0, len(images), size):
        inputs = scene.bench.data.prepare(images[start : start + size]).to(device)
        with torch.no_grad():
            trace(network, inputs, reached=reached)
        yield
    return found


def _units(row: LayerRow, outputs: Tensor) -> Units:
    axes = [axis for axis in range(outputs.ndim) if axis != 1]
    saturated = 0
    if (bounds := BOUNDS.get(row.type.lower())) is not None:
        ends = (outputs < bounds[0] + NEAR) | (outputs > bounds[1] - NEAR)
        saturated = int(ends.sum())
    return Units(
        row=row,
        images=len(outputs),
        low=outputs.amin(dim=axes).cpu(),
        high=outputs.amax(dim=axes).cpu(),
        numbers=outputs.numel(),
        zeros=outputs.numel() - int(torch.count_nonzero(outputs)),
        saturated=saturated,
        total=float(outputs.sum()),
        square=float(outputs.norm()) ** 2,
    )


def _together(one: Units, other: Units) -> Units:
    return Units(
        row=one.row,
        images=one.images + other.images,
        low=torch.minimum(one.low, other.low),
        high=torch.maximum(one.high, other.high),
        numbers=one.numbers + other.numbers,
        zeros=one.zeros + other.zeros,
        saturated=one.saturated + other.saturated,
        total=one.total + other.total,
        square=one.square + other.square,
    )
