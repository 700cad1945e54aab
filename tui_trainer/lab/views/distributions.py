"""The distribution of the weights or activations of a layer, now and at initialization."""

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
"""Values of a layer that are kept of each slice, evenly spaced."""

MOST_BINS = 14
"""Bins between the two ends, at most."""

TAIL = 0.002
"""The share of the values in each tail that may fall outside the bins."""

RANGE_SAMPLE = 20_000
"""Values, evenly spaced, from which the range is computed."""

STEPS = (1.0, 2.0, 5.0, 10.0)
"""Bin widths are one of these times a power of ten, so that they seldom change."""


@dataclass(frozen=True, slots=True)
class Bins:
    """Bins of equal width, with one more below and one above them.

    Attributes:
        first: The lower edge of the first bin, in bin widths.
        width: The bin width.
        count: The number of bins without the two outer ones.
    """

    first: int
    width: float
    count: int

    @property
    def edges(self) -> list[float]:
        """The ``count`` + 1 bin edges."""
        return [(self.first + place) * self.width for place in range(self.count + 1)]

    def shares(self, values: Tensor) -> list[float]:
        """Return the share of the values below the bins, in each bin, and above the bins.

        A value on an edge belongs to the bin above it.
        """
        edges = torch.tensor(self.edges, dtype=torch.float64)
        places = torch.bucketize(values.double(), edges, right=True)
        counts = torch.bincount(places, minlength=self.count + 2).double()
        return (counts / max(1, len(values))).tolist()

    def labels(self) -> list[str]:
        """Return the labels of the outer bins and the bins between them."""
        digits = max(0, -floor(log10(self.width) + 1e-9))
        texts = [f"{edge:z.{digits}f}".replace("-", "−") for edge in self.edges]
        between = [f"{low} to {high}" for low, high in pairwise(texts)]
        return [f"below {texts[0]}", *between, f"{texts[-1]} and more"]


def bins_for(samples: Sequence[Tensor]) -> Bins:
    """Return bins that cover nearly all values of several sets of finite numbers.

    The widths are round numbers: the bins of a run stay the same for many steps.
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
    """Return the range without the tails."""
    ordered = values[:: max(1, len(values) // RANGE_SAMPLE)].sort().values
    aside = int(TAIL * len(ordered))
    return float(ordered[aside]), float(ordered[len(ordered) - 1 - aside])


@dataclass(frozen=True, slots=True)
class Distribution:
    """The values of a layer.

    Attributes:
        name: The layer.
        now: The current values, exact zeros included.
        start: The values at initialization; None if unknown.
        units: The unit statistics; None for weights.
        start_units: The unit statistics at initialization.
    """

    name: str
    now: Tensor
    start: Tensor | None
    units: Units | None = None
    start_units: Units | None = None

    @property
    def is_nonfinite(self) -> bool:
        """Whether some values are not finite."""
        return not bool(torch.isfinite(self.now).all())

    @property
    def bins(self) -> Bins:
        """Common bins of both sets, from their finite values."""
        both = [self.now] if self.start is None else [self.now, self.start]
        return bins_for([counted(values) for values in both])


def distribution_of(weights: Weights, *, is_change: bool) -> Distribution:
    """Return the weights of a layer, or their change if the initial weights are known."""
    now = weights.now.flatten()
    start = None if weights.start is None else weights.start.flatten()
    if is_change and start is not None:
        return Distribution(weights.name, now - start, None)
    return Distribution(weights.name, now, start)


class Kept:
    """Keeps a sample of the outputs of each layer, always at the same positions."""

    def __init__(self) -> None:
        self._parts: dict[int, list[Tensor]] = {}

    def taken(self, place: int, outputs: Tensor) -> None:
        """Keep evenly spaced outputs of a layer."""
        flat = outputs.flatten()
        if len(flat) > KEPT:
            places = torch.linspace(0, len(flat) - 1, KEPT, dtype=torch.float64)
            flat = flat[places.long().to(flat.device)]
        self._parts.setdefault(place, []).append(flat.cpu().clone())

    def values(self, place: int) -> Tensor:
        """Return the kept outputs of a layer."""
        return torch.cat(self._parts.get(place, [torch.zeros(0)]))


def recalibrated(context: Context, model: nn.Module) -> nn.Module:
    """Recalibrate the batch norm statistics of an untrained model on a few images.

    With its initial running statistics, the activations would shrink from layer to layer, which
    never happens in training.
    """
    images = context.sample(part_size(context)).images
    if len(images) > 1:
        recalibrate(model, [context.data.prepare(images).cpu()], is_every=True)
        model.eval()
    return model


def counted(values: Tensor) -> Tensor:
    """Return the values that the histogram counts: finite, and not exactly 0."""
    return values[torch.isfinite(values) & (values != 0)]


def mean_and_std(values: Tensor) -> tuple[float, float]:
    """Return the mean and the population standard deviation."""
    return float(values.mean()), float(values.std(correction=0))


def zeros_of(distribution: Distribution) -> float:
    """Return the share of the current values that are exactly 0."""
    return float((distribution.now == 0).double().mean())


def figures_of(distribution: Distribution) -> Mapping[str, object]:
    """Return the statistics as plain numbers; those of activations are over the whole sample."""
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
