"""Learning rate range tests: the suggested rate of each test, and how well it repeats.

A range test (L. N. Smith, "Cyclical learning rates for training neural networks", WACV 2017) trains
while the learning rate grows geometrically, and records the loss of each batch. The usual rules
take the steepest descent or a tenth of the rate of the lowest loss. Both are extremes of a noisy
curve, and another seed moves them by a factor of two to ten. The rules here are crossings of a
level between two averages:

- ``fall``: the sum of the rates of all updates until the smoothed loss has fallen half-way from its
  start to its minimum, divided by :data:`UPDATES`: with this rate, so few updates go the same way.
  At most half of the rate at which the loss has risen half-way back.
- ``rise``: a third of the rate at which it has doubled; for a model whose loss hardly falls any
  more, as in the middle of a run.

Their spread over seeds, and what trainings with them reach, is measured by
``tests/benchmarks/lr_finder.py``: the factors are from there.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Literal

from tui_trainer.stats.means import Band, Curve, band, student_quantile

Rule = Literal["fall", "rise"]

CONFIDENCE = 0.95
"""The share of repeated range tests whose suggestion is to lie in the interval."""

WIDTH = 0.12
"""The standard deviation of the smoothing kernel, in decades of the learning rate."""

START = 0.1
"""The share of the updates, the first ones, whose mean loss is the start of the curve."""

HALF = 0.5
"""How far the loss has fallen, or risen back, at the rates that are looked for.

A level nearer to the minimum is crossed where the curve is flat: with twice the spread at 0.75.
"""

UPDATES = 3.0
"""How many updates with the suggested rate go the way of the test until the half fall.

The loss of a test with twice the updates falls at half the rate, but the sum of the rates is nearly
the same: the suggestion hardly depends on the number of updates.
"""

BELOW = 2.0
"""How far to stay below the rate at which the loss has risen half-way back."""

CLEAR = 0.2
"""The least mean fall of the loss that counts as one, in nats; in a single test half of it."""

ERRORS = 4.0
"""The least mean fall in its standard errors: the lowest of many values is low anyway."""

RISEN = 2.0
"""How much higher than at the start the loss is where the rate is too high."""

MARGIN = 3.0
"""By what the rate at which the loss has risen is divided."""

CAP = 2.0
"""Losses are capped at this multiple of the start before smoothing: one spike must not count more
than a whole decade."""

EXPLODED = 4.0
"""A test ends where the moving average of the loss exceeds its lowest value by this factor, and its
first value by :data:`RISEN`."""

MEMORY = 0.8
"""The weight that the moving average keeps at each update."""

BAND_POINTS = 128


@dataclass(frozen=True, slots=True)
class RangeTest:
    """One range test.

    Attributes:
        seed: Its seed.
        lrs: The learning rate of each update, growing; those that it got to.
        losses: The loss of the batch of each update, before the update. The last one may not be
            finite.
        updates: The number of updates that were planned.
    """

    seed: int
    lrs: tuple[float, ...]
    losses: tuple[float, ...]
    updates: int

    @property
    def is_early(self) -> bool:
        """Whether it ended before its last update, because its loss had exploded."""
        return len(self.lrs) < self.updates or not math.isfinite(self.losses[-1])

    @property
    def first(self) -> tuple[float, ...]:
        """The losses of its first updates."""
        return self.losses[: max(3, round(START * self.updates))]

    @property
    def start(self) -> float:
        """The mean loss of its first updates; NaN if one of them is not finite."""
        return fmean(self.first) if all(map(math.isfinite, self.first)) else math.nan

    def smoothed(self, cap: float = CAP) -> Curve:
        """Return log10 of the rates, and the loss smoothed by a Gaussian kernel over them.

        The kernel is symmetric: a moving average would lag behind, and shift the curve to higher
        rates. Losses that are not finite are left out.

        Args:
            cap: The largest loss that counts, as a multiple of the start.
        """
        most = cap * self.start
        if not math.isfinite(most):
            return (), ()
        pairs = zip(self.lrs, self.losses, strict=True)
        kept = [(math.log10(lr), min(loss, most)) for lr, loss in pairs if math.isfinite(loss)]
        x, y = [x for x, _ in kept], [y for _, y in kept]
        step = (x[-1] - x[0]) / (len(x) - 1) if len(x) > 1 else 1.0
        reach = max(1, math.ceil(3 * WIDTH / step))
        kernel = [math.exp(-((i * step / WIDTH) ** 2) / 2) for i in range(reach + 1)]
        smooth = []
        for place in range(len(x)):
            first, last = max(0, place - reach), min(len(x), place + reach + 1)
            weights = [kernel[abs(i - place)] for i in range(first, last)]
            total = math.fsum(w * v for w, v in zip(weights, y[first:last], strict=True))
            smooth.append(total / math.fsum(weights))
        return tuple(x), tuple(smooth)


class MovingLoss:
    """Notices during a range test that its loss explodes, from a moving average.

    Attributes:
        has_exploded: Whether the test is to end.
    """

    def __init__(self) -> None:
        self.has_exploded = False
        self._mean = self._weight = 0.0
        self._first = self._lowest = math.inf

    def add(self, loss: float) -> None:
        """Add the loss of a batch."""
        self._mean = MEMORY * self._mean + (1 - MEMORY) * loss
        self._weight = MEMORY * self._weight + 1 - MEMORY
        mean = self._mean / self._weight
        self._first = mean if self._first == math.inf else self._first
        self._lowest = min(self._lowest, mean)
        # NaN exceeds every limit.
        self.has_exploded = not mean <= max(EXPLODED * self._lowest, RISEN * self._first)


@dataclass(frozen=True, slots=True)
class Suggestion:
    """The learning rate that several range tests suggest.

    Attributes:
        rule: How each test suggests a rate.
        lr: The geometric mean of the tests' rates; NaN if no test suggests one.
        low: The lower end of the interval of a repeat; NaN for fewer than two rates.
        high: The upper end.
        confidence: The share of repeats, each with as many other seeds, whose ``lr`` is expected
            in the interval.
        lrs: The learning rate that each test suggests; NaN if it suggests none.
        spread: The standard deviation of log10 of the rates; NaN for fewer than two.
    """

    rule: Rule
    lr: float
    low: float
    high: float
    confidence: float
    lrs: tuple[float, ...]
    spread: float


def learning_rates(low: float, high: float, updates: int) -> tuple[float, ...]:
    """Return the learning rates of a range test: a geometric sequence from ``low`` to ``high``.

    Raises:
        ValueError: If there is no such sequence.
    """
    if not 0 < low < high < math.inf or updates < 2:
        raise ValueError(f"no range of learning rates: {low} to {high} in {updates} updates")
    first, last = math.log10(low), math.log10(high)
    inner = (10 ** (first + (last - first) * i / (updates - 1)) for i in range(1, updates - 1))
    return (low, *inner, high)


def suggestion(tests: Sequence[RangeTest], confidence: float = CONFIDENCE) -> Suggestion:
    """Return the rate that range tests suggest, and the interval of a repeat.

    All tests are judged by one rule: by the fall if their mean falls clearly. The interval is the
    prediction interval for the mean of as many future values of a normal distribution, here of
    log10 of the rates: mean ± t(n - 1) s √(1/n + 1/n).

    Source: G. J. Hahn and W. Q. Meeker, "Statistical Intervals" (1991), 4.7.
    """
    curves = [test.smoothed() for test in tests]
    rule: Rule = "fall" if has_fallen(tests, curves) else "rise"
    pairs = zip(tests, curves, strict=True)
    places = [fall_lr(*pair) for pair in pairs] if rule == "fall" else [*map(rise_lr, tests)]
    known = [place for place in places if math.isfinite(place)]
    lrs = tuple(10**place for place in places)
    if not known:
        return Suggestion(rule, math.nan, math.nan, math.nan, confidence, lrs, math.nan)
    mean, count = fmean(known), len(known)
    if count == 1:
        return Suggestion(rule, 10**mean, math.nan, math.nan, confidence, lrs, math.nan)
    spread = math.sqrt(math.fsum((place - mean) ** 2 for place in known) / (count - 1))
    reach = student_quantile(count - 1, confidence) * spread * math.sqrt(2 / count)
    # The resolution: the next update has another learning rate.
    reach = max(reach, max(map(_step, tests)) / 2)
    low, high = 10 ** (mean - reach), 10 ** (mean + reach)
    return Suggestion(rule, 10**mean, low, high, confidence, lrs, spread)


def _step(test: RangeTest) -> float:
    """Return the distance of two updates in decades."""
    return math.log10(test.lrs[1] / test.lrs[0]) if len(test.lrs) > 1 else 0.0


def fall(test: RangeTest, curve: Curve) -> float:
    """Return how far the smoothed loss falls below the start, in nats; 0 without a start."""
    return test.start - min(curve[1]) if len(curve[1]) else 0.0


def has_fallen(tests: Sequence[RangeTest], curves: Sequence[Curve]) -> bool:
    """Return whether the loss of most tests falls clearly: in nats, and by standard errors."""
    falls = [fall(*pair) for pair in zip(tests, curves, strict=True)]
    return bool(falls) and fmean(falls) >= max(CLEAR, ERRORS * _error(tests))


def _error(tests: Sequence[RangeTest]) -> float:
    """Return the standard error of the fall of a test, from the noise of the first losses."""
    firsts = [test.first for test in tests if math.isfinite(test.start) and len(test.lrs) > 1]
    if not firsts:
        return math.inf
    squares = math.fsum((loss - fmean(first)) ** 2 for first in firsts for loss in first)
    freedom = max(1, sum(map(len, firsts)) - len(firsts))
    # A Gaussian kernel averages as much as 2 √π standard deviations of it, all weighted alike.
    averaged = max(1.0, 2 * math.sqrt(math.pi) * WIDTH / max(map(_step, tests)))
    return math.sqrt(squares / freedom * (1 / max(map(len, firsts)) + 1 / averaged))


def fall_lr(test: RangeTest, curve: Curve) -> float:
    """Return log10 of the rate that a fall suggests; NaN if the loss of the test has not fallen."""
    x, y = curve
    if fall(test, curve) < CLEAR / 2:
        return math.nan
    lowest = min(y)
    level = lowest + HALF * (test.start - lowest)
    # The sum of a geometric sequence up to a rate is about that rate / log of the common ratio.
    place = _crossing(x, y, level, -1) - math.log10(UPDATES * math.log(10) * _step(test))
    bottom = list(y).index(lowest)
    back = _crossing(x[bottom:], y[bottom:], level, 1) - math.log10(BELOW)
    return min(place, back) if math.isfinite(back) else place


def rise_lr(test: RangeTest) -> float:
    """Return log10 of a third of the rate at which the loss has doubled; NaN if it has not.

    Without its smoothed curve, whose cap is the level: for a level, losses above must count.
    """
    x, y = test.smoothed(2 * RISEN)
    return _crossing(x, y, RISEN * test.start, 1) - math.log10(MARGIN)


def _crossing(x: Sequence[float], y: Sequence[float], level: float, direction: int) -> float:
    """Return where a curve first crosses a level, interpolated; NaN if nowhere."""
    for place, value in enumerate(y):
        if (value - level) * direction >= 0:
            if place == 0:
                return x[0]
            before = y[place - 1]
            share = (level - before) / (value - before)
            return x[place - 1] + share * (x[place] - x[place - 1])
    return math.nan


def mean_curve(curves: Sequence[Curve]) -> Band:
    """Return the mean of smoothed curves in its 95 % band, where most of them have a value."""
    found = band(curves, BAND_POINTS)
    least = min(len(curves), max(2, (len(curves) + 1) // 2))
    kept = [i for i, count in enumerate(found.counts) if count >= least]
    x, mean, low, high = (
        tuple(values[i] for i in kept) for values in (found.x, found.mean, found.low, found.high)
    )
    return Band(x, mean, low, high, tuple(found.counts[i] for i in kept))
