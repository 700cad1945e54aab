"""What a stack of convolutions costs, and how wide it may be for a budget."""

from __future__ import annotations

from tui_trainer.anatomy.field import Reach

SIDE = 3
"""The side of the kernels."""


def stack_parameters(convolutions: int, width: int, classes: int) -> int:
    """Return how many numbers a stack of convolutions on a grey image learns.

    Each has ``width`` kernels of 3×3 without bias, and batch norm (two numbers a map) behind it;
    the mean of each map goes into a fully connected layer with a bias:
    9w + 9w²(n − 1) + 2wn + wc + c.
    """
    first = SIDE**2 * width
    others = SIDE**2 * width**2 * (convolutions - 1)
    return first + others + 2 * width * convolutions + width * classes + classes


def width_for(budget: int, convolutions: int, classes: int) -> int:
    """Return the width at which a stack comes closest to a budget of parameters, at least 1."""
    width = 1
    while stack_parameters(convolutions, width + 1, classes) <= budget:
        width += 1
    below = budget - stack_parameters(convolutions, width, classes)
    above = stack_parameters(convolutions, width + 1, classes) - budget
    return width if below <= above else width + 1


def pooled_behind(convolutions: int) -> int:
    """Return behind which convolution, from 1, the max pool stands: the middle one."""
    return convolutions // 2 or 1


def stack_field(convolutions: int) -> int:
    """Return how many pixels across a feature behind the last layer sees.

    The first convolution moves by 2, and a 2×2 max pool stands in the middle.
    """
    seen = Reach()
    for number in range(1, convolutions + 1):
        seen = seen.through(SIDE, 2 if number == 1 else 1)
        if number == pooled_behind(convolutions):
            seen = seen.through(2, 2)
    return seen.size
