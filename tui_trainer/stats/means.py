"""Means over seeds, their intervals, differences of two groups, and bands of curves.

Student's t distribution for any degrees of freedom, from the standard library alone: the window
and ``mnist-tui runs`` use it before numpy is loaded.
"""

from __future__ import annotations

import functools
import math
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist, fmean

CONFIDENCE = 0.95
POINTS = 400
"""The default number of points of a band."""

Curve = tuple[Sequence[float], Sequence[float]]
"""The x values of a curve, increasing, and its y values, as many."""


@dataclass(frozen=True, slots=True)
class MeanInterval:
    """A mean and its confidence interval.

    Attributes:
        mean: The arithmetic mean.
        low: The lower end of the interval; NaN for a single value.
        high: The upper end; NaN for a single value.
        count: The number of values.
    """

    mean: float
    low: float
    high: float
    count: int


@dataclass(frozen=True, slots=True)
class Difference:
    """A difference of two means, its confidence interval and its test.

    Attributes:
        mean: The mean of the first group minus that of the second.
        low: The lower end of the interval; NaN where there is none.
        high: The upper end; NaN where there is none.
        p: The two-sided p value of "the means are equal"; NaN where the values do not vary, or are
            too few.
        count: The number of pairs, or of values of both groups together.
    """

    mean: float
    low: float
    high: float
    p: float
    count: int


@dataclass(frozen=True, slots=True)
class Band:
    """The mean of several curves and its confidence interval at each x.

    Attributes:
        x: The places, increasing.
        mean: The mean of the curves that have a finite value there.
        low: The lower ends of the intervals; NaN where only one curve has a value.
        high: The upper ends.
        counts: How many curves have a value. A mean over fewer curves may jump: curves that are
            shorter or have diverged are missing from it.
    """

    x: tuple[float, ...]
    mean: tuple[float, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]
    counts: tuple[int, ...]


def mean_interval(values: Sequence[float], confidence: float = CONFIDENCE) -> MeanInterval:
    """Return the mean of at least one value, and its Student's t interval.

    Raises:
        ValueError: If there is no value, one is not finite, or ``confidence`` is not within (0, 1).
    """
    if not values or not all(map(math.isfinite, values)):
        raise ValueError(f"the mean needs finite values, at least one: {list(values)}")
    mean, reach = fmean(values), math.nan
    if len(values) > 1:
        error = _deviation(values) / math.sqrt(len(values))
        reach = student_quantile(len(values) - 1, confidence) * error
    return MeanInterval(mean, mean - reach, mean + reach, len(values))


def paired_difference(
    first: Sequence[float], second: Sequence[float], confidence: float = CONFIDENCE
) -> Difference:
    """Return the mean of ``first - second`` over pairs, with the paired t test.

    Pairs (runs of one seed, which have their split and the order of their batches in common) are
    compared more sharply than two independent groups.

    Args:
        first: A value of the first group for each pair, at least one.
        second: Those of the second group, in the same order.
        confidence: The confidence of the interval.

    Raises:
        ValueError: If the lengths differ, or the values have no mean.

    Source: Student, "The probable error of a mean", Biometrika 6 (1908), 1-25.
    """
    mean = mean_interval([a - b for a, b in zip(first, second, strict=True)], confidence)
    width = mean.high - mean.low
    # Differences of equal decimals differ by their rounding: that is no variation.
    rounding = 1e-12 * max(map(abs, (*first, *second)))
    if not width > rounding:
        return Difference(mean.mean, math.nan, math.nan, math.nan, mean.count)
    freedom = mean.count - 1
    error = width / 2 / student_quantile(freedom, confidence)
    p = two_sided_p(mean.mean / error, freedom)
    return Difference(mean.mean, mean.low, mean.high, p, mean.count)


def independent_difference(
    first: Sequence[float], second: Sequence[float], confidence: float = CONFIDENCE
) -> Difference:
    """Return the difference of the means of two groups without pairs, with Welch's t test.

    The groups may have different sizes and variances.

    Raises:
        ValueError: If a group has no mean.

    Source: B. L. Welch, "The generalization of 'Student's' problem when several different
    population variances are involved", Biometrika 34 (1947), 28-35.
    """
    one, other = mean_interval(first, confidence), mean_interval(second, confidence)
    difference, count = one.mean - other.mean, one.count + other.count
    nothing = Difference(difference, math.nan, math.nan, math.nan, count)
    if min(one.count, other.count) < 2:
        return nothing
    squares = [_deviation(group) ** 2 / len(group) for group in (first, second)]
    error = math.sqrt(sum(squares))
    if not error > 1e-12 * max(map(abs, (*first, *second))):
        return nothing
    freedom = sum(squares) ** 2 / sum(
        square**2 / (len(group) - 1) for square, group in zip(squares, (first, second), strict=True)
    )
    reach = student_quantile(freedom, confidence) * error
    p = two_sided_p(difference / error, freedom)
    return Difference(difference, difference - reach, difference + reach, p, count)


def single_difference(
    value: float, group: Sequence[float], confidence: float = CONFIDENCE
) -> Difference:
    """Return a single value minus the mean of a group, with Student's t test.

    The interval is that of the difference of one more value of the group: the test asks whether
    the value could be one of them.

    Raises:
        ValueError: If a value is not finite, or the group is empty.
    """
    mean = mean_interval(group, confidence)
    if not math.isfinite(value):
        raise ValueError(f"the difference needs a finite value, not {value}")
    difference, count = value - mean.mean, mean.count + 1
    spread = _deviation(group) if mean.count > 1 else 0.0
    if not spread > 1e-12 * max(map(abs, group)):
        return Difference(difference, math.nan, math.nan, math.nan, count)
    error = spread * math.sqrt(1 + 1 / mean.count)
    reach = student_quantile(mean.count - 1, confidence) * error
    p = two_sided_p(difference / error, mean.count - 1)
    return Difference(difference, difference - reach, difference + reach, p, count)


def band(curves: Sequence[Curve], points: int = POINTS, confidence: float = CONFIDENCE) -> Band:
    """Return the mean of curves on different grids, with a Student's t interval at each place.

    Each curve is interpolated linearly within its own range, and counts nowhere else: neither
    beyond its ends nor next to a value that is not finite.

    Args:
        curves: The curves; their grids and lengths may differ. Without a value they are ignored.
        points: The largest number of places. Up to it, the band has a place at each x of the
            curves, so that the means of epochs are exact; beyond, the places are evenly spaced.
        confidence: The confidence of the intervals.
    """
    curves = [(xs, ys) for xs, ys in curves if len(xs)]
    places = _places(curves, points)
    columns = [_interpolated(xs, ys, places) for xs, ys in curves]
    x, means = list[float](), list[MeanInterval]()
    for index, place in enumerate(places):
        values = [column[index] for column in columns if math.isfinite(column[index])]
        if values:
            x.append(place)
            means.append(mean_interval(values, confidence))
    return Band(
        tuple(x),
        tuple(each.mean for each in means),
        tuple(each.low for each in means),
        tuple(each.high for each in means),
        tuple(each.count for each in means),
    )


def _deviation(values: Sequence[float]) -> float:
    """Return the standard deviation with n - 1, a tenth of the time of ``statistics.stdev``."""
    mean = fmean(values)
    return math.sqrt(math.fsum((value - mean) ** 2 for value in values) / (len(values) - 1))


def _stdev(values: Sequence[float], mean: float) -> float:
    """Return the standard deviation of a sample; much faster than that of ``statistics``."""
    return math.sqrt(math.fsum((value - mean) ** 2 for value in values) / (len(values) - 1))


@functools.cache
def student_quantile(freedom: float, confidence: float = CONFIDENCE) -> float:
    """Return the t that a two-sided interval of this confidence reaches to.

    Args:
        freedom: The degrees of freedom, above 0; need not be whole.
        confidence: The probability within [-t, t], between 0 and 1.

    Raises:
        ValueError: If an argument is out of its range.
    """
    if not freedom > 0 or not 0 < confidence < 1:
        raise ValueError(f"no Student's t: {freedom} degrees of freedom, confidence {confidence}")
    outside = 1 - confidence
    t = NormalDist().inv_cdf(1 - outside / 2)
    # The p value is convex in t and the normal quantile is below the root: Newton's steps approach
    # it from below, at least doubling t in heavy tails.
    for _ in range(100):
        step = (two_sided_p(t, freedom) - outside) / (2 * _density(t, freedom))
        t += step
        if abs(step) <= 1e-13 * t:
            break
    return t


def two_sided_p(t: float, freedom: float) -> float:
    """Return the probability that abs(T) ≥ abs(t) with Student's t distribution.

    It is the regularized incomplete beta function I_x(ν/2, ½) at x = ν / (ν + t²).

    Source: M. Abramowitz and I. Stegun, "Handbook of Mathematical Functions" (1964), 26.7.1.
    """
    return _incomplete_beta(
        freedom / 2, 0.5, freedom / (freedom + t * t), t * t / (freedom + t * t)
    )


def _density(t: float, freedom: float) -> float:
    """Return the density of Student's t distribution."""
    scale = math.lgamma((freedom + 1) / 2) - math.lgamma(freedom / 2)
    scale -= (freedom + 1) / 2 * math.log1p(t * t / freedom)
    return math.exp(scale) / math.sqrt(freedom * math.pi)


def _incomplete_beta(a: float, b: float, x: float, rest: float) -> float:
    """Return the regularized incomplete beta function I_x(a, b); ``rest`` is 1 - x, unrounded.

    By the continued fraction, in the half where it converges quickly.

    Source: W. H. Press and others, "Numerical Recipes", 3rd edition (2007), 6.4.
    """
    if x <= 0 or rest <= 0:
        return 0.0 if x <= 0 else 1.0
    if x > (a + 1) / (a + b + 2):
        return 1 - _incomplete_beta(b, a, rest, x)
    beta = math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b)
    front = math.exp(beta + a * math.log(x) + b * math.log(rest)) / a
    tiny = 1e-300
    upper, lower = 1.0, 1 / ((1 - (a + b) * x / (a + 1)) or tiny)
    fraction = lower
    for n in range(1, 100_000):
        before = fraction
        for term in (
            n * (b - n) * x / ((a + 2 * n - 1) * (a + 2 * n)),
            -(a + n) * (a + b + n) * x / ((a + 2 * n) * (a + 2 * n + 1)),
        ):
            lower = 1 / ((1 + term * lower) or tiny)
            upper = (1 + term / upper) or tiny
            fraction *= lower * upper
        if abs(fraction - before) <= 1e-15 * abs(fraction):
            break
    return front * fraction


def _places(curves: Sequence[Curve], points: int) -> list[float]:
    if not curves:
        return []
    if max(len(xs) for xs, _ in curves) <= points:
        places = {x for xs, _ in curves for x in xs}
        if len(places) <= points:
            return sorted(places)
    low, high = min(xs[0] for xs, _ in curves), max(xs[-1] for xs, _ in curves)
    steps = max(1, points - 1)
    # The last place exactly, in spite of rounding: a curve has no value beyond its end.
    return [*(low + (high - low) * step / steps for step in range(steps)), high]


def _interpolated(xs: Sequence[float], ys: Sequence[float], places: Sequence[float]) -> list[float]:
    """Return a curve's values at places (increasing), NaN where it has none."""
    first, last, after = xs[0], xs[-1], 0
    values = list[float]()
    for x in places:
        if not first <= x <= last:
            values.append(math.nan)
            continue
        after = bisect_left(xs, x, after)
        right, y = xs[after], ys[after]
        if right != x:
            left, before = xs[after - 1], ys[after - 1]
            y = before + (x - left) / (right - left) * (y - before)
        values.append(y)
    return values
