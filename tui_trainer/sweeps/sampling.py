"""The settings of a trial by its place in the sweep, for samplers that do not learn from others.

Each place has its own random numbers: a sweep that was interrupted, or is trained by several
workers, has the same trials.
"""

from __future__ import annotations

import functools
import math
import random
from collections.abc import Mapping, Sequence
from typing import Any

from tui_trainer.sweeps.spec import Choice, Dimension, Range, SweepSpec, grid_size


def seed_of(spec: SweepSpec, place: int) -> int:
    """Return the seed of the sampler for a trial, from 0 to 2³² - 1."""
    return random.Random(f"{spec.seed}:{place}").getrandbits(32)


def settings_at(spec: SweepSpec, place: int) -> dict[str, Any]:
    """Return the searched settings of the trial at a place, from 1.

    For the samplers ``random``, ``sobol`` and ``grid``. A grid has a random order: a sweep that
    ends before all combinations are trained has tried values from everywhere.
    """
    if spec.sampler == "grid":
        return _combination(spec.space, _grid_order(grid_size(spec.space), spec.seed)[place - 1])
    if spec.sampler == "sobol":
        units: Sequence[float] = _sobol(len(spec.space), spec.seed, place)
    else:
        rng = random.Random(seed_of(spec, place))
        units = [rng.random() for _ in spec.space]
    return {
        name: _value(dimension, unit)
        for (name, dimension), unit in zip(spec.space.items(), units, strict=True)
    }


def _value(dimension: Dimension, unit: float) -> Any:
    """Return the value at a share of a dimension, from 0 to below 1."""
    if isinstance(dimension, Choice):
        return dimension.values[int(unit * len(dimension.values))]
    low, high = dimension.low, dimension.high
    if dimension.log:
        # Integers: each has the room of the numbers that are rounded to it, the ends too.
        half = 0.5 if dimension.is_integer else 0.0
        first, last = math.log(low - half), math.log(high + half)
        number = math.exp(first + unit * (last - first))
        return _within(round(number) if dimension.is_integer else number, dimension)
    if dimension.count is not None:
        return _step(dimension, int(unit * dimension.count))
    return _within(low + unit * (high - low), dimension)


def _within(number: float, dimension: Range) -> float:
    return min(max(number, dimension.low), dimension.high)


def _step(dimension: Range, number: int) -> float:
    """Return the value of a range with steps, from 0; decimals stay as they are written."""
    value = dimension.low + number * (dimension.step or 1)
    return int(value) if dimension.is_integer else _within(float(f"{value:.12g}"), dimension)


@functools.lru_cache(maxsize=4)
def _grid_order(size: int, seed: int) -> list[int]:
    order = list(range(size))
    random.Random(seed).shuffle(order)
    return order


def _combination(space: Mapping[str, Dimension], number: int) -> dict[str, Any]:
    """Return a combination of a grid by its number, from 0."""
    found = dict[str, Any]()
    for name, dimension in space.items():
        size = len(dimension.values) if isinstance(dimension, Choice) else dimension.count or 1
        number, place = divmod(number, size)
        found[name] = (
            dimension.values[place] if isinstance(dimension, Choice) else _step(dimension, place)
        )
    return found


def _sobol(dimensions: int, seed: int, place: int) -> list[float]:
    """Return a point of Owen's scrambled Sobol sequence.

    Source: I. M. Sobol, "On the distribution of points in a cube and the approximate evaluation of
    integrals" (1967).
    """
    from scipy.stats import qmc

    points = qmc.Sobol(dimensions, scramble=True, rng=seed)
    if place > 1:
        points.fast_forward(place - 1)
    return [float(unit) for unit in points.random(1)[0]]
