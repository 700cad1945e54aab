"""The numbers of a layer, its weights or its activations, now and at the start."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import ceil, floor, log10

import torch
from torch import Tensor, nn

from tui_trainer.lab.context import Context
from tui_trainer.lab.views.layer_units import part_size
from tui_trainer.lab.views.weights import Weights
from tui_trainer.models.modes import recalibrate
from tui_trainer.models.units import Units

KEPT = 2_000
"""Numbers of a layer that are kept of each part, evenly spread over it."""


MOST_BINS = 14
"""Bins between the two ends, at most."""

TAIL = 0.002
"""The share of the numbers at each end that need not have bins of their own."""

LOOKED_AT = 20_000
"""Numbers, evenly spread, from which the ends are found."""

STEPS = (1.0, 2.0, 5.0, 10.0)
"""Bins are one of these times a power of ten wide, so that they seldom change."""


@dataclass(frozen=True, slots=True)
class Bins:
    """Equal bins; what lies beyond them is counted in one more at each end.

    Attributes:
        first: The lower edge of the first bin, in widths of a bin.
        width: Of a bin.
        count: How many there are between the two ends.
    """

    first: int
    width: float
    count: int

    @property
    def edges(self) -> list[float]:
        """The edges of the bins, one more than there are."""
        return [(self.first + place) * self.width for place in range(self.count + 1)]

    def shares(self, values: Tensor) -> list[float]:
        """Return the share of the values below the bins, in each of them, and above; NaN of none.

        A number on an edge belongs to the bin above it.
        """
        edges = torch.tensor(self.edges, dtype=torch.float64)
        places = torch.bucketize(values.double(), edges, right=True)
        counts = torch.bincount(places, minlength=self.count + 2).double()
        return (counts / max(1, len(values))).tolist()

    def labels(self) -> list[str]:
        """Return what the two ends and the bins between them are called."""
        digits = max(0, -floor(log10(self.width) + 1e-9))
        texts = [f"{edge:z.{digits}f}".replace("-", "−") for edge in self.edges]
        between = [f"{low} to {high}" for low, high in pairwise(texts)]
        return [f"below {texts[0]}", *between, f"{texts[-1]} and more"]


def bins_for(samples: Sequence[Tensor]) -> Bins:
    """Return bins that hold nearly all of several sets of finite numbers.

    They are whole, round numbers wide: a run's bins stay the same for many steps.
    """
    ends = [_ends(values) for values in samples if len(values)]
    low = min((end[0] for end in ends), default=0.0)
    high = max((end[1] for end in ends), default=1.0)
    span = max(high - low, 1e-6 * max(abs(low), abs(high)), 1e-12)
    power = 10.0 ** floor(log10(span / MOST_BINS))
    for step in (*STEPS, 10 * STEPS[1]):
        width = step * power
        first, last = floor(low / width), ceil(high / width)
        if last - first <= MOST_BINS:
            break
    return Bins(first, width, max(1, last - first))


def _ends(values: Tensor) -> tuple[float, float]:
    """Return the numbers between which nearly all lie."""
    ordered = values[:: max(1, len(values) // LOOKED_AT)].sort().values
    aside = int(TAIL * len(ordered))
    return float(ordered[aside]), float(ordered[len(ordered) - 1 - aside])


@dataclass(frozen=True, slots=True)
class Distribution:
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
    def is_nonfinite(self) -> bool:
        """Whether some are no finite numbers."""
        return not bool(torch.isfinite(self.now).all())

    @property
    def bins(self) -> Bins:
        """Bins for both; of numbers that are not finite only the start counts."""
        both = [self.now] if self.start is None else [self.now, self.start]
        return bins_for([counted(values) for values in both])


def distribution_of(weights: Weights, *, is_change: bool) -> Distribution:
    """Return a layer's weights, or how they changed, if their start is known."""
    now = weights.now.flatten()
    start = None if weights.start is None else weights.start.flatten()
    if is_change and start is not None:
        return Distribution(weights.name, now - start, None)
    return Distribution(weights.name, now, start)


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


def recalibrated(context: Context, model: nn.Module) -> nn.Module:
    """Give batch norms that have seen no batch yet the statistics of a few images.

    Their own would let the maps of an untrained network dwindle from layer to layer, as they never
    do while it is trained.
    """
    images = context.sample(part_size(context)).images
    if len(images) > 1:
        recalibrate(model, [context.data.prepare(images).cpu()], is_every=True)
        model.eval()
    return model


def counted(values: Tensor) -> Tensor:
    """Return the numbers that a histogram counts: finite, and not exactly 0."""
    return values[torch.isfinite(values) & (values != 0)]


def mean_and_std(values: Tensor) -> tuple[float, float]:
    """Return the mean of numbers and their standard deviation, divided by their count."""
    return float(values.mean()), float(values.std(correction=0))


def zeros_of(distribution: Distribution) -> float:
    """Return the share of the numbers of now that are exactly 0."""
    return float((distribution.now == 0).double().mean())


def figures_of(distribution: Distribution) -> Mapping[str, object]:
    """Return the same as plain numbers; of units those of all their outputs on the sample."""
    mean, std = mean_and_std(distribution.now)
    bins = distribution.bins
    units = distribution.units
    figures: dict[str, object] = {
        "layer": distribution.name,
        "mean": mean,
        "std": std,
        "zeros": zeros_of(distribution),
        "edges": bins.edges,
        "shares": bins.shares(counted(distribution.now)),
        "start_shares": None
        if distribution.start is None
        else bins.shares(counted(distribution.start)),
        "start_std": None if distribution.start is None else mean_and_std(distribution.start)[1],
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
