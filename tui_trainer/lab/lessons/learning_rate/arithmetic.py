"""What a step of gradient descent does to the loss, in plain arithmetic."""

from __future__ import annotations

import math
from collections.abc import Sequence


def step_sizes(rate: float, factor: float, count: int = 10) -> list[float]:
    """Return sizes of steps to be tried: evenly from 0 to ``factor`` rates, and the rate itself."""
    grid = [rate * factor * i / count for i in range(count + 1)]
    if not any(math.isclose(size, rate, rel_tol=1e-9) for size in grid):
        grid.append(rate)
    return sorted(grid)


def promised(loss: float, slope: float, sizes: Sequence[float]) -> list[float]:
    """Return the loss that the slope alone promises for each size of step, down to 0.

    It is the first term of the Taylor series: L(w − ηd) ≈ L(w) − η d·∇L. The rest, which is of the
    order η², is why a step must not be too long.

    Args:
        loss: At the start.
        slope: d·∇L: how fast the loss falls at first, per unit of η.
        sizes: The values of η.
    """
    return [max(0.0, loss - size * slope) for size in sizes]


def lowest(sizes: Sequence[float], losses: Sequence[float]) -> int:
    """Return the place of the smallest finite loss; 0 if none is finite."""
    finite = [place for place in range(len(sizes)) if math.isfinite(losses[place])]
    return min(finite, key=losses.__getitem__, default=0)


def uphill(sizes: Sequence[float], losses: Sequence[float]) -> float | None:
    """Return the first size of step, beyond the lowest loss, that ends above the start.

    None if none does. A loss that is no number is above everything.
    """
    beyond = range(lowest(sizes, losses) + 1, len(sizes))
    return next((sizes[i] for i in beyond if not losses[i] <= losses[0]), None)


def with_momentum(rate: float, momentum: float) -> float:
    """Return the step that momentum builds up to where the gradient stays the same: η / (1 − μ).

    It is the sum of the geometric series η (1 + μ + μ² + …).
    """
    return rate / (1 - momentum)
