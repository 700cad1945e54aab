"""A 3×3 kernel on a map in plain Python, and the cost of stacked kernels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from tui_trainer.lab.convolution_cost import convolution

Rows = Sequence[Sequence[float]]

KERNELS: Mapping[str, tuple[tuple[float, ...], ...]] = {
    # Sobel's operators: the brightness on one side minus that on the other.
    "vertical edge": ((-1, 0, 1), (-2, 0, 2), (-1, 0, 1)),
    "horizontal edge": ((-1, -2, -1), (0, 0, 0), (1, 2, 1)),
    "blur": ((1 / 9,) * 3,) * 3,
    "sharpen": ((0, -1, 0), (-1, 5, -1), (0, -1, 0)),
}
"""Hand-designed filters."""


def window(rows: Rows, row: int, column: int, side: int = 3, padding: int = 1) -> list[list[float]]:
    """Return the values that a kernel covers at a position of its output, with zero padding."""
    height, width = len(rows), len(rows[0])
    top, left = row - padding, column - padding
    return [
        [
            rows[y][x] if 0 <= y < height and 0 <= x < width else 0.0
            for x in range(left, left + side)
        ]
        for y in range(top, top + side)
    ]


def products(covered: Rows, kernel: Rows) -> list[list[float]]:
    """Return each covered value times its weight."""
    return [
        [value * weight for value, weight in zip(values, weights, strict=True)]
        for values, weights in zip(covered, kernel, strict=True)
    ]


def slide(rows: Rows, kernel: Rows, bias: float = 0.0, padding: int = 1) -> list[list[float]]:
    """Return the feature map of a kernel: at each position the sum of products, plus the bias.

    The kernel is not flipped: like torch, this computes a cross-correlation.
    """
    side = len(kernel)
    height = len(rows) + 2 * padding - side + 1
    width = len(rows[0]) + 2 * padding - side + 1
    return [
        [
            sum(map(sum, products(window(rows, row, column, side, padding), kernel))) + bias
            for column in range(width)
        ]
        for row in range(height)
    ]


class Stack(NamedTuple):
    """Stacked convolutions of stride 1: the receptive field of the last one, and the cost.

    Each is followed by an activation; none has a bias.
    """

    field: int
    parameters: int
    multiply_adds: int
    activations: int


def stack(sides: tuple[int, ...], channels: int, places: int) -> Stack:
    """Return the cost of stacked kernels, each with ``channels`` channels in and out.

    Args:
        sides: The side of each kernel in order; r = 1 + Σ (k − 1).
        channels: C: each layer has k²·C² weights.
        places: Height × width of the map; each weight is used once at each position.
    """
    costs = [convolution(channels, channels, places, side=side) for side in sides]
    return Stack(
        1 + sum(side - 1 for side in sides),
        sum(cost.parameters for cost in costs),
        sum(cost.multiply_adds for cost in costs),
        len(sides),
    )
