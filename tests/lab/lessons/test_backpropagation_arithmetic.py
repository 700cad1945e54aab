"""Backpropagation by hand against formulas that are written out in another way here."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from dataclasses import replace

import pytest

from tui_trainer.lab.lessons.backpropagation.arithmetic import (
    COLUMNS,
    ETAS,
    START,
    HiddenChain,
    OutputChain,
    TwoLayerNet,
    after_iterations,
    chains,
    error_curve,
    finite_differences,
    forward,
    gradients,
    sigmoid,
    table,
    updated,
)

ODD = TwoLayerNet(
    inputs=(-0.7, 1.9), targets=(0.01, 0.99), weights=(0.3, -1.2, 2.5, 0.0, -0.4, 3.1, 0.9, -2.2)
)

HEADS = (
    "iteration w1 w2 w3 w4 w5 w6 w7 w8 h1 a_h1 h2 a_h2 o1 a_o1 o2 a_o2 E1 E2 E_total "
    "dE_dw1 dE_dw2 dE_dw3 dE_dw4 dE_dw5 dE_dw6 dE_dw7 dE_dw8"
)


def written_out(
    inputs: tuple[float, float],
    targets: tuple[float, float],
    weights: tuple[float, ...],
    eta: float,
    iterations: int,
) -> Iterator[list[float]]:
    """Yield the rows of the table, every derivative as one formula."""
    i1, i2 = inputs
    t1, t2 = targets
    w1, w2, w3, w4, w5, w6, w7, w8 = weights
    for n in range(iterations + 1):
        h1 = w1 * i1 + w2 * i2
        h2 = w3 * i1 + w4 * i2
        p = 1 / (1 + math.e**-h1)
        q = 1 / (1 + math.e**-h2)
        o1 = w5 * p + w6 * q
        o2 = w7 * p + w8 * q
        r = 1 / (1 + math.e**-o1)
        s = 1 / (1 + math.e**-o2)
        e1 = 0.5 * (t1 - r) ** 2
        e2 = 0.5 * (t2 - s) ** 2
        d1 = ((r - t1) * r * (1 - r) * w5 + (s - t2) * s * (1 - s) * w7) * p * (1 - p) * i1
        d2 = ((r - t1) * r * (1 - r) * w5 + (s - t2) * s * (1 - s) * w7) * p * (1 - p) * i2
        d3 = ((r - t1) * r * (1 - r) * w6 + (s - t2) * s * (1 - s) * w8) * q * (1 - q) * i1
        d4 = ((r - t1) * r * (1 - r) * w6 + (s - t2) * s * (1 - s) * w8) * q * (1 - q) * i2
        d5 = (r - t1) * r * (1 - r) * p
        d6 = (r - t1) * r * (1 - r) * q
        d7 = (s - t2) * s * (1 - s) * p
        d8 = (s - t2) * s * (1 - s) * q
        yield [
            *(n, w1, w2, w3, w4, w5, w6, w7, w8),
            *(h1, p, h2, q, o1, r, o2, s, e1, e2, e1 + e2),
            *(d1, d2, d3, d4, d5, d6, d7, d8),
        ]
        w1, w2, w3, w4 = w1 - eta * d1, w2 - eta * d2, w3 - eta * d3, w4 - eta * d4
        w5, w6, w7, w8 = w5 - eta * d5, w6 - eta * d6, w7 - eta * d7, w8 - eta * d8


def test_the_columns_are_those_of_the_course() -> None:
    assert " ".join(COLUMNS) == HEADS


@pytest.mark.parametrize("eta", [0.1, 0.2, 0.5, 0.8, 1.0, 2.0])
@pytest.mark.parametrize("net", [START, ODD], ids=["given", "odd"])
def test_fifty_iterations_equal_the_written_out_formulas(net: TwoLayerNet, eta: float) -> None:
    expected = list(written_out(net.inputs, net.targets, net.weights, eta, 50))
    rows = list(table(net, eta, 50))
    assert len(rows) == 51
    for row, other in zip(rows, expected, strict=True):
        assert len(row) == len(COLUMNS)
        for name, value, wanted in zip(COLUMNS, row, other, strict=True):
            assert value == pytest.approx(wanted, abs=1e-9, rel=0), name


def test_the_learning_rates_of_the_course() -> None:
    assert ETAS == (0.1, 0.2, 0.5, 0.8, 1.0, 2.0)


def test_the_start_has_the_numbers_of_the_course() -> None:
    row = dict(zip(COLUMNS, next(table(START, 1.0, 0)), strict=True))
    assert row["iteration"] == 0
    assert START.inputs == (0.05, 0.10)
    assert START.targets == (0.5, 0.5)
    assert START.weights == (0.15, 0.20, 0.25, 0.30, 0.40, 0.45, 0.50, 0.55)
    known = {
        "h1": 0.0275,
        "a_h1": 0.506875,
        "a_o1": 0.606478,
        "a_o2": 0.630481,
        "E_total": 0.014181,
        "dE_dw5": 0.012881,
        "dE_dw1": 0.000317,
    }
    assert {name: round(row[name], 6) for name in known} == known


@pytest.mark.parametrize("eta", ETAS)
def test_the_error_falls_from_the_start_at_every_learning_rate(eta: float) -> None:
    errors = error_curve(START, eta, 68)
    assert len(errors) == 69
    assert round(errors[0], 6) == 0.014181
    assert all(after < before for before, after in itertools.pairwise(errors))


def test_a_higher_learning_rate_gets_further_in_the_same_iterations() -> None:
    ends = [error_curve(START, eta, 50)[-1] for eta in ETAS]
    assert ends == sorted(ends, reverse=True)


@pytest.mark.parametrize("net", [START, ODD, after_iterations(START, 2.0, 20)])
def test_the_gradients_equal_finite_differences(net: TwoLayerNet) -> None:
    assert finite_differences(net) == pytest.approx(gradients(net), abs=1e-10)
    plus = replace(net, weights=(*net.weights[:3], net.weights[3] + 1e-4, *net.weights[4:]))
    minus = replace(net, weights=(*net.weights[:3], net.weights[3] - 1e-4, *net.weights[4:]))
    slope = (forward(plus).E_total - forward(minus).E_total) / 2e-4
    assert gradients(net)[3] == pytest.approx(slope, abs=1e-8)


def test_every_factor_of_a_chain_is_the_named_derivative() -> None:
    now = forward(ODD)
    first, sixth = chains(ODD)[0], chains(ODD)[5]
    assert isinstance(first, HiddenChain)
    assert isinstance(sixth, OutputChain)
    assert (sixth.error, sixth.input) == (now.a_o1 - 0.01, now.a_h2)
    epsilon = 1e-6
    slope = (sigmoid(now.o1 + epsilon) - sigmoid(now.o1 - epsilon)) / (2 * epsilon)
    assert sixth.slope == pytest.approx(slope, abs=1e-8)
    assert [branch[2] for branch in first.branches] == [-0.4, 0.9]
    assert first.total == sum(first.shares)
    assert first.shares[0] != 0 != first.shares[1]
    assert first.gradient == pytest.approx(sum(first.shares) * first.slope * -0.7, rel=1e-12)


def test_without_the_parentheses_the_first_gradient_is_33_times_too_large() -> None:
    """The number of the text: why the parentheses matter."""
    chain = chains(START)[0]
    assert isinstance(chain, HiddenChain)
    one, two = chain.shares
    assert round((one + two * chain.slope * chain.input) / chain.gradient) == 33


def test_an_update_leaves_inputs_and_targets_alone_and_moves_all_weights_at_once() -> None:
    after = updated(ODD, 0.5)
    assert (after.inputs, after.targets) == (ODD.inputs, ODD.targets)
    moves = [(old - new) / 0.5 for old, new in zip(ODD.weights, after.weights, strict=True)]
    assert moves == pytest.approx(gradients(ODD), abs=1e-12)
    assert after_iterations(ODD, 0.5, 0) == ODD
    assert after_iterations(ODD, 0.5, 2) == updated(after, 0.5)


@pytest.mark.parametrize("x", [-1e308, -800.0, -1.0, 0.0, 1.0, 800.0, 1e308, math.inf, -math.inf])
def test_the_sigmoid_never_overflows_and_is_even(x: float) -> None:
    assert 0 <= sigmoid(x) <= 1
    assert sigmoid(x) + sigmoid(-x) == pytest.approx(1.0, abs=1e-15)


@pytest.mark.parametrize("size", [50.0, 1e10, 1e200, 1e308, math.nan])
@pytest.mark.parametrize("eta", [1e-9, 1e3, 1e308])
def test_odd_numbers_never_raise(size: float, eta: float) -> None:
    net = TwoLayerNet(inputs=(size, -size), targets=(-size, size), weights=(size, -size) * 4)
    rows = list(table(net, eta, 5))
    assert [len(row) for row in rows] == [len(COLUMNS)] * 6
    assert len(finite_differences(net)) == 8


def test_a_saturated_net_does_not_change() -> None:
    far = replace(START, weights=(*START.weights[:4], *(2_000.0,) * 4))
    assert gradients(far) == (0.0,) * 8
    assert error_curve(far, 1.0, 3) == (0.25,) * 4


def test_a_net_has_eight_weights() -> None:
    with pytest.raises(ValueError, match="got 7"):
        TwoLayerNet(weights=(0.1,) * 7)
