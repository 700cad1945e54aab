"""How a chart is shown: its axes, smoothing, zoom and cursor, kept from run to run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

XName = Literal["epoch", "step", "images", "seconds"]
YName = Literal["linear", "log", "nines"]
Smoothing = Literal["off", "light", "strong"]

X_NAMES: tuple[XName, ...] = ("epoch", "step", "images", "seconds")
SMOOTHINGS: tuple[Smoothing, ...] = ("off", "light", "strong")


@dataclass(frozen=True, slots=True)
class ChartView:
    """The state of a chart; the app keeps one for each chart id.

    Attributes:
        x: The unit of the x axis.
        y: The scale of the y axis; None for the usual one of the metric, which is also used where
            the metric has no values on the scale (a loss on ``nines``).
        smoothing: ``off`` shows each batch, ``light`` the moving average in the band of the
            batches, ``strong`` a longer moving average.
        window: The left and right end of a zoomed x axis in its unit; None for the whole run.
        cursor: The x whose values are read, in the unit of the x axis; None for none.
    """

    x: XName = "epoch"
    y: YName | None = None
    smoothing: Smoothing = "light"
    window: tuple[float, float] | None = None
    cursor: float | None = None
