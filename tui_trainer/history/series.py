"""A curve with bounded memory: any number of points in a fixed number of buckets."""

from __future__ import annotations

import bisect
from array import array

CAPACITY = 1_024
"""The maximum number of buckets: more than a terminal has half-columns."""


class Series:
    """Points (x, y) by increasing x, downsampled by merging neighboring buckets.

    A bucket keeps the minimum and maximum of its points, so that no spike is lost, and the moving
    average at its last point. Adding a point takes amortized constant time.

    Attributes:
        x: The x of each bucket's last point.
        low: The minimum of each bucket.
        high: The maximum of each bucket.
        trend: The moving average at each bucket's last point.
    """

    __slots__ = ("__weakref__", "_capacity", "_in_last", "_per_bucket", "high", "low", "trend", "x")

    def __init__(self, capacity: int = CAPACITY) -> None:
        if capacity < 2 or capacity % 2:
            raise ValueError("a series needs an even capacity of 2 or more")
        self._capacity = capacity
        self._per_bucket = 1
        self._in_last = 0
        self.x = array("d")
        self.low = array("d")
        self.high = array("d")
        self.trend = array("d")

    def __len__(self) -> int:
        return len(self.x)

    def append(self, x: float, y: float, trend: float | None = None) -> None:
        """Add a point; ``trend`` is the moving average there (``y`` if not given)."""
        smooth = y if trend is None else trend
        if self.x and self._in_last < self._per_bucket:
            self._in_last += 1
            self.x[-1] = x
            self.low[-1] = min(self.low[-1], y)
            self.high[-1] = max(self.high[-1], y)
            self.trend[-1] = smooth
            return
        if len(self.x) == self._capacity:
            self._merge_pairs()
        self.x.append(x)
        self.low.append(y)
        self.high.append(y)
        self.trend.append(smooth)
        self._in_last = 1

    def cut(self, x: float) -> None:
        """Drop the points after ``x``, with any bucket that extends beyond it."""
        kept = bisect.bisect_right(self.x, x)
        if kept < len(self.x):
            for values in (self.x, self.low, self.high, self.trend):
                del values[kept:]
            self._in_last = self._per_bucket

    def _merge_pairs(self) -> None:
        self.x = self.x[1::2]
        self.trend = self.trend[1::2]
        self.low = array("d", map(min, self.low[::2], self.low[1::2]))
        self.high = array("d", map(max, self.high[::2], self.high[1::2]))
        self._per_bucket *= 2


class MovingAverage:
    """An exponential moving average over images, with bias correction.

    Weighting by images, not by steps, keeps its smoothness when the batch size changes. The bias
    correction is that of Adam (D. P. Kingma and J. Ba, ICLR 2015, section 3).

    Args:
        images: The half-life, in images.
    """

    __slots__ = ("_batch_size", "_images", "_keep", "_sum", "_weight")

    def __init__(self, images: float) -> None:
        self._images = images
        self._batch_size, self._keep = 0, 1.0
        self._sum = 0.0
        self._weight = 0.0

    @property
    def value(self) -> float | None:
        """The average, None before the first point."""
        return self._sum / self._weight if self._weight else None

    def restart(self, value: float | None) -> None:
        """Continue from a previous average; from the beginning if it is None."""
        self._sum, self._weight = (0.0, 0.0) if value is None else (value, 1.0)

    def add(self, y: float, images: int) -> float:
        """Add the mean value over a number of images; return the average."""
        if images != self._batch_size:
            self._batch_size, self._keep = images, 0.5 ** (max(0, images) / self._images)
        keep = self._keep
        self._sum = self._sum * keep + y * (1 - keep)
        self._weight = self._weight * keep + (1 - keep)
        return self._sum / self._weight
