"""Backpropagation by hand: a network of two inputs, two hidden units and two outputs.

Every unit is a sigmoid without a bias. w1 and w2 lead from i1 and i2 into h1, w3 and w4 into h2; w5
and w6 lead from h1 and h2 into o1, w7 and w8 into o2. The error is the sum of E1 and E2, half a
squared difference each. Weights, inputs and targets that are too large give ``inf`` or ``nan``,
never an exception.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

WEIGHTS = tuple(f"w{number}" for number in range(1, 9))
"""The names of the weights."""

ETAS = (0.1, 0.2, 0.5, 0.8, 1.0, 2.0)
"""The learning rates of the course's error curves."""

EPSILON = 1e-5
"""Step of the central finite difference; truncation and rounding errors are both small."""


class Forward(NamedTuple):
    """The values of a forward pass, in the order of computation."""

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
"""The names of the forward values."""

COLUMNS = ("iteration", *WEIGHTS, *VALUES, *(f"dE_d{weight}" for weight in WEIGHTS))
"""The columns of the iteration table."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TwoLayerNet:
    """The network and its one example.

    Attributes:
        inputs: i1 and i2.
        targets: t1 and t2.
        weights: w1 to w8.
    """

    inputs: tuple[float, float] = (0.05, 0.10)
    targets: tuple[float, float] = (0.5, 0.5)
    weights: tuple[float, ...] = (0.15, 0.20, 0.25, 0.30, 0.40, 0.45, 0.50, 0.55)

    def __post_init__(self) -> None:
        if len(self.weights) != len(WEIGHTS):
            raise ValueError(f"expected {len(WEIGHTS)} weights, got {len(self.weights)}")


START = TwoLayerNet()
"""The network at iteration 0."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OutputChain:
    """The chain rule from the error back to one of w5 to w8: a product of three factors.

    Attributes:
        error: ∂E/∂a_o = a_o − t.
        slope: ∂a_o/∂o = a_o · (1 − a_o).
        input: ∂o/∂w = a_h, the input of the weight.
    """

    error: float
    slope: float
    input: float

    @property
    def gradient(self) -> float:
        """∂E/∂w."""
        return self.error * self.slope * self.input


@dataclass(frozen=True, slots=True, kw_only=True)
class HiddenChain:
    """The chain rule from the error back to one of w1 to w4: a sum over both outputs, two factors.

    Attributes:
        branches: For each output ∂E/∂a_o, ∂a_o/∂o and ∂o/∂a_h, the weight between hidden unit and
            output.
        slope: ∂a_h/∂h = a_h · (1 − a_h).
        input: ∂h/∂w = i, the input of the weight.
    """

    branches: tuple[tuple[float, float, float], tuple[float, float, float]]
    slope: float
    input: float

    @property
    def shares(self) -> tuple[float, float]:
        """∂E1/∂a_h and ∂E2/∂a_h, the product of each branch."""
        one, two = self.branches
        return math.prod(one), math.prod(two)

    @property
    def total(self) -> float:
        """∂E/∂a_h, the sum in parentheses: a hidden unit contributes to both errors."""
        return sum(self.shares)

    @property
    def gradient(self) -> float:
        """∂E/∂w: the other two factors multiply the whole sum, not only its second term."""
        return self.total * self.slope * self.input


Chain = OutputChain | HiddenChain


def sigmoid(x: float) -> float:
    """Return 1 / (1 + e⁻ˣ); the exponent is never positive, so it cannot overflow."""
    if x >= 0:
        return 1 / (1 + math.exp(-x))
    power = math.exp(x)
    return power / (1 + power)


def forward(net: TwoLayerNet) -> Forward:
    """Return the forward values: weighted sums, their sigmoids, and E = ½ (t − a)²."""
    (i1, i2), (t1, t2) = net.inputs, net.targets
    w1, w2, w3, w4, w5, w6, w7, w8 = net.weights
    h1, h2 = w1 * i1 + w2 * i2, w3 * i1 + w4 * i2
    a_h1, a_h2 = sigmoid(h1), sigmoid(h2)
    o1, o2 = w5 * a_h1 + w6 * a_h2, w7 * a_h1 + w8 * a_h2
    a_o1, a_o2 = sigmoid(o1), sigmoid(o2)
    # Products, not powers: float ** 2 raises OverflowError where a product becomes inf.
    e1, e2 = (t1 - a_o1) * (t1 - a_o1) / 2, (t2 - a_o2) * (t2 - a_o2) / 2
    return Forward(h1, a_h1, h2, a_h2, o1, a_o1, o2, a_o2, e1, e2, e1 + e2)


def chains(net: TwoLayerNet, values: Forward | None = None) -> tuple[Chain, ...]:
    """Return the chain-rule factors of each weight, w1 to w8.

    Args:
        net: The network.
        values: Its forward values, if they are known already.
    """
    values = forward(net) if values is None else values
    hidden, outputs = (values.a_h1, values.a_h2), (values.a_o1, values.a_o2)
    errors = [a - t for a, t in zip(outputs, net.targets, strict=True)]
    slopes = [a * (1 - a) for a in outputs]
    # Weight 4 + 2k + j leads from hidden unit j into output k.
    outgoing = [[net.weights[4 + 2 * k + j] for k in range(2)] for j in range(2)]
    first = [
        HiddenChain(
            branches=(
                (errors[0], slopes[0], outgoing[j][0]),
                (errors[1], slopes[1], outgoing[j][1]),
            ),
            slope=hidden[j] * (1 - hidden[j]),
            input=value,
        )
        for j in range(2)
        for value in net.inputs
    ]
    second = [
        OutputChain(error=errors[k], slope=slopes[k], input=value)
        for k in range(2)
        for value in hidden
    ]
    return (*first, *second)


def gradients(net: TwoLayerNet) -> tuple[float, ...]:
    """Return ∂E/∂w1 to ∂E/∂w8 by the chain rule."""
    return tuple(chain.gradient for chain in chains(net))


def finite_differences(net: TwoLayerNet, epsilon: float = EPSILON) -> tuple[float, ...]:
    """Return (E(w + ε) − E(w − ε)) / 2ε for each weight: the gradients without calculus."""

    def error(place: int, change: float) -> float:
        weights = list(net.weights)
        weights[place] += change
        return forward(replace(net, weights=tuple(weights))).E_total

    return tuple(
        (error(place, epsilon) - error(place, -epsilon)) / (2 * epsilon)
        for place in range(len(WEIGHTS))
    )


def updated(net: TwoLayerNet, eta: float, slopes: Sequence[float] | None = None) -> TwoLayerNet:
    """Return the network after one step of gradient descent: w − η · ∂E/∂w, all at once.

    Args:
        net: The network before the step.
        eta: The learning rate η.
        slopes: The eight gradients, if they are known already.
    """
    slopes = gradients(net) if slopes is None else slopes
    weights = tuple(w - eta * slope for w, slope in zip(net.weights, slopes, strict=True))
    return replace(net, weights=weights)


def after_iterations(net: TwoLayerNet, eta: float, iteration: int) -> TwoLayerNet:
    """Return the network after a number of steps."""
    for _ in range(iteration):
        net = updated(net, eta)
    return net


def table(net: TwoLayerNet, eta: float, iterations: int) -> Iterator[tuple[float, ...]]:
    """Yield the ``iterations`` + 1 rows of the iteration table, in the order of :data:`COLUMNS`.

    Row n has the weights after n steps, with the values and gradients of these weights.
    """
    for iteration in range(iterations + 1):
        values = forward(net)
        slopes = tuple(chain.gradient for chain in chains(net, values))
        yield (iteration, *net.weights, *values, *slopes)
        net = updated(net, eta, slopes)


def error_curve(net: TwoLayerNet, eta: float, iterations: int) -> tuple[float, ...]:
    """Return E_total at the start and after each step."""
    place = COLUMNS.index("E_total")
    return tuple(row[place] for row in table(net, eta, iterations))
