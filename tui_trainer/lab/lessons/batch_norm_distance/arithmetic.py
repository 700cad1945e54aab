"""What batch norm on the logits allows, in plain Python."""

from __future__ import annotations

import math


def best_possible(classes: int, scale: float = 1.0) -> tuple[float, float]:
    """Return the best possible probability and loss of the true class after batch norm on logits.

    This assumes a batch with equally frequent classes and perfect logits: each logit has one value
    for its class and another for all others. With q = 1 / K, mean 0 and variance 1, the first is
    √((1 − q) / q) = √(K − 1) and the second −√(q / (1 − q)) = −1 / √(K − 1), however far apart they
    were before.

    Args:
        classes: The number of classes K, at least 2.
        scale: The γ of batch norm; initially 1.

    Returns:
        The probability, and the loss in nats.
    """
    true, other = math.sqrt(classes - 1), -1 / math.sqrt(classes - 1)
    odds = (classes - 1) * math.exp(scale * (other - true))
    return 1 / (1 + odds), math.log1p(odds)
