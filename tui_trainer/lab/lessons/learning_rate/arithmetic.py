"""The effect of a gradient descent step on the loss, in plain Python."""

from __future__ import annotations

import math
from collections.abc import Sequence


def step_sizes(lr: float, factor: float, count: int = 10) -> list[float]:
    """Return learning rates to try: evenly from 0 to ``factor`` times ``lr``, and ``lr`` itself."""
    grid = [lr * factor * i / count for i in range(count + 1)]
    if not any(math.isclose(size, lr, rel_tol=1e-9) for size in grid):
        grid.append(lr)
    return sorted(grid)


def predicted_losses(loss: float, slope: float, sizes: Sequence[float]) -> list[float]:
    """Return the loss that the gradient predicts for each step size, at least 0.

    This is the first-order Taylor expansion: L(w − ηd) ≈ L(w) − η d·∇L. The remainder of order η²
    is the reason why a step must not be too large.

    Args:
        loss: The loss before the step.
        slope: d·∇L, the decrease of the loss per unit of η.
        sizes: The values of η.
    """
    return [max(0.0, loss - size * slope) for size in sizes]


def lowest(sizes: Sequence[float], losses: Sequence[float]) -> int:
    """Return the index of the smallest finite loss; 0 if none is finite."""
    finite = [place for place in range(len(sizes)) if math.isfinite(losses[place])]
    return min(finite, key=losses.__getitem__, default=0)


def first_increase(sizes: Sequence[float], losses: Sequence[float]) -> float | None:
    """Return the first step size, beyond the lowest loss, whose loss is higher than at the start.

    None if there is none. A NaN counts as higher.
    """
    beyond = range(lowest(sizes, losses) + 1, len(sizes))
    return next((sizes[i] for i in beyond if not losses[i] <= losses[0]), None)


def with_momentum(lr: float, momentum: float) -> float:
    """Return the step size that momentum reaches under a constant gradient: η / (1 − μ).

    It is the sum of the geometric series η (1 + μ + μ² + …).
    """
    return lr / (1 - momentum)
