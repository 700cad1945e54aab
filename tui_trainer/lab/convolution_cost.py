"""What a convolution costs, in plain arithmetic for several lessons."""

from __future__ import annotations

from typing import NamedTuple


class Cost(NamedTuple):
    """What a layer costs: numbers that it learns, and multiply-adds for one image."""

    parameters: int
    multiply_adds: int


def convolution(channels: int, kernels: int, places: int, *, side: int = 3) -> Cost:
    """Return the cost of a convolution without biases: side² · channels weights a kernel.

    Each of them is used once at each place.

    Args:
        channels: Maps that come in.
        kernels: Maps that go out.
        places: Height times width of its output.
        side: Of the square kernel.
    """
    parameters = kernels * side * side * channels
    return Cost(parameters, parameters * places)
