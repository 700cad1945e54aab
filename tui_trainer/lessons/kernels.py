"""What a convolution costs, and how alike two kernels are, in plain arithmetic."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple


class Cost(NamedTuple):
    """What a layer costs: numbers that it learns, and multiply-adds for one image."""

    parameters: int
    multiply_adds: int


def convolution(
    channels: int, kernels: int, places: int, *, side: int = 3, bias: bool = False
) -> Cost:
    """Return the cost of a convolution: side² · channels weights a kernel, each used at each place.

    Args:
        channels: Maps that come in.
        kernels: Maps that go out.
        places: Height times width of its output.
        side: Of the square kernel.
        bias: Whether each kernel adds a number of its own.
    """
    parameters = kernels * (side * side * channels + bias)
    return Cost(parameters, parameters * places)


def cosine(one: Sequence[float], other: Sequence[float]) -> float:
    """Return the cosine of the angle between two kernels: a·b / (|a| |b|); 0 if one of them is 0.

    1 is the same pattern at any strength, 0 nothing in common, −1 its negative.
    """
    lengths = math.hypot(*one) * math.hypot(*other)
    return sum(a * b for a, b in zip(one, other, strict=True)) / lengths if lengths else 0.0
