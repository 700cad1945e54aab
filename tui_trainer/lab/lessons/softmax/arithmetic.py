"""Softmax and the loss behind it, in plain arithmetic."""

from __future__ import annotations

import math
from collections.abc import Sequence


def softmax(scores: Sequence[float], temperature: float = 1.0) -> list[float]:
    """Return the probabilities of the classes: exp(z / T) over their sum.

    The largest score is subtracted first, which changes nothing but keeps the powers small.
    """
    largest = max(scores)
    powers = [math.exp((score - largest) / temperature) for score in scores]
    total = sum(powers)
    return [power / total for power in powers]


def cross_entropy(probabilities: Sequence[float], right: int) -> float:
    """Return minus the logarithm of the right class's probability, in nats."""
    probability = probabilities[right]
    return -math.log(probability) if probability > 0 else math.inf


def score_gradient(
    probabilities: Sequence[float], right: int, temperature: float = 1.0
) -> list[float]:
    """Return the derivative of the cross-entropy by each score: (p − t) / T."""
    return [(p - (label == right)) / temperature for label, p in enumerate(probabilities)]
