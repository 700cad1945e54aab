"""A 3×3 kernel on a map in plain arithmetic, and what stacks of kernels cost."""

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
"""Kernels that a person would draw; a network finds its own."""


def window(rows: Rows, row: int, column: int, side: int = 3, padding: int = 1) -> list[list[float]]:
    """Return what a kernel covers at a place of its output; beyond the map's edges there are 0s."""
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
    """Return each covered number times its weight."""
    return [
        [value * weight for value, weight in zip(values, weights, strict=True)]
        for values, weights in zip(covered, kernel, strict=True)
    ]


def slide(rows: Rows, kernel: Rows, bias: float = 0.0, padding: int = 1) -> list[list[float]]:
    """Return the map that a kernel makes as it goes over another: sum of products, plus bias.

    Nothing is flipped: what is called a convolution here is a cross-correlation, as in torch.
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
    """Convolutions on top of each other, stride 1: what the last one's features see, and the cost.

    There is an activation behind each, and no bias.
    """

    field: int
    parameters: int
    multiply_adds: int
    activations: int


def stack(sides: tuple[int, ...], channels: int, places: int) -> Stack:
    """Return what kernels of these sides cost, each with ``channels`` maps in and out.

    Args:
        sides: Side of each kernel, in order; r = 1 + Σ (k − 1).
        channels: C: each layer has k²·C² weights.
        places: Height × width of the map, at each of which every weight is used once.
    """
    costs = [convolution(channels, channels, places, side=side) for side in sides]
    return Stack(
        1 + sum(side - 1 for side in sides),
        sum(cost.parameters for cost in costs),
        sum(cost.multiply_adds for cost in costs),
        len(sides),
    )
