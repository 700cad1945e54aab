"""Convolutions with a transition after one of them: map size, field, parameters, cost."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from tui_trainer.anatomy.field import Reach
from tui_trainer.lab.convolution_cost import convolution

STEM = 8
"""Kernels of the first convolution, which is always pooled and not counted."""

KERNELS = (12, 12, 16, 16, 20)
"""Kernels of the five 3×3 convolutions after it."""


class Placed(NamedTuple):
    """A stack with its transition at one position.

    Attributes:
        after: The number, from 1, of the convolution before the transition.
        sides: The map side of each convolution after the first.
        field: The receptive field of the last map, in pixels across.
        parameters: Of the whole model.
        multiply_adds: Of the whole model, for one image.
    """

    after: int
    sides: tuple[int, ...]
    field: int
    parameters: int
    multiply_adds: int


def placed(
    after: int, *, side: int, classes: int, kernels: Sequence[int] = KERNELS, channels: int = 1
) -> Placed:
    """Return a stack with its transition after one of the convolutions.

    The stack has padded 3×3 convolutions with batch norm and without bias; the first is pooled. The
    transition halves the channels, also with batch norm, and pools 2×2. Global average pooling and
    a fully connected layer follow. Each parameter outside a convolution counts as one multiply-add,
    as in the layer table.
    """
    sides: list[int] = []
    seen, parameters, work = Reach(), 0, 0
    for number, width in enumerate((STEM, *kernels)):
        layers = [(3, width), (1, width // 2)] if number == after else [(3, width)]
        for kernel, maps in layers:
            cost = convolution(channels, maps, side * side, side=kernel)
            parameters += cost.parameters + 2 * maps
            work += cost.multiply_adds + 2 * maps
            seen = seen.through(kernel)
            channels = maps
        sides.append(side)
        if number in (0, after):
            seen, side = seen.through(2, 2), side // 2
    head = (channels + 1) * classes
    return Placed(after, tuple(sides[1:]), seen.size, parameters + head, work + head)
