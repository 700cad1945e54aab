"""The walk through the 2-2-2 network: its steps and their formulas."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from tui_trainer.lab.lessons.backpropagation.arithmetic import (
    VALUES,
    WEIGHTS,
    Chain,
    Forward,
    HiddenChain,
    OutputChain,
    TwoLayerNet,
    chains,
    forward,
    updated,
)
from tui_trainer.lab.lessons.backpropagation.diagram import drawing, number

Formula = tuple[str, str, str, str]
"""The left side, the right side in symbols and in numbers, and the result."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One step of the walk.

    Attributes:
        title: What is computed.
        lines: The formula in symbols and in numbers.
        at: The names that the drawing marks.
        known: How many of the forward values are computed so far.
        after: The network that the drawing shows, if it is not the one of the walk.
    """

    title: str
    lines: tuple[str, ...]
    at: tuple[str, ...] = ()
    known: int = len(VALUES)
    after: TwoLayerNet | None = None

    def drawing(self, net: TwoLayerNet) -> str:
        """Return the network with its values, at most 74 columns wide."""
        return drawing(self.after or net, known=self.known, marked=self.at)


def walk(net: TwoLayerNet, eta: float) -> tuple[Step, ...]:
    """Return the steps: forward to E, back to each weight, and the update."""
    gradient_chains = chains(net)
    return (
        Step(
            title="the start: inputs, weights and targets",
            lines=("σ(x) = 1 / (1 + e⁻ˣ)        E = E1 + E2", "a = σ(h) or σ(o)"),
            known=0,
        ),
        *_forwards(net),
        *_backwards(net, gradient_chains),
        *_updates(net, eta, gradient_chains),
    )


def _factor(value: float) -> str:
    return number(value) if value >= 0 else f"({number(value)})"


def _product(*factors: float) -> str:
    return " · ".join(map(_factor, factors))


def _lines(formula: Formula) -> tuple[str, ...]:
    """Return a formula in three lines with aligned equality signs."""
    left, symbols, numbers, result = formula
    blank = " " * len(left)
    return f"{left} = {symbols}", f"{blank} = {numbers}", f"{blank} = {result}"


def _forwards(net: TwoLayerNet) -> Iterator[Step]:
    now = forward(net)
    (i1, i2), (t1, t2) = net.inputs, net.targets
    w = net.weights

    def weighted_sum_of(
        unit: str, first: int, names: tuple[str, str], values: tuple[float, float]
    ) -> Formula:
        one, two = (f"w{first + 1}·{names[0]}", f"w{first + 2}·{names[1]}")
        numbers = f"{_product(w[first], values[0])} + {_product(w[first + 1], values[1])}"
        return unit, f"{one} + {two}", numbers, number(getattr(now, unit))

    def activation_of(unit: str) -> Formula:
        inner = number(getattr(now, unit))
        return f"a_{unit}", f"σ({unit})", f"σ({inner})", number(getattr(now, f"a_{unit}"))

    def error_of(place: int, target: float) -> Formula:
        out = getattr(now, f"a_o{place}")
        numbers = f"½ ({number(target)} − {_factor(out)})²"
        error = number(getattr(now, f"E{place}"))
        return f"E{place}", f"½ (t{place} − a_o{place})²", numbers, error

    inputs, hidden = (("i1", "i2"), (i1, i2)), (("a_h1", "a_h2"), (now.a_h1, now.a_h2))
    whole = f"{number(now.E1)} + {number(now.E2)}"
    formulas: tuple[tuple[Formula, tuple[str, ...]], ...] = (
        (weighted_sum_of("h1", 0, *inputs), ("w1", "w2", "h1")),
        (activation_of("h1"), ("a_h1",)),
        (weighted_sum_of("h2", 2, *inputs), ("w3", "w4", "h2")),
        (activation_of("h2"), ("a_h2",)),
        (weighted_sum_of("o1", 4, *hidden), ("w5", "w6", "o1")),
        (activation_of("o1"), ("a_o1",)),
        (weighted_sum_of("o2", 6, *hidden), ("w7", "w8", "o2")),
        (activation_of("o2"), ("a_o2",)),
        (error_of(1, t1), ("t1", "E1")),
        (error_of(2, t2), ("t2", "E2")),
        (("E_total", "E1 + E2", whole, number(now.E_total)), ("E_total",)),
    )
    for known, (formula, at) in enumerate(formulas, start=1):
        title = f"forward: {formula[0]}"
        yield Step(title=title, lines=_lines(formula), at=at, known=known)


def _backwards(net: TwoLayerNet, gradient_chains: Sequence[Chain]) -> Iterator[Step]:
    now = forward(net)
    outputs = [chain for chain in gradient_chains if isinstance(chain, OutputChain)]
    hiddens = [chain for chain in gradient_chains if isinstance(chain, HiddenChain)]
    for place in (1, 2):
        yield from _through_output(net, now, place, outputs[2 * place - 2 : 2 * place])
    for place in (1, 2):
        yield from _through_hidden(now, place, hiddens[2 * place - 2 : 2 * place])


def _through_output(
    net: TwoLayerNet, now: Forward, k: int, pair: Sequence[OutputChain]
) -> Iterator[Step]:
    """Yield the steps from the error through output k to its two weights."""
    out, target, title = getattr(now, f"a_o{k}"), net.targets[k - 1], f"back through o{k}: "
    chain = pair[0]
    error = (f"∂E/∂a_o{k}", f"a_o{k} − t{k}", f"{number(out)} − {_factor(target)}")
    slope = (f"∂a_o{k}/∂o{k}", f"a_o{k} · (1 − a_o{k})", f"{_factor(out)} · (1 − {number(out)})")
    yield Step(
        title=title + error[0],
        lines=(*_lines((*error, number(chain.error))), f"E{3 - k} does not depend on a_o{k}."),
        at=(f"E{k}", f"a_o{k}"),
    )
    yield Step(
        title=title + slope[0], lines=_lines((*slope, number(chain.slope))), at=(f"a_o{k}", f"o{k}")
    )
    for j, chain in enumerate(pair, start=1):
        weight = f"w{2 + 2 * k + j}"
        yield Step(
            title=f"{title}∂E/∂{weight}, a product of three factors",
            lines=(
                f"∂o{k}/∂{weight} = a_h{j} = {number(chain.input)}",
                *_lines(
                    (
                        f"∂E/∂{weight}",
                        f"{error[0]} · {slope[0]} · ∂o{k}/∂{weight}",
                        _product(chain.error, chain.slope, chain.input),
                        number(chain.gradient),
                    )
                ),
            ),
            at=(f"E{k}", f"a_o{k}", f"o{k}", weight),
        )


def _through_hidden(now: Forward, j: int, pair: Sequence[HiddenChain]) -> Iterator[Step]:
    """Yield the steps from both errors through hidden unit j to its two weights."""
    chain, title, active = pair[0], f"back through h{j}: ", getattr(now, f"a_h{j}")
    for k, (branch, share) in enumerate(zip(chain.branches, chain.shares, strict=True), start=1):
        weight, left = f"w{2 + 2 * k + j}", f"∂E{k}/∂a_h{j}"
        symbols = f"∂E{k}/∂a_o{k} · ∂a_o{k}/∂o{k} · ∂o{k}/∂a_h{j}"
        yield Step(
            title=f"{title}{left}",
            lines=(
                f"∂o{k}/∂a_h{j} = {weight} = {number(branch[2])}",
                *_lines((left, symbols, _product(*branch), number(share))),
            ),
            at=(f"E{k}", f"a_o{k}", f"o{k}", weight, f"a_h{j}"),
        )
    both = f"∂E1/∂a_h{j} + ∂E2/∂a_h{j}"
    shares = " + ".join(map(_factor, chain.shares))
    slope = (f"∂a_h{j}/∂h{j}", f"a_h{j} · (1 − a_h{j})", f"{_factor(active)} · (1 − {active:.6g})")
    yield Step(
        title=f"{title}∂E/∂a_h{j}, the sum over both outputs",
        lines=_lines((f"∂E/∂a_h{j}", both, shares, number(chain.total))),
        at=("E1", "E2", f"a_h{j}"),
    )
    yield Step(
        title=title + slope[0], lines=_lines((*slope, number(chain.slope))), at=(f"a_h{j}", f"h{j}")
    )
    yield from _into_hidden(j, pair, (both, shares, slope[0]))


def _into_hidden(
    j: int, pair: Sequence[HiddenChain], symbols: tuple[str, str, str]
) -> Iterator[Step]:
    """Yield the steps to the two weights into hidden unit j.

    Args:
        j: The number of the unit, from 1.
        pair: The chains to the two weights.
        symbols: The sum over both outputs in symbols and in numbers, and the unit's derivative.
    """
    both, shares, slope = symbols
    for i, chain in enumerate(pair, start=1):
        weight = f"w{2 * j - 2 + i}"
        one, two = chain.shares
        wrong = one + two * chain.slope * chain.input
        yield Step(
            title=f"back through h{j}: ∂E/∂{weight}, note the parentheses",
            lines=(
                f"∂h{j}/∂{weight} = i{i} = {number(chain.input)}",
                *_lines(
                    (
                        f"∂E/∂{weight}",
                        f"({both}) · {slope} · ∂h{j}/∂{weight}",
                        f"({shares}) · {_product(chain.slope, chain.input)}",
                        number(chain.gradient),
                    )
                ),
                f"Without the parentheses the result would be {number(wrong)}.",
            ),
            at=("E1", "E2", f"a_h{j}", f"h{j}", weight),
        )


def _updates(net: TwoLayerNet, eta: float, gradient_chains: Sequence[Chain]) -> Iterator[Step]:
    """Yield the eight gradients, the update, and the forward pass after it."""
    slopes = [chain.gradient for chain in gradient_chains]
    after = updated(net, eta, slopes)
    halves = [f"∂E/∂{name} = {number(slope)}" for name, slope in zip(WEIGHTS, slopes, strict=True)]
    yield Step(
        title="the eight gradients",
        lines=tuple(
            f"{one:<28}{two}".rstrip() for one, two in zip(halves[:4], halves[4:], strict=True)
        ),
        at=WEIGHTS,
    )
    rows = zip(WEIGHTS, net.weights, slopes, after.weights, strict=True)
    yield Step(
        title=f"the update: w − η · ∂E/∂w with η = {eta:g}, all eight at once",
        lines=tuple(
            f"{name} ← {number(w)} − {eta:g} · {_factor(slope)} = {number(new)}"
            for name, w, slope, new in rows
        ),
        at=WEIGHTS,
    )
    before, now = forward(net).E_total, forward(after).E_total
    yield Step(
        title="forward again with the updated weights",
        lines=(
            f"E_total before = {number(before)}",
            f"E_total after  = {number(now)}        change {number(now - before)}",
        ),
        after=after,
        at=("E_total",),
    )
