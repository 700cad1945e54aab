"""Output statistics of a layer's units: the channels of a map, or the features of a flat layer."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from tui_trainer.models.tensors import magnitudes, mean_and_std
from tui_trainer.protocol.layers import LayerRow
from tui_trainer.protocol.probed import LayerProbe

_BOUNDS = {"sigmoid": (0.0, 1.0), "tanh": (-1.0, 1.0)}
_NEAR = 0.01

MAP_IMAGES = 64
"""Images whose feature maps are probed: each map has hundreds of positions, so these suffice."""

PROBED_KINDS = ("conv", "depthwise", "fully connected", "batch norm", "relu", "activation")
"""The kinds of layers that are reported."""


@dataclass(slots=True)
class Units:
    """Statistics of a layer's outputs on some images.

    Attributes:
        row: The layer's row in the layer table.
        images: The number of images.
        low: The smallest output of each unit (units).
        high: The largest.
        numbers: The number of outputs.
        zeros: How many of them were exactly 0, if counted.
        saturated: The sum over images of the share within 0.01 of a bound of a sigmoid or tanh.
        total: The sum over images of the mean output.
        square: The sum over images of the mean square.
    """

    row: LayerRow
    images: int
    low: Tensor
    high: Tensor
    numbers: int
    saturated: float
    total: float
    square: float
    zeros: int = 0

    @property
    def dead(self) -> list[int]:
        """The units that never change; after a ReLU also those that are never above 0."""
        still = self.high == self.low
        if self.row.kind == "relu":
            still |= self.high <= 0
        dead: list[int] = still.nonzero().flatten().tolist()
        return dead

    @property
    def mean(self) -> float:
        """The mean output."""
        return self.total / self.images

    @property
    def std(self) -> float:
        """The standard deviation of the outputs; NaN if one of them is NaN."""
        variance = self.square / self.images - self.mean * self.mean
        return max(0.0, variance) ** 0.5 if variance == variance else variance

    @property
    def saturated_share(self) -> float | None:
        """The share that is saturated; None if the outputs have no bounds."""
        return self.saturated / self.images if self.row.type.lower() in _BOUNDS else None

    def __add__(self, other: Units) -> Units:
        """Return the joint statistics of one layer for different images."""
        return Units(
            row=self.row,
            images=self.images + other.images,
            low=torch.minimum(self.low, other.low),
            high=torch.maximum(self.high, other.high),
            numbers=self.numbers + other.numbers,
            saturated=self.saturated + other.saturated,
            total=self.total + other.total,
            square=self.square + other.square,
            zeros=self.zeros + other.zeros,
        )


def is_dead(outputs: Tensor) -> Tensor:
    """Return for each unit (units) of ``outputs`` (N, units, …) whether it is never above 0."""
    return outputs.detach().transpose(0, 1).flatten(1).amax(dim=1) <= 0


def units_of(row: LayerRow, outputs: Tensor, images: int) -> Units:
    """Return the statistics of ``outputs`` (N, units, …) for ``images`` images; N may be fewer."""
    if outputs.ndim > 2:  # channels last: usually their order in memory
        outputs = outputs.movedim(1, -1).flatten(0, -2)
    low, high = outputs.aminmax(dim=0)
    mean, std = mean_and_std(outputs)
    saturated = 0.0
    if (bounds := _BOUNDS.get(row.type.lower())) is not None:
        at = (outputs < bounds[0] + _NEAR) | (outputs > bounds[1] - _NEAR)
        saturated = float(at.float().mean())
    return Units(
        row=row,
        images=images,
        low=low,
        high=high,
        numbers=outputs.numel(),
        saturated=saturated * images,
        total=mean * images,
        square=(std**2 + mean**2) * images,
    )


class LayerStatistics:
    """Collects statistics of the outputs of the layers in the layer table."""

    def __init__(self, rows: tuple[LayerRow, ...]) -> None:
        self.is_closed = len(rows) == 2 and rows[1].kind == "model"
        flat = [row.output_shape[:2] == (1, 1) for row in rows if row.kind in PROBED_KINDS]
        self.wants_all, self.is_flat = any(flat[:-1]), all(flat)
        self._rows = rows
        self._units: dict[int, Units] = {}

    def reached(self, place: int, result: Tensor) -> None:
        """Add the output of an operation for one part of the sample."""
        row = self._rows[place] if place < len(self._rows) else None
        if row is None or row.kind not in PROBED_KINDS or result.ndim < 2:
            return
        known = self._units.get(place)
        if known is not None and (result.ndim > 2 and known.images >= MAP_IMAGES):
            return
        outputs = magnitudes(result)
        units = units_of(row, outputs[:MAP_IMAGES] if outputs.ndim > 2 else outputs, len(result))
        self._units[place] = units if known is None else known + units

    def probes(self) -> tuple[LayerProbe, ...]:
        """Return the statistics of each layer."""
        return tuple(_probe(units) for _, units in sorted(self._units.items()))


def _probe(units: Units) -> LayerProbe:
    return LayerProbe(
        name=units.row.name,
        kind=units.row.kind,
        units=len(units.high),
        dead=len(units.dead),
        saturated=units.saturated / units.images,
        mean=units.mean,
        std=0.0 if math.isnan(units.std) else units.std,
    )
