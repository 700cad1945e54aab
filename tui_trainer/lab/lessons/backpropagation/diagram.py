"""The 2-2-2 network as a character drawing with its values."""

from __future__ import annotations

from collections.abc import Collection

from tui_trainer.lab.lessons.backpropagation.arithmetic import VALUES, WEIGHTS, TwoLayerNet, forward

CELL = 6
"""Characters of a number."""

UNKNOWN = "·"
"""Stands for a value that is not computed yet."""


def number(value: float) -> str:
    """Return a number with six significant digits."""
    return f"{value:.6g}".replace("-", "−")


def drawing(
    net: TwoLayerNet, *, known: int = len(VALUES), marked: Collection[str] = frozenset()
) -> str:
    """Return the network as seven lines of at most 74 columns.

    Args:
        net: The network.
        known: How many of the forward values are computed; a dot stands for the others.
        marked: The names in brackets.
    """
    values = dict(zip(VALUES[:known], forward(net), strict=False))
    values |= dict(zip(WEIGHTS, net.weights, strict=True))
    values |= dict(zip(("i1", "i2", "t1", "t2"), net.inputs + net.targets, strict=True))

    def cell(name: str) -> str:
        shown = narrow(values[name]) if name in values else UNKNOWN
        width = 2 if len(name) == 2 and name[0] in "iwtE" else 4
        before, after = "[]" if name in marked else "  "
        return f"{before}{name:<{width}} {shown:>{CELL}}{after}"

    gap = " " * len(cell("i1"))
    total = values.get("E_total")
    lines = (
        f"{cell('i1')}┬──{cell('w1')}──▸{cell('h1')}┬──{cell('w5')}──▸{cell('o1')}",
        f"{gap}└──{cell('w3')}╲ ╱{cell('a_h1')}└──{cell('w7')}╲ ╱{cell('a_o1')}",
        f"{gap}   {gap} ╳ {' ' * len(cell('h1'))}   {gap} ╳",
        f"{gap}┌──{cell('w2')}╱ ╲{cell('h2')}┌──{cell('w6')}╱ ╲{cell('o2')}",
        f"{cell('i2')}┴──{cell('w4')}──▸{cell('a_h2')}┴──{cell('w8')}──▸{cell('a_o2')}",
        "",
        f"{cell('t1')} {cell('E1')}   {cell('t2')} {cell('E2')}   "
        f"{'[' if 'E_total' in marked else ' '}E_total "
        f"{UNKNOWN if total is None else number(total)}{']' if 'E_total' in marked else ''}",
    )
    return "\n".join(line.rstrip() for line in lines)


def narrow(value: float) -> str:
    """Return a number with as many decimals, up to four, as fit in a cell."""
    forms = [f"{value:.{digits}f}" for digits in range(4, -1, -1)] + [f"{value:.0e}"]
    return next((form for form in forms if len(form) <= CELL), forms[-1]).replace("-", "−")
