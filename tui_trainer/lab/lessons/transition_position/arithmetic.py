"""Convolutions with a transition after one of them: maps, field, parameters, work."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from tui_trainer.anatomy.field import Reach
from tui_trainer.lab.convolution_cost import convolution

STEM = 8
"""The kernels of the first convolution, which is always pooled and not counted."""

KERNELS = (12, 12, 16, 16, 20)
"""The kernels of the five 3×3 convolutions behind it."""


class Placed(NamedTuple):
    """A stack with its transition at one place.

    Attributes:
        after: Behind which convolution, from 1.
        sides: The side of the map of each convolution behind the first.
        field: Pixels that a feature of the last map sees.
        parameters: Of the whole network.
        multiply_adds: Of the whole network, for one image.
    """

    after: int
    sides: tuple[int, ...]
    field: int
    parameters: int
    multiply_adds: int


def placed(
    after: int, *, side: int, classes: int, kernels: Sequence[int] = KERNELS, channels: int = 1
) -> Placed:
    """Return a stack with its transition behind one of the convolutions.

    Padded 3×3 convolutions, each with batch norm, no bias, the first one pooled; the transition
    mixes the maps into half as many, with batch norm too, and pools 2×2; then the mean over each
    map and a fully connected layer. A parameter that is not of a convolution counts one
    multiply-add, as in the layer table.
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
    scores = (channels + 1) * classes
    return Placed(after, tuple(sides[1:]), seen.size, parameters + scores, work + scores)
