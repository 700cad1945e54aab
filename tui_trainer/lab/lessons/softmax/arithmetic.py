"""Softmax and cross-entropy in plain Python."""

from __future__ import annotations

import math
from collections.abc import Sequence


def softmax(logits: Sequence[float], temperature: float = 1.0) -> list[float]:
    """Return the probabilities of the classes: exp(z / T) over their sum.

    Subtracting the largest logit first changes nothing and prevents overflow.
    """
    largest = max(logits)
    powers = [math.exp((logit - largest) / temperature) for logit in logits]
    total = sum(powers)
    return [power / total for power in powers]


def cross_entropy(probabilities: Sequence[float], true_class: int) -> float:
    """Return minus the logarithm of the true class's probability, in nats."""
    probability = probabilities[true_class]
    return -math.log(probability) if probability > 0 else math.inf


def logit_gradient(
    probabilities: Sequence[float], true_class: int, temperature: float = 1.0
) -> list[float]:
    """Return the gradient of the cross-entropy with respect to each logit: (p − t) / T."""
    return [(p - (label == true_class)) / temperature for label, p in enumerate(probabilities)]
