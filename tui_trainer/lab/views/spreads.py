"""The numbers of a layer, its weights or its activations, now and at the start."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from tui_trainer.lab.context import Scene
from tui_trainer.lab.views.bins import Bins, bins_for
from tui_trainer.lab.views.layer_units import part_size
from tui_trainer.lab.views.weights import Weights
from tui_trainer.models.units import Units

KEPT = 2_000
"""Numbers of a layer that are kept of each part, evenly spread over it."""


@dataclass(frozen=True, slots=True)
class Spread:
    """The numbers of a layer.

    Attributes:
        name: The layer.
        now: Those of now; those that are exactly 0 among them.
        start: Those of the start; None where they are not known.
        units: What its units do now; None of weights.
        start_units: What they did at the start.
    """

    name: str
    now: Tensor
    start: Tensor | None
    units: Units | None = None
    start_units: Units | None = None

    @property
    def is_lost(self) -> bool:
        """Whether some are no finite numbers."""
        return not bool(torch.isfinite(self.now).all())

    @property
    def bins(self) -> Bins:
        """Bins for both; of numbers that are not finite only the start counts."""
        both = [self.now] if self.start is None else [self.now, self.start]
        return bins_for([counted(values) for values in both])


def spread_of(weights: Weights, *, is_change: bool) -> Spread:
    """Return a layer's weights, or how they changed, if their start is known."""
    now = weights.now.flatten()
    start = None if weights.start is None else weights.start.flatten()
    if is_change and start is not None:
        return Spread(weights.name, now - start, None)
    return Spread(weights.name, now, start)


class Kept:
    """Keeps some numbers of each layer, always the same ones."""

    def __init__(self) -> None:
        self._parts: dict[int, list[Tensor]] = {}

    def taken(self, place: int, outputs: Tensor) -> None:
        """Take some of a layer's outputs, evenly spread over them."""
        flat = outputs.flatten()
        if len(flat) > KEPT:
            places = torch.linspace(0, len(flat) - 1, KEPT, dtype=torch.float64)
            flat = flat[places.long().to(flat.device)]
        self._parts.setdefault(place, []).append(flat.cpu().clone())

    def values(self, place: int) -> Tensor:
        """Return what was kept of a layer."""
        return torch.cat(self._parts.get(place, [torch.zeros(0)]))


def calibrated(scene: Scene, network: nn.Module) -> nn.Module:
    """Give batch norms that have seen no batch yet the statistics of a few images.

    Their own would let the maps of an untrained network dwindle from layer to layer, as they never
    do while it is trained.
    """
    norms = [
        module
        for module in network.modules()
        if isinstance(module, _BatchNorm) and module.track_running_stats
    ]
    images = scene.bench.sample(part_size(scene)).images
    if len(images) < 2 or not norms:
        return network
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # the mean of all batches: of this one
        norm.training = True
    with torch.no_grad():
        network(scene.bench.data.prepare(images).cpu())
    network.eval()
    return network


def counted(values: Tensor) -> Tensor:
    """Return the numbers that a histogram counts: finite, and not exactly 0."""
    return values[torch.isfinite(values) & (values != 0)]


def moments(values: Tensor) -> tuple[float, float]:
    """Return the mean of numbers and their standard deviation, divided by their count."""
    return float(values.mean()), float(values.std(correction=0))


def zeros_of(spread: Spread) -> float:
    """Return the share of the numbers of now that are exactly 0."""
    return float((spread.now == 0).double().mean())


def figures_of(spread: Spread) -> Mapping[str, object]:
    """Return the same as plain numbers; of units those of all their outputs on the sample."""
    mean, std = moments(spread.now)
    bins = spread.bins
    units = spread.units
    figures: dict[str, object] = {
        "layer": spread.name,
        "mean": mean,
        "std": std,
        "zeros": zeros_of(spread),
        "edges": bins.edges,
        "shares": bins.shares(counted(spread.now)),
        "start_shares": None if spread.start is None else bins.shares(counted(spread.start)),
        "start_std": None if spread.start is None else moments(spread.start)[1],
    }
    if units is not None:
        figures |= {
            "mean": units.mean,
            "std": units.std,
            "zeros": units.zeros / units.numbers,
            "units": len(units.low),
            "dead": units.dead,
            "saturated": units.saturated_share,
        }
    return figures
