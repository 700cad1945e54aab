"""How much the gradients of batches agree, in plain arithmetic on their scalar products.

The gradients come as the table of their products: ``products[i][j]`` is gᵢ·gⱼ, of batches of equal
size. The gradient of several batches together is the mean of theirs, and so are its products.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence

Products = Sequence[Sequence[float]]


def joined(products: Products, count: int) -> list[list[float]]:
    """Return the products of the gradients of ``count`` batches in a row, put together.

    Batches that are left over at the end are left out.
    """
    groups = range(len(products) // count)

    def product(one: int, other: int) -> float:
        rows = products[one * count : (one + 1) * count]
        cells = (cell for row in rows for cell in row[other * count : (other + 1) * count])
        return math.fsum(cells) / count**2

    return [[product(i, j) for j in groups] for i in groups]


def cosines(products: Products) -> list[float]:
    """Return the cosine between the gradients of each two batches; none where one is 0."""
    found = []
    for i in range(len(products)):
        for j in range(i):
            square = products[i][i] * products[j][j]
            if square > 0:
                found.append(products[i][j] / math.sqrt(square))
    return found


def noise_scale(products: Products, size: int) -> float | None:
    """Return the gradient noise scale in images; None where it cannot be told from nothing.

    It is the trace of the gradient's covariance over the squared length of the true gradient, B
    simple of S. McCandlish, J. Kaplan and D. Amodei, "An Empirical Model of Large-Batch Training",
    arXiv 1812.06162, 2018. As in ``findings.learning_rates``, each product is a share of the
    mean of the two squares. It estimates s = |G|² / (|G|² + trace / n), so that B = n (1 − s) / s.

    Args:
        products: Of batches of ``size`` images each.
        size: Images of a batch.
    """
    total = len(products)
    if total < 3:
        return None
    pairs = total * (total - 1) / 2
    of_each = [
        math.fsum(_share(products, i, j) for j in range(total) if j != i) for i in range(total)
    ]
    signal = math.fsum(of_each) / 2 / pairs
    # The jackknife's standard error, each batch left out once: their pairs are not independent.
    fewer = (total - 1) * (total - 2) / 2
    without = [(pairs * signal - own) / fewer for own in of_each]
    centre = statistics.fmean(without)
    error = math.sqrt((total - 1) / total * math.fsum((one - centre) ** 2 for one in without))
    if not signal > max(0.0, 2 * error):
        return None
    return max(0.0, size * (1 - signal) / signal)


def expected_cosine(scale: float, size: int) -> float:
    """Return the cosine between the gradients of two batches of ``size`` images: 1 / (1 + B / n).

    |G|² over |G|² + trace / n, with the noise scale B = trace / |G|².
    """
    return 1 / (1 + scale / size)


def scaled_rate(rate: float, size: int, usual: int) -> float:
    """Return the learning rate of a batch size, in proportion to that of the usual one.

    Source: P. Goyal and others, "Accurate, Large Minibatch SGD", arXiv 1706.02677, 2017.
    """
    return rate * size / usual


def _share(products: Products, one: int, other: int) -> float:
    """Return the product of two gradients as a share of the mean of their squares."""
    square = (products[one][one] + products[other][other]) / 2
    return products[one][other] / square if square else 0.0
