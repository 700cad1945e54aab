"""The cost of a convolution, in plain arithmetic for several lessons."""

from __future__ import annotations

from typing import NamedTuple


class Cost(NamedTuple):
    """The cost of a layer: parameters, and multiply-adds for one image."""

    parameters: int
    multiply_adds: int


def convolution(channels: int, kernels: int, places: int, *, side: int = 3) -> Cost:
    """Return the cost of a convolution without biases: side² · channels weights per kernel.

    Each weight is used once per output position.

    Args:
        channels: Input channels.
        kernels: Output channels.
        places: Height × width of the output.
        side: Side of the square kernel.
    """
    parameters = kernels * side * side * channels
    return Cost(parameters, parameters * places)
