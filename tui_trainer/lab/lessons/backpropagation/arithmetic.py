"""Backpropagation by hand: a network of two inputs, two hidden units and two outputs.

Every unit is a sigmoid and none has a bias. w1 and w2 lead from i1 and i2 into h1, w3 and w4 into
h2; w5 and w6 lead from h1 and h2 into o1, w7 and w8 into o2. The error is the sum of E1 and E2,
half a squared difference each. Weights, inputs and targets that are too large give ``inf`` or
``nan``, never an exception.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

WEIGHTS = tuple(f"w{number}" for number in range(1, 9))
"""The names of the weights."""

ETAS = (0.1, 0.2, 0.5, 0.8, 1.0, 2.0)
"""The learning rates whose error curves the course asks for."""

NUDGE = 1e-5
"""How far a finite difference goes to either side: its own error and that of rounding are small."""


class Forward(NamedTuple):
    """What goes forward through the network, in the order in which it is worked out."""

    h1: float
    a_h1: float
    h2: float
    a_h2: float
    o1: float
    a_o1: float
    o2: float
    a_o2: float
    E1: float
    E2: float
    E_total: float


VALUES = Forward._fields
"""The names of what goes forward."""

COLUMNS = ("iteration", *WEIGHTS, *VALUES, *(f"dE_d{weight}" for weight in WEIGHTS))
"""The columns of the table of iterations."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Network:
    """The network and its one example.

    Attributes:
        inputs: i1 and i2.
        targets: t1 and t2, what the outputs should be.
        weights: w1 to w8.
    """

    inputs: tuple[float, float] = (0.05, 0.10)
    targets: tuple[float, float] = (0.5, 0.5)
    weights: tuple[float, ...] = (0.15, 0.20, 0.25, 0.30, 0.40, 0.45, 0.50, 0.55)

    def __post_init__(self) -> None:
        if len(self.weights) != len(WEIGHTS):
            raise ValueError(f"{len(self.weights)} weights for a network of {len(WEIGHTS)}")


START = Network()
"""The network as the walk begins."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OutputChain:
    """The chain from the error back to one of w5 to w8: a product of three.

    Attributes:
        error: ∂E/∂a_o = a_o − t.
        slope: ∂a_o/∂o = a_o · (1 − a_o).
        fed: ∂o/∂w = a_h, what the weight is multiplied by.
    """

    error: float
    slope: float
    fed: float

    @property
    def gradient(self) -> float:
        """∂E/∂w."""
        return self.error * self.slope * self.fed


@dataclass(frozen=True, slots=True, kw_only=True)
class HiddenChain:
    """The chain from the error back to one of w1 to w4: a sum over both outputs times two.

    Attributes:
        branches: For either output ∂E/∂a_o, ∂a_o/∂o and ∂o/∂a_h, the weight between the two.
        slope: ∂a_h/∂h = a_h · (1 − a_h).
        fed: ∂h/∂w = i, what the weight is multiplied by.
    """

    branches: tuple[tuple[float, float, float], tuple[float, float, float]]
    slope: float
    fed: float

    @property
    def shares(self) -> tuple[float, float]:
        """∂E1/∂a_h and ∂E2/∂a_h, each the product of its branch."""
        one, two = self.branches
        return math.prod(one), math.prod(two)

    @property
    def total(self) -> float:
        """∂E/∂a_h, the sum in the parentheses: a hidden unit has a share in both errors."""
        return sum(self.shares)

    @property
    def gradient(self) -> float:
        """∂E/∂w: what follows multiplies the whole sum, not its second half."""
        return self.total * self.slope * self.fed


Chain = OutputChain | HiddenChain


def sigmoid(x: float) -> float:
    """Return 1 / (1 + e⁻ˣ); the power is always taken of a negative number and cannot overflow."""
    if x >= 0:
        return 1 / (1 + math.exp(-x))
    power = math.exp(x)
    return power / (1 + power)


def forward(network: Network) -> Forward:
    """Return what goes forward: weighted sums, their sigmoids, and E = ½ (t − a)²."""
    (i1, i2), (t1, t2) = network.inputs, network.targets
    w1, w2, w3, w4, w5, w6, w7, w8 = network.weights
    h1, h2 = w1 * i1 + w2 * i2, w3 * i1 + w4 * i2
    a_h1, a_h2 = sigmoid(h1), sigmoid(h2)
    o1, o2 = w5 * a_h1 + w6 * a_h2, w7 * a_h1 + w8 * a_h2
    a_o1, a_o2 = sigmoid(o1), sigmoid(o2)
    # A product: the power of a float raises where a product becomes inf.
    e1, e2 = (t1 - a_o1) * (t1 - a_o1) / 2, (t2 - a_o2) * (t2 - a_o2) / 2
    return Forward(h1, a_h1, h2, a_h2, o1, a_o1, o2, a_o2, e1, e2, e1 + e2)


def chains(network: Network, now: Forward | None = None) -> tuple[Chain, ...]:
    """Return the chain of each weight, w1 to w8, by the chain rule.

    Args:
        network: The network.
        now: What goes forward through it, if that is known already.
    """
    now = forward(network) if now is None else now
    hidden, outputs = (now.a_h1, now.a_h2), (now.a_o1, now.a_o2)
    errors = [a - t for a, t in zip(outputs, network.targets, strict=True)]
    slopes = [a * (1 - a) for a in outputs]
    # Weight 4 + 2k + j leads from hidden unit j into output k.
    leads = [[network.weights[4 + 2 * k + j] for k in range(2)] for j in range(2)]
    first = [
        HiddenChain(
            branches=((errors[0], slopes[0], leads[j][0]), (errors[1], slopes[1], leads[j][1])),
            slope=hidden[j] * (1 - hidden[j]),
            fed=fed,
        )
        for j in range(2)
        for fed in network.inputs
    ]
    second = [
        OutputChain(error=errors[k], slope=slopes[k], fed=fed) for k in range(2) for fed in hidden
    ]
    return (*first, *second)


def gradients(network: Network) -> tuple[float, ...]:
    """Return ∂E/∂w1 to ∂E/∂w8 by the chain rule."""
    return tuple(chain.gradient for chain in chains(network))


def finite_differences(network: Network, nudge: float = NUDGE) -> tuple[float, ...]:
    """Return (E(w + ε) − E(w − ε)) / 2ε for each weight: the gradients without any calculus."""

    def error(place: int, change: float) -> float:
        weights = list(network.weights)
        weights[place] += change
        return forward(replace(network, weights=tuple(weights))).E_total

    return tuple(
        (error(place, nudge) - error(place, -nudge)) / (2 * nudge) for place in range(len(WEIGHTS))
    )


def updated(network: Network, eta: float, slopes: Sequence[float] | None = None) -> Network:
    """Return the network after one step of gradient descent: w − η · ∂E/∂w, all at once.

    Args:
        network: The network before it.
        eta: The learning rate η.
        slopes: The eight gradients, if they are known already.
    """
    slopes = gradients(network) if slopes is None else slopes
    weights = tuple(w - eta * slope for w, slope in zip(network.weights, slopes, strict=True))
    return replace(network, weights=weights)


def at_iteration(network: Network, eta: float, iteration: int) -> Network:
    """Return the network after so many steps; 0 is the start."""
    for _ in range(iteration):
        network = updated(network, eta)
    return network


def table(network: Network, eta: float, iterations: int) -> Iterator[tuple[float, ...]]:
    """Yield the rows of the table of iterations, in the order of :data:`COLUMNS`.

    Row 0 is the start; row n has the weights after n steps, and the values and gradients that
    belong to these weights. There are ``iterations`` + 1 rows.
    """
    for iteration in range(iterations + 1):
        now = forward(network)
        slopes = tuple(chain.gradient for chain in chains(network, now))
        yield (iteration, *network.weights, *now, *slopes)
        network = updated(network, eta, slopes)


def error_curve(network: Network, eta: float, iterations: int) -> tuple[float, ...]:
    """Return E_total at the start and after each step."""
    place = COLUMNS.index("E_total")
    return tuple(row[place] for row in table(network, eta, iterations))
