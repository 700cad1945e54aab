"""The walk through the network of two, two and two: its steps with their sums."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from tui_trainer.lab.lessons.backpropagation.arithmetic import (
    VALUES,
    WEIGHTS,
    Chain,
    Forward,
    HiddenChain,
    Network,
    OutputChain,
    chains,
    forward,
    updated,
)
from tui_trainer.lab.lessons.backpropagation.diagram import drawing, number

Sum = tuple[str, str, str, str]
"""What is worked out, in symbols, in numbers, and the number that comes out."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One step of the walk.

    Attributes:
        title: What is worked out.
        lines: The sum in symbols and in numbers.
        at: The names that the drawing marks: where the walk is.
        known: How many of the forward values are known by now.
        after: What the drawing shows, if that is not the network that the walk is through.
    """

    title: str
    lines: tuple[str, ...]
    at: tuple[str, ...] = ()
    known: int = len(VALUES)
    after: Network | None = None

    def drawing(self, network: Network) -> str:
        """Return the walk's network with its numbers, at most 74 columns wide."""
        return drawing(self.after or network, known=self.known, marked=self.at)


def walk(network: Network, eta: float) -> tuple[Step, ...]:
    """Return the steps from the inputs forward to E, back to each weight, and to the update."""
    told = chains(network)
    return (
        Step(
            title="before anything is worked out: inputs, weights and targets",
            lines=("σ(x) = 1 / (1 + e⁻ˣ)        E = E1 + E2", "a = σ(h) or σ(o)"),
            known=0,
        ),
        *_forwards(network),
        *_backwards(network, told),
        *_updates(network, eta, told),
    )


def _factor(value: float) -> str:
    return number(value) if value >= 0 else f"({number(value)})"


def _product(*factors: float) -> str:
    return " · ".join(map(_factor, factors))


def _lines(told: Sum) -> tuple[str, ...]:
    """Return a sum below each other, its signs of equality in one column."""
    left, symbols, numbers, result = told
    blank = " " * len(left)
    return f"{left} = {symbols}", f"{blank} = {numbers}", f"{blank} = {result}"


def _forwards(network: Network) -> Iterator[Step]:
    now = forward(network)
    (i1, i2), (t1, t2) = network.inputs, network.targets
    w = network.weights

    def fed(unit: str, first: int, names: tuple[str, str], values: tuple[float, float]) -> Sum:
        one, two = (f"w{first + 1}·{names[0]}", f"w{first + 2}·{names[1]}")
        numbers = f"{_product(w[first], values[0])} + {_product(w[first + 1], values[1])}"
        return unit, f"{one} + {two}", numbers, number(getattr(now, unit))

    def bent(unit: str) -> Sum:
        inner = number(getattr(now, unit))
        return f"a_{unit}", f"σ({unit})", f"σ({inner})", number(getattr(now, f"a_{unit}"))

    def missed(place: int, target: float) -> Sum:
        out = getattr(now, f"a_o{place}")
        numbers = f"½ ({number(target)} − {_factor(out)})²"
        error = number(getattr(now, f"E{place}"))
        return f"E{place}", f"½ (t{place} − a_o{place})²", numbers, error

    inputs, hidden = (("i1", "i2"), (i1, i2)), (("a_h1", "a_h2"), (now.a_h1, now.a_h2))
    whole = f"{number(now.E1)} + {number(now.E2)}"
    told: tuple[tuple[Sum, tuple[str, ...]], ...] = (
        (fed("h1", 0, *inputs), ("w1", "w2", "h1")),
        (bent("h1"), ("a_h1",)),
        (fed("h2", 2, *inputs), ("w3", "w4", "h2")),
        (bent("h2"), ("a_h2",)),
        (fed("o1", 4, *hidden), ("w5", "w6", "o1")),
        (bent("o1"), ("a_o1",)),
        (fed("o2", 6, *hidden), ("w7", "w8", "o2")),
        (bent("o2"), ("a_o2",)),
        (missed(1, t1), ("t1", "E1")),
        (missed(2, t2), ("t2", "E2")),
        (("E_total", "E1 + E2", whole, number(now.E_total)), ("E_total",)),
    )
    for known, (one, at) in enumerate(told, start=1):
        title = f"forward: {one[0]}"
        yield Step(title=title, lines=_lines(one), at=at, known=known)


def _backwards(network: Network, told: Sequence[Chain]) -> Iterator[Step]:
    now = forward(network)
    outputs = [chain for chain in told if isinstance(chain, OutputChain)]
    hiddens = [chain for chain in told if isinstance(chain, HiddenChain)]
    for place in (1, 2):
        yield from _through_output(network, now, place, outputs[2 * place - 2 : 2 * place])
    for place in (1, 2):
        yield from _through_hidden(now, place, hiddens[2 * place - 2 : 2 * place])


def _through_output(
    network: Network, now: Forward, k: int, pair: Sequence[OutputChain]
) -> Iterator[Step]:
    """Yield the steps from the error through output k to the two weights that lead into it."""
    out, target, title = getattr(now, f"a_o{k}"), network.targets[k - 1], f"back through o{k}: "
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
            title=f"{title}∂E/∂{weight}, a product of three",
            lines=(
                f"∂o{k}/∂{weight} = a_h{j} = {number(chain.fed)}",
                *_lines(
                    (
                        f"∂E/∂{weight}",
                        f"{error[0]} · {slope[0]} · ∂o{k}/∂{weight}",
                        _product(chain.error, chain.slope, chain.fed),
                        number(chain.gradient),
                    )
                ),
            ),
            at=(f"E{k}", f"a_o{k}", f"o{k}", weight),
        )


def _through_hidden(now: Forward, j: int, pair: Sequence[HiddenChain]) -> Iterator[Step]:
    """Yield the steps from both errors through hidden unit j to the two weights into it."""
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


def _into_hidden(j: int, pair: Sequence[HiddenChain], told: tuple[str, str, str]) -> Iterator[Step]:
    """Yield the steps to the two weights into hidden unit j.

    Args:
        j: Which unit, from 1.
        pair: The chains to the two weights.
        told: The sum over both outputs in symbols and in numbers, and the unit's slope in symbols.
    """
    both, shares, slope = told
    for i, chain in enumerate(pair, start=1):
        weight = f"w{2 * j - 2 + i}"
        one, two = chain.shares
        lost = one + two * chain.slope * chain.fed
        yield Step(
            title=f"back through h{j}: ∂E/∂{weight}, mind the parentheses",
            lines=(
                f"∂h{j}/∂{weight} = i{i} = {number(chain.fed)}",
                *_lines(
                    (
                        f"∂E/∂{weight}",
                        f"({both}) · {slope} · ∂h{j}/∂{weight}",
                        f"({shares}) · {_product(chain.slope, chain.fed)}",
                        number(chain.gradient),
                    )
                ),
                f"Without the parentheses it would come out as {number(lost)}.",
            ),
            at=("E1", "E2", f"a_h{j}", f"h{j}", weight),
        )


def _updates(network: Network, eta: float, told: Sequence[Chain]) -> Iterator[Step]:
    """Yield the eight gradients together, the update, and the way forward after it."""
    slopes = [chain.gradient for chain in told]
    after = updated(network, eta, slopes)
    halves = [f"∂E/∂{name} = {number(slope)}" for name, slope in zip(WEIGHTS, slopes, strict=True)]
    yield Step(
        title="the eight gradients",
        lines=tuple(
            f"{one:<28}{two}".rstrip() for one, two in zip(halves[:4], halves[4:], strict=True)
        ),
        at=WEIGHTS,
    )
    rows = zip(WEIGHTS, network.weights, slopes, after.weights, strict=True)
    yield Step(
        title=f"the update: w − η · ∂E/∂w with η = {eta:g}, all eight at once",
        lines=tuple(
            f"{name} ← {number(w)} − {eta:g} · {_factor(slope)} = {number(new)}"
            for name, w, slope, new in rows
        ),
        at=WEIGHTS,
    )
    before, now = forward(network).E_total, forward(after).E_total
    yield Step(
        title="forward again with the new weights",
        lines=(
            f"E_total before = {number(before)}",
            f"E_total now    = {number(now)}        change {number(now - before)}",
        ),
        after=after,
        at=("E_total",),
    )
