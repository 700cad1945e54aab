"""Backpropagation by hand: a walk, gradients in three ways, error curves, the iterations."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace

import torch
from torch import Tensor

from tui_trainer.lab.context import Context
from tui_trainer.lab.controls import Controls, number_control, word_control
from tui_trainer.lab.lessons.backpropagation.arithmetic import (
    COLUMNS,
    EPSILON,
    ETAS,
    START,
    WEIGHTS,
    TwoLayerNet,
    after_iterations,
    error_curve,
    finite_differences,
    forward,
    gradients,
    table,
    updated,
)
from tui_trainer.lab.lessons.backpropagation.diagram import drawing, narrow, number
from tui_trainer.lab.lessons.backpropagation.editable_numbers import EDITS, edited_net, edited_note
from tui_trainer.lab.lessons.backpropagation.first_layer_view import show_first_layer
from tui_trainer.lab.lessons.backpropagation.walk import walk
from tui_trainer.protocol.exhibit import Block, Curve, Curves, Exhibit, Table, Words, counting

ROWS = 13
"""Rows of the iteration table that are shown at once."""

ITERATION_STEPS = (*map(float, range(101)), 200.0, 500.0, 1_000.0)

VIEW = word_control("view", ("walk", "gradients", "curves", "iterations", "edit", "first layer"))
STEP = counting("step", "step", 35)
ITERATION = number_control("iteration", "iteration", 0, ITERATION_STEPS, 0.0, 1_000.0)
ITERATIONS = number_control("length", "iterations", 100, (10, 20, 50, 100, 200, 500), 1.0, 500.0)
ETA = number_control("eta", "η", 1, ETAS, 0.0, 1_000.0)
SCALE = word_control("scale", ("linear", "log"))
SHOWN: Mapping[str, tuple[str, ...]] = {
    "errors": ("E1", "E2", "E_total"),
    "w1–w4": (*WEIGHTS[:4], "E_total"),
    "w5–w8": (*WEIGHTS[4:], "E_total"),
    "hidden": ("h1", "a_h1", "h2", "a_h2", "E_total"),
    "outputs": ("o1", "a_o1", "o2", "a_o2", "E_total"),
    "∂E/∂w1–w4": tuple(f"dE_d{name}" for name in WEIGHTS[:4]),
    "∂E/∂w5–w8": tuple(f"dE_d{name}" for name in WEIGHTS[4:]),
}
"""The columns of the table, by the name of the choice."""

COLUMN = word_control("columns", SHOWN, value="errors")


def show(context: Context, controls: Controls, confirmed: bool) -> Iterator[Exhibit]:
    """Show one view of the 2-2-2 example, or one step of the real model."""
    view = controls.word(VIEW)
    if view == "first layer":
        yield show_first_layer(context, controls)
        return
    views: Mapping[str, Callable[[TwoLayerNet, Controls], Exhibit]] = {
        "walk": _walk,
        "gradients": _gradients,
        "curves": _curves,
        "iterations": _iterations,
        "edit": _edit,
    }
    yield views[view](edited_net(controls), controls)


def _walk(net: TwoLayerNet, controls: Controls) -> Exhibit:
    """Return one step of the walk: the drawing and the formula."""
    place, iteration = controls.whole(STEP), controls.whole(ITERATION)
    eta = controls.number(ETA)
    here = after_iterations(net, eta, iteration)
    steps = walk(here, eta)
    step = steps[place]
    before, after = forward(here).E_total, forward(updated(here, eta)).E_total
    return Exhibit(
        blocks=(
            Words(text=f"Step {place} of {len(steps) - 1}, {step.title}", tone="title"),
            Words(text=step.drawing(here), is_preformatted=True),
            Words(text="\n".join(step.lines), is_preformatted=True),
            *edited_note(net),
        ),
        result=f"One update with η = {eta:g} takes E_total from {before:.6f} to {after:.6f}.",
        evidence="One example in double precision; nothing is random.",
    )


def _gradients(net: TwoLayerNet, controls: Controls) -> Exhibit:
    """Return each gradient by chain rule, automatic differentiation and finite difference."""
    iteration, eta = controls.whole(ITERATION), controls.number(ETA)
    here = after_iterations(net, eta, iteration)
    chain, automatic, finite = gradients(here), automatic_gradients(here), finite_differences(here)
    autograd_error = max(abs(a - b) for a, b in zip(automatic, chain, strict=True))
    finite_error = max(abs(a - b) for a, b in zip(finite, chain, strict=True))
    return Exhibit(
        blocks=(
            _three_ways(here, zip(chain, automatic, finite, strict=True)),
            Words(
                text=f"finite = (E(w + ε) − E(w − ε)) / 2ε with ε = {EPSILON:g}",
                is_preformatted=True,
            ),
            Words(
                text=(
                    "The finite difference needs no calculus, but computes E twice per weight, "
                    "16 times in all. The chain rule gets all eight gradients in one backward pass."
                ),
                tone="muted",
            ),
            Words(text=drawing(here), is_preformatted=True),
            *edited_note(net),
        ),
        result=(
            f"The chain rule and PyTorch's autograd differ by {autograd_error:.1e} at most, "
            f"the chain rule and the finite difference by {finite_error:.1e}."
        ),
        evidence=(
            "Double precision has about 16 digits. A finite difference has an error of about ε² "
            "from its step, plus the rounding error of E divided by ε."
        ),
    )


def _three_ways(net: TwoLayerNet, ways: Iterable[tuple[float, float, float]]) -> Table:
    """Return a table of each gradient by the three ways."""
    rows = zip(WEIGHTS, net.weights, ways, strict=True)
    return Table(
        caption="each gradient in three ways",
        heads=("∂E/∂", "weight", "chain rule", "autograd", "error", "finite", "error"),
        rows=tuple(
            (
                name,
                narrow(weight),
                f"{chain:.5e}",
                f"{automatic:.5e}",
                f"{automatic - chain:+.0e}",
                f"{finite:.5e}",
                f"{finite - chain:+.0e}",
            )
            for name, weight, (chain, automatic, finite) in rows
        ),
    )


def automatic_gradients(net: TwoLayerNet) -> list[float]:
    """Return ∂E/∂w1 to ∂E/∂w8 from torch.autograd, in double precision."""
    weights = torch.tensor(net.weights, dtype=torch.float64, requires_grad=True)
    inputs, targets = (
        torch.tensor(numbers, dtype=torch.float64) for numbers in (net.inputs, net.targets)
    )
    with torch.enable_grad():
        hidden = torch.sigmoid(weights[:4].view(2, 2) @ inputs)
        outputs = torch.sigmoid(weights[4:].view(2, 2) @ hidden)
        error: Tensor = (0.5 * (targets - outputs) ** 2).sum()
        (slopes,) = torch.autograd.grad(error, weights)
    return [float(slope) for slope in slopes]


def _curves(net: TwoLayerNet, controls: Controls) -> Exhibit:
    """Return the error curves for the course's learning rates and the reader's."""
    eta, length, scale = controls.number(ETA), controls.whole(ITERATIONS), controls.word(SCALE)
    etas = sorted({*ETAS, eta})
    errors = {lr: error_curve(net, lr, length) for lr in etas}
    places = tuple(map(float, range(length + 1)))
    curves = tuple(Curve(name=f"η {lr:g}", x=places, y=errors[lr]) for lr in etas)
    best = min(etas, key=lambda lr: (not math.isfinite(errors[lr][-1]), errors[lr][-1]))
    least = f"After {length:g} iterations E_total is {errors[best][-1]:.3g} at η = {best:g}"
    yours = "that is yours" if best == eta else f"at your η = {eta:g} it is {errors[eta][-1]:.3g}"
    return Exhibit(
        blocks=(
            Curves(
                caption="E_total from the same start",
                x_label="iterations",
                curves=curves,
                is_log=scale == "log",
            ),
            replace(_falls(errors), marked=etas.index(eta)),
            *edited_note(net),
        ),
        result=f"{least}, the lowest of {len(etas)} learning rates; {yours}.",
        evidence="One example, one start: each network has its own best learning rate.",
    )


def _falls(errors: Mapping[float, tuple[float, ...]]) -> Table:
    """Return how far and how fast the error falls at each learning rate."""
    first = next(iter(errors.values()))
    start, length = first[0], len(first) - 1
    return Table(
        caption=f"E_total starts at {start:.6f}",
        heads=("η", f"E after {length}", "E / start", "1/10 after", "1/100 after"),
        rows=tuple(
            (
                f"{lr:g}",
                f"{curve[-1]:.3e}",
                f"{curve[-1] / start:.2g}" if start else "",
                _first_below(curve, start / 10),
                _first_below(curve, start / 100),
            )
            for lr, curve in errors.items()
        ),
    )


def _first_below(errors: tuple[float, ...], bound: float) -> str:
    """Return the first iteration with an error of at most ``bound``."""
    return next((str(place) for place, error in enumerate(errors) if error <= bound), "not yet")


def _iterations(net: TwoLayerNet, controls: Controls) -> Exhibit:
    """Return a part of the iteration table."""
    iteration, eta = controls.whole(ITERATION), controls.number(ETA)
    columns = controls.word(COLUMN)
    first = max(0, iteration - ROWS // 2)
    rows = list(table(net, eta, first + ROWS - 1))
    names = SHOWN[columns]
    places = [COLUMNS.index(name) for name in names]
    error = COLUMNS.index("E_total")
    heads = ("iteration", *(name.replace("dE_d", "∂E/∂") for name in names))
    return Exhibit(
        blocks=(
            Table(
                caption=f"iterations with η = {eta:g}; row 0 is the start",
                heads=heads,
                rows=tuple(
                    (str(int(row[0])), *(_cell(row[place]) for place in places))
                    for row in rows[first:]
                ),
                marked=iteration - first,
            ),
            Words(
                text=(
                    f"All {len(COLUMNS)} columns from the default start, as a spreadsheet: "
                    f"mnist-tui learn backpropagation --eta {eta:g} "
                    f"--iterations {max(1, iteration)} --as xlsx (or csv)"
                ),
                tone="muted",
            ),
            *edited_note(net),
        ),
        result=(
            f"After {iteration} iterations E_total is {rows[iteration][error]:.6f}; "
            f"it started at {rows[0][error]:.6f}."
        ),
        evidence="One example in double precision; nothing is random.",
    )


def _cell(value: float) -> str:
    """Return a number of the table; one of ordinary size has at most eleven characters."""
    if not 1e-6 <= abs(value) < 10 and value != 0:
        return f"{value:.3e}" if abs(value) < 1 else f"{value:.6g}"
    return f"{value:.8f}"


def _edit(net: TwoLayerNet, controls: Controls) -> Exhibit:
    """Return the example with its editable numbers."""
    for control in EDITS:
        controls.number(control)
    given, now = forward(START).E_total, forward(net).E_total
    blocks: tuple[Block, ...] = (
        Words(text=drawing(net), is_preformatted=True),
        *(
            edited_note(net)
            or (Words(text="All numbers have their default values.", tone="muted"),)
        ),
    )
    return Exhibit(
        blocks=blocks,
        result=f"E_total is {number(now)} with these numbers, {number(given)} with the defaults.",
        evidence="Your numbers apply to the walk, the gradients, the curves and the iterations.",
    )
