"""A curve of bounded memory: however many points go in, a fixed number of buckets comes out."""

from __future__ import annotations

import bisect
from array import array

CAPACITY = 1_024
"""Buckets a curve keeps at most: more than any terminal has half-columns."""


class Series:
    """Points (x, y) in the order of x, thinned by merging neighbours when they become too many.

    A bucket keeps the lowest and the highest value of its points, so no spike is lost, and the
    trend at its last point. Adding a point costs constant time on average.

    Attributes:
        x: Place of each bucket's last point.
        low: Lowest value in each bucket.
        high: Highest value in each bucket.
        trend: The smoothed value at each bucket's last point.
    """

    __slots__ = ("_capacity", "_in_last", "_per_bucket", "high", "low", "trend", "x")

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
        """Add a point, ``trend`` being its smoothed value (the value itself if not given)."""
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
        """Forget the points beyond ``x``; a bucket that reaches beyond it goes whole."""
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
    """An exponential moving average over images, without the usual pull towards its start.

    Weighing by images and not by steps keeps its smoothness when the batch size changes. The
    start is corrected as in Adam (D. P. Kingma and J. Ba, ICLR 2015, section 3).
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
        """Go on from an average of before; from nothing if there was none."""
        self._sum, self._weight = (0.0, 0.0) if value is None else (value, 1.0)

    def add(self, y: float, images: int) -> float:
        """Take in a value that is the mean over that many images; return the average."""
        if images != self._batch_size:
            self._batch_size, self._keep = images, 0.5 ** (max(0, images) / self._images)
        keep = self._keep
        self._sum = self._sum * keep + y * (1 - keep)
        self._weight = self._weight * keep + (1 - keep)
        return self._sum / self._weight
