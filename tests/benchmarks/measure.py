"""The arithmetic of the benchmarks: paired ratios, percentiles, a slope; and their JSON."""

from __future__ import annotations

import dataclasses
import json
import math
import os
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

Pair = tuple[float, float]
"""The measurements of one round: the first contender, then the second."""


@dataclass(frozen=True, slots=True)
class Figure:
    """The result of a comparison over all rounds.

    Attributes:
        name: ``first/second``.
        ratio: The median over the rounds of the paired ratio a/b.
        low: The smallest paired ratio.
        high: The largest paired ratio.
        a: The median of the first contender.
        b: The median of the second contender.
        unit: The unit of ``a`` and ``b``.
    """

    name: str
    ratio: float
    low: float
    high: float
    a: float
    b: float
    unit: str


def paired(name: str, pairs: Sequence[Pair], unit: str) -> Figure:
    """Return the figure of a comparison from the measurements of its rounds.

    Each ratio is computed within a round, whose two slices ran one after the other, so that a
    machine
    that becomes slower between rounds does not change it.

    Raises:
        ValueError: If there is no pair, or a number is not finite, or the second is not above 0.
    """
    if not pairs:
        raise ValueError(f"{name}: no measurements")
    for a, b in pairs:
        if not (math.isfinite(a) and math.isfinite(b) and b > 0):
            raise ValueError(f"{name}: {a} over {b} is no ratio")
    ratios = [a / b for a, b in pairs]
    return Figure(
        name=name,
        ratio=statistics.median(ratios),
        low=min(ratios),
        high=max(ratios),
        a=statistics.median(a for a, _ in pairs),
        b=statistics.median(b for _, b in pairs),
        unit=unit,
    )


def percentile(values: Sequence[float], share: float) -> float:
    """Return the value below which ``share`` (0 to 1) of the values lie, linearly interpolated.

    Raises:
        ValueError: If there are no values.
    """
    if not values:
        raise ValueError("no values for a percentile")
    ordered = sorted(values)
    place = share * (len(ordered) - 1)
    below = math.floor(place)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (ordered[above] - ordered[below]) * (place - below)


def slope(points: Sequence[tuple[float, float]]) -> float:
    """Return the slope of the least-squares line through (x, y); 0 if undefined."""
    if len({x for x, _ in points}) < 2:
        return 0.0
    return statistics.linear_regression([x for x, _ in points], [y for _, y in points]).slope


def write_json(path: Path, content: object) -> None:
    """Write JSON so that the file is complete, or unchanged after a failure.

    Raises:
        OSError: If it cannot be written.
    """
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        part.write_text(json.dumps(content, indent=2, allow_nan=False) + "\n", encoding="utf-8")
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def write_figures(path: Path, figures: Sequence[Figure]) -> None:
    """Write figures as a JSON list of objects with the fields of :class:`Figure`.

    Raises:
        OSError: If it cannot be written.
    """
    write_json(path, [dataclasses.asdict(figure) for figure in figures])
