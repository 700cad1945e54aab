"""Axis scales: from values to heights, with round values as ticks."""

from __future__ import annotations

import math
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple, TypeVar

NINES = (0, 20, 40, 60, 70, 80, 90, 95, 98, 99, 99.5, 99.8, 99.9, 100)
"""Round percentages for the axis of accuracies."""

NINES_BY_WEIGHT = (100, 99.9, 99, 90, 0, *reversed(NINES))
"""The same, the most important ticks first."""

# The limits of an axis: away from the limits of a float.
_TINY, _HUGE = 1e-300, 1e300
# Values are clamped to this before taking their logarithm.
_LEAST = sys.float_info.min

HIGHEST_ACCURACY = 0.9998
"""Accuracies above this are drawn here: batches without errors are common, and must not squeeze
everything below 99.9 % into the bottom rows."""

CLOSE, CLOSE_ERRORS = 0.9, 2.5
"""Accuracies from here on, with error rates that differ by less than this factor, have ticks at
even distances: the next nines would be far away from them."""

_Label = TypeVar("_Label")


class Axis(NamedTuple):
    """An axis of values.

    Attributes:
        bottom: Its lower limit, a round value, so that it rarely changes.
        top: Its upper limit, likewise.
        ticks: Round values with their labels, the most important first.
    """

    bottom: float
    top: float
    ticks: list[tuple[float, str]]


@dataclass(frozen=True, slots=True)
class Scale:
    """An axis scale.

    Attributes:
        name: ``log`` (losses, learning rates), ``nines`` (accuracies: logarithmic in the error
            rate, so that 99.0 and 99.4 % are visibly different) or ``linear``.
        is_percent: Whether the values are fractions with labels in percent; those on ``nines`` are.
    """

    name: str
    is_percent: bool = False

    def height(self, value: float) -> float:
        """Return the height of a value; the plot is linear in heights."""
        return self.heights((value,))[0]

    def heights(self, values: Iterable[float]) -> list[float]:
        """Return the height of each value; faster than one by one."""
        if self.name == "log":
            return [math.log10(value if value > _LEAST else _LEAST) for value in values]
        if self.name == "nines":
            highest = HIGHEST_ACCURACY
            return [-math.log10(1.0 - (value if value < highest else highest)) for value in values]
        return list(values)

    def has_place_for(self, value: float) -> bool:
        """Return whether the scale is defined for a value."""
        return math.isfinite(value) and (self.name != "log" or value > 0)

    def axis(self, low: float, high: float) -> Axis:
        """Return the axis for values from ``low`` to ``high``, for which the scale is defined."""
        if self.name == "nines":
            return _nines_axis(low, high)
        factor = 100 if self.is_percent else 1
        if self.name == "log":
            low, high = (min(max(factor * value, _TINY), _HUGE) for value in (low, high))
            axis = _log_axis(low, high)
        else:
            low, high = (min(max(factor * value, -_HUGE), _HUGE) for value in (low, high))
            axis = _linear_axis(low, high)
        if factor == 1:
            return axis
        ticks = [(value / factor, label) for value, label in axis.ticks]
        # No accuracy is above 100 %, nor below 0 %.
        top, bottom = min(1.0, axis.top / factor), max(0.0, axis.bottom / factor)
        return Axis(bottom, top, [tick for tick in ticks if bottom <= tick[0] <= top])

    @property
    def empty_range(self) -> tuple[float, float]:
        """The range of the axis while there are no values."""
        return {"log": (0.1, 2.0), "nines": (0.0, 0.9)}.get(self.name, (0.0, 1.0))


def _nines_axis(low: float, high: float) -> Axis:
    if CLOSE <= low < high - 1e-5 and (1 - low) < CLOSE_ERRORS * (1 - high):
        return _close_nines_axis(low, high)
    bottom, top = _enclosing([percent / 100 for percent in NINES], low, high)
    shares = [(percent / 100, f"{percent:g}") for percent in NINES_BY_WEIGHT]
    return Axis(bottom, top, [tick for tick in shares if bottom <= tick[0] <= top])


def _close_nines_axis(low: float, high: float) -> Axis:
    """Return the axis of accuracies that are close together, as in the end of a run."""
    axis = _linear_axis(100 * low, 100 * high)
    ticks = [(value / 100, label) for value, label in axis.ticks]
    return Axis(axis.bottom / 100, min(1.0, axis.top / 100), [t for t in ticks if t[0] <= 1])


def _log_axis(low: float, high: float) -> Axis:
    powers = math.floor(math.log10(low)), math.floor(math.log10(high)) + 1
    bottom, top = _enclosing(_log_steps((1, 1.5, 2, 3, 5, 7), *powers), low, high)
    # Powers of ten first, from the top: if there are too many, the rest is evenly spaced.
    round_values = [v for m in (1, 2, 5) for v in reversed(_log_steps((m,), *powers))]
    ticks = [v for v in round_values if bottom <= v <= top]
    return Axis(bottom, top, [(v, f"{v:g}") for v in (ticks if len(ticks) > 1 else (top, bottom))])


@lru_cache(maxsize=64)
def _log_steps(mantissas: tuple[float, ...], first: int, last: int) -> list[float]:
    return [float(f"{m}e{power}") for power in range(first, last + 1) for m in mantissas]


def _linear_axis(low: float, high: float) -> Axis:
    size = max(abs(low), abs(high))
    # Values that differ only in their last digits count as one value, with a margin.
    span = high - low if high - low > 1e-9 * size else size or 1.0
    step = nice_step(max(span / 4, _TINY))
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    values = [i * step for i in range(first, max(last, first + 1) + 1)]
    digits = max(6, math.ceil(math.log10(max(size / step, 1))) + 2)
    return Axis(values[0], values[-1], [(v, f"{v:.{digits}g}") for v in reversed(values)])


def _enclosing(steps: Sequence[float], low: float, high: float) -> tuple[float, float]:
    """Return the nearest two different steps that enclose low to high."""
    first = max((i for i, value in enumerate(steps) if value <= low), default=0)
    last = min((i for i, value in enumerate(steps) if value >= high), default=len(steps) - 1)
    first = min(first, len(steps) - 2)
    return steps[first], steps[max(last, first + 1)]


def nice_step(least: float) -> float:
    """Return the smallest of 1, 2, 5 × 10ⁿ that is at least ``least`` (> 0)."""
    power = 10.0 ** math.floor(math.log10(least))
    return next(m * power for m in (1, 2, 5, 10) if m * power >= least * (1 - 1e-9))


def apart(ticks: Iterable[tuple[float, _Label]], gap: float) -> list[tuple[float, _Label]]:
    """Return ticks at least ``gap`` apart; of two closer ones the first is kept."""
    kept: list[tuple[float, _Label]] = []
    for place, label in ticks:
        if all(abs(place - other) >= gap for other, _ in kept):
            kept.append((place, label))
    return kept
