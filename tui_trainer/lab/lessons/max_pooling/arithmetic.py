"""Pooling in plain Python."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

Rows = Sequence[Sequence[float]]

SIZE = 2
"""The side of the window, and its stride."""


def windows(rows: Rows, size: int = SIZE) -> list[list[list[float]]]:
    """Return the non-overlapping windows of a map, row by row: size × size values each.

    Incomplete windows at the end are left out.
    """
    height, width = len(rows), len(rows[0])
    return [
        [
            [rows[size * down + y][size * across + x] for y in range(size) for x in range(size)]
            for across in range(width // size)
        ]
        for down in range(height // size)
    ]


def _mean(numbers: Sequence[float]) -> float:
    return sum(numbers) / len(numbers)


def _first(numbers: Sequence[float]) -> float:
    return numbers[0]


WAYS: Mapping[str, Callable[[Sequence[float]], float]] = {
    "maximum": max,
    "mean": _mean,
    "subsampled": _first,
}
"""How a window becomes one value; the last one is plain subsampling with stride 2."""


def pooled(rows: Rows, way: str, size: int = SIZE) -> list[list[float]]:
    """Return a map with one value for each window, by one of ``WAYS``."""
    take = WAYS[way]
    return [[take(numbers) for numbers in line] for line in windows(rows, size)]


def strongest_kept(rows: Rows, share: float, size: int = SIZE) -> tuple[int, int, int]:
    """Return the number of the strongest values, and how many of them each way keeps.

    Args:
        rows: The map.
        share: The share of the values that counts as the strongest, 0 to 1.
        size: The side of the window.

    Returns:
        The number of strongest values, of those that are the maximum of their window, and of those
        in the upper left corner, which subsampling keeps. Of equal maxima the first counts; a value
        equal to the minimum of the map is not strong.
    """
    parts = [numbers for line in windows(rows, size) for numbers in line]
    entries = [
        (value, part, at) for part, numbers in enumerate(parts) for at, value in enumerate(numbers)
    ]
    lowest = min(value for value, _, _ in entries)
    count = max(1, round(share * len(entries)))
    ranked = sorted(entries, key=lambda entry: -entry[0])[:count]
    strongest = [entry for entry in ranked if entry[0] > lowest]
    by_maximum = sum(parts[part].index(max(parts[part])) == at for _, part, at in strongest)
    by_stride = sum(at == 0 for _, _, at in strongest)
    return len(strongest), by_maximum, by_stride
