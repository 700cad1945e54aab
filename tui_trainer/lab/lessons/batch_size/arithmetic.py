"""The agreement of batch gradients, in plain Python on their dot products.

The gradients are given by their Gram matrix: ``products[i][j]`` is gᵢ·gⱼ, for batches of equal
size. The gradient of joined batches is the mean of their gradients, so the products average too.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence

Products = Sequence[Sequence[float]]


def joined(products: Products, count: int) -> list[list[float]]:
    """Return the products after joining each ``count`` consecutive batches.

    Leftover batches at the end are dropped.
    """
    groups = range(len(products) // count)

    def product(one: int, other: int) -> float:
        rows = products[one * count : (one + 1) * count]
        cells = (cell for row in rows for cell in row[other * count : (other + 1) * count])
        return math.fsum(cells) / count**2

    return [[product(i, j) for j in groups] for i in groups]


def cosines(products: Products) -> list[float]:
    """Return the cosine of each pair of gradients; pairs with a zero gradient are left out."""
    found = []
    for i in range(len(products)):
        for j in range(i):
            square = products[i][i] * products[j][j]
            if square > 0:
                found.append(products[i][j] / math.sqrt(square))
    return found


def noise_scale(products: Products, size: int) -> float | None:
    """Return the gradient noise scale in images; None if the signal is not significant.

    It is the trace of the gradient's covariance over the squared norm of the true gradient, the
    "simple" B of S. McCandlish, J. Kaplan and D. Amodei, "An Empirical Model of Large-Batch
    Training", arXiv 1812.06162, 2018. As in ``findings.learning_rates``, each product is divided by
    the mean of the two squares. This estimates s = |G|² / (|G|² + trace / n); B = n (1 − s) / s.

    Args:
        products: The products for batches of ``size`` images each.
        size: The batch size.
    """
    total = len(products)
    if total < 3:
        return None
    pairs = total * (total - 1) / 2
    of_each = [
        math.fsum(_share(products, i, j) for j in range(total) if j != i) for i in range(total)
    ]
    signal = math.fsum(of_each) / 2 / pairs
    # Jackknife standard error over batches, because their pairs are not independent.
    fewer = (total - 1) * (total - 2) / 2
    without = [(pairs * signal - batch) / fewer for batch in of_each]
    center = statistics.fmean(without)
    error = math.sqrt((total - 1) / total * math.fsum((one - center) ** 2 for one in without))
    if not signal > max(0.0, 2 * error):
        return None
    return max(0.0, size * (1 - signal) / signal)


def expected_cosine(scale: float, size: int) -> float:
    """Return the expected cosine of two batch gradients: 1 / (1 + B / n).

    It is |G|² / (|G|² + trace / n), with the noise scale B = trace / |G|².
    """
    return 1 / (1 + scale / size)


def scaled_lr(lr: float, size: int, base_size: int) -> float:
    """Return the learning rate for a batch size by the linear scaling rule.

    Source: P. Goyal and others, "Accurate, Large Minibatch SGD", arXiv 1706.02677, 2017.
    """
    return lr * size / base_size


def _share(products: Products, one: int, other: int) -> float:
    """Return the product of two gradients divided by the mean of their squares."""
    square = (products[one][one] + products[other][other]) / 2
    return products[one][other] / square if square else 0.0
