"""The cost of a stack of convolutions, and its width for a budget."""

from __future__ import annotations

from tui_trainer.anatomy.field import Reach

SIDE = 3
"""Kernel side."""


def stack_parameters(convolutions: int, width: int, classes: int, channels: int = 1) -> int:
    """Return the parameters of a stack of convolutions on an image with ``channels`` channels.

    Each convolution has ``width`` 3×3 kernels without bias, followed by batch norm (two parameters
    per channel). Global average pooling and a fully connected layer with bias follow:
    9iw + 9w²(n − 1) + 2wn + wc + c, with i input channels.
    """
    first = SIDE**2 * channels * width
    others = SIDE**2 * width**2 * (convolutions - 1)
    return first + others + 2 * width * convolutions + width * classes + classes


def width_for(budget: int, convolutions: int, classes: int, channels: int = 1) -> int:
    """Return the width, at least 1, whose parameters come closest to a budget."""
    width = 1
    while stack_parameters(convolutions, width + 1, classes, channels) <= budget:
        width += 1
    below = budget - stack_parameters(convolutions, width, classes, channels)
    above = stack_parameters(convolutions, width + 1, classes, channels) - budget
    return width if below <= above else width + 1


def pooled_after(convolutions: int) -> int:
    """Return the number, from 1, of the convolution before the max pool: the middle one."""
    return convolutions // 2 or 1


def stack_field(convolutions: int) -> int:
    """Return the receptive field of the last layer in pixels across.

    The first convolution has stride 2, and a 2×2 max pool follows the middle one.
    """
    field = Reach()
    for number in range(1, convolutions + 1):
        field = field.through(SIDE, 2 if number == 1 else 1)
        if number == pooled_after(convolutions):
            field = field.through(2, 2)
    return field.size
