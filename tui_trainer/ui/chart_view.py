"""How a chart is shown: its axes, smoothing, zoom and cursor, kept from run to run."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal, Protocol, runtime_checkable

XName = Literal["epoch", "step", "images", "seconds"]
YName = Literal["linear", "log", "nines"]
Smoothing = Literal["off", "light", "strong"]

X_NAMES: tuple[XName, ...] = ("epoch", "step", "images", "seconds")
SMOOTHINGS: tuple[Smoothing, ...] = ("light", "strong", "off")

CLOSEST = 500
"""The largest magnification: a chart's curves have about a thousand points."""


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

    def range(self, x_max: float) -> tuple[float, float]:
        """Return the ends of the x axis of a run that ends at ``x_max``.

        A window beyond the end of the run, kept from a longer one, shows the whole run.
        """
        if self.window is None or self.window[0] >= x_max:
            return (0.0, x_max)
        start, end = self.window
        return (start, min(end, x_max))

    def zoomed(self, factor: float, at: float, x_max: float) -> ChartView:
        """Return the view with the x axis longer by a factor; the place ``at`` keeps its column."""
        start, end = self.range(x_max)
        before = end - start
        span = max(x_max / CLOSEST, before * factor)
        if span >= x_max:
            return replace(self, window=None)
        at = min(max(at, start), end)
        return self._at(at - (at - start) * span / before, span, x_max)

    def panned(self, distance: float, x_max: float) -> ChartView:
        """Return the view with the window moved to the right by a distance, within the run."""
        start, end = self.range(x_max)
        if self.window is None:
            return self
        return self._at(start + distance, end - start, x_max)

    def with_cursor(self, x: float, x_max: float) -> ChartView:
        """Return the view with the cursor at a place within the run, which becomes visible."""
        x = min(max(x, 0.0), x_max)
        moved = replace(self, cursor=x)
        start, end = self.range(x_max)
        return moved.panned(min(x - start, 0.0) + max(x - end, 0.0), x_max)

    def with_x(self, name: XName, ratio: float) -> ChartView:
        """Return the view with another x axis.

        Args:
            name: Its unit.
            ratio: Its length divided by that of the current one: window and cursor keep their
                columns.
        """
        window = self.window and (self.window[0] * ratio, self.window[1] * ratio)
        cursor = None if self.cursor is None else self.cursor * ratio
        return replace(self, x=name, window=window, cursor=cursor)

    def _at(self, start: float, span: float, x_max: float) -> ChartView:
        start = min(max(start, 0.0), x_max - span)
        return replace(self, window=(start, start + span))


@runtime_checkable
class KeepsChartViews(Protocol):
    """An app that keeps the view of each chart, by chart id."""

    chart_views: dict[str, ChartView]
