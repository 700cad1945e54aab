"""What a batch norm right behind the scores allows, in plain arithmetic."""

from __future__ import annotations

import math


def most_certain(classes: int, scale: float = 1.0) -> tuple[float, float]:
    """Return probability and loss of the right class at best behind a batch norm of the scores.

    Of a batch in which every class is equally frequent, and scores that tell the classes apart
    without a doubt: each takes one number for its own class and another one for the rest. With
    q = 1 / K the first has, at mean 0 and variance 1, the value √((1 − q) / q) = √(K − 1), the
    second −√(q / (1 − q)) = −1 / √(K − 1), however far apart they were before.

    Args:
        classes: How many there are, K; at least 2.
        scale: What batch norm multiplies by afterwards, its γ; 1 where it begins.

    Returns:
        The probability, and the loss in nats.
    """
    own, other = math.sqrt(classes - 1), -1 / math.sqrt(classes - 1)
    odds = (classes - 1) * math.exp(scale * (other - own))
    return 1 / (1 + odds), math.log1p(odds)
