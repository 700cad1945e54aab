"""What dropout does to a sum, in plain arithmetic.

Source: N. Srivastava and others, "Dropout", JMLR 15 (2014); scaled in training and not in
evaluation, as PyTorch does it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence


def spread_of_sum(values: Sequence[float], share: float) -> float:
    """Return how much the sum of the features scatters from mask to mask: √(p / (1 − p) Σ x²).

    Each feature is x / (1 − p) with probability 1 − p and else 0: its mean is x, its variance
    x² p / (1 − p), and the masks of different features are independent.
    """
    return math.sqrt(share / (1 - share) * math.fsum(value * value for value in values))
