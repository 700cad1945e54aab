"""The two value axes of a picture: logarithmic losses, accuracies on a scale of nines."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import FixedLocator, FuncFormatter, LogLocator, NullLocator
from numpy.typing import NDArray

from tui_trainer.text.scales import HIGHEST_ACCURACY, NINES_BY_WEIGHT, Scale, apart

_MIN_GAP = 0.05
"""Minimum distance of two ticks, as a share of the axis."""

is_on_log = Scale("log").has_place_for

nines = np.vectorize(Scale("nines").height, otypes=[float])
"""The heights of accuracies (fractions of 1): -log10(1 - accuracy)."""


def from_nines(height: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the accuracies at these heights; the inverse of :func:`nines`."""
    return np.asarray(1 - np.power(10.0, -np.asarray(height)))


def set_loss_axis(axes: Axes, core: Iterable[float], noise: Iterable[float]) -> None:
    """Make the vertical axis logarithmic, for values that are positive and finite.

    Args:
        axes: The panel.
        core: The values that must be inside the axis.
        noise: The values that may be below the axis: one lucky batch must not compress the rest.
    """
    axes.set_yscale("log")
    seen = [value for value in core if is_on_log(value)]
    low = min(seen, default=0.1) / 1.4
    high = max([*seen, *filter(is_on_log, noise)], default=2.0) * 1.2
    axes.set_ylim(low, high)
    subs = (1.0, 2.0, 5.0) if high / low < 3_000 else (1.0,)
    axes.yaxis.set_major_locator(LogLocator(subs=subs, numticks=12))
    axes.yaxis.set_minor_locator(NullLocator())
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))


def set_accuracy_axis(axes: Axes, lowest: float, highest: float) -> None:
    """Give the vertical axis a scale of nines, between two round percentages.

    Args:
        axes: The panel.
        lowest: The lowest value that must be inside, a fraction of 1.
        highest: The highest such value.
    """
    axes.set_yscale("function", functions=(nines, from_nines))
    axis = Scale("nines").axis(lowest, highest)
    axes.set_ylim(*(min(end, HIGHEST_ACCURACY) for end in (axis.bottom, axis.top)))
    ticks = accuracy_ticks(100 * axis.bottom, 100 * axis.top)
    axes.yaxis.set_major_locator(FixedLocator([min(p / 100, HIGHEST_ACCURACY) for p in ticks]))
    axes.yaxis.set_minor_locator(NullLocator())
    names = {min(p / 100, HIGHEST_ACCURACY): f"{p:g}" for p in ticks}
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: names.get(value, "")))


def accuracy_ticks(bottom: float, top: float) -> list[float]:
    """Return round percentages from bottom to top that have room, in ascending order."""
    within = [p for p in (bottom, top, *NINES_BY_WEIGHT) if bottom <= p <= top]
    places = nines(np.array(within) / 100).tolist()
    kept = apart(zip(places, within, strict=True), _MIN_GAP * (places[1] - places[0]))
    return sorted(percent for _, percent in kept)
