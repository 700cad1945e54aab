"""The effect of dropout on a sum, in plain Python.

Source: N. Srivastava and others, "Dropout", JMLR 15 (2014); scaled in training mode, as in
PyTorch, and not in evaluation mode.
"""

from __future__ import annotations

import math
from collections.abc import Sequence


def std_of_sum(values: Sequence[float], share: float) -> float:
    """Return the standard deviation over masks of the sum of the features: √(p / (1 − p) Σ x²).

    Each feature is x / (1 − p) with probability 1 − p and else 0: its mean is x, its variance
    x² p / (1 − p), and the masks of different features are independent.
    """
    return math.sqrt(share / (1 - share) * math.fsum(value * value for value in values))
