"""3×3 convolutions: a kernel on a digit, product by product, and what stacks of them cost."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch

from tui_trainer.anatomy.review.design import CONVOLUTIONS
from tui_trainer.lab.context import DIGIT, Context, Digit
from tui_trainer.lab.controls import Controls, word_control
from tui_trainer.lab.drawing import alone, digit_picture, map_picture, nonfinite_notice
from tui_trainer.lab.layer_maps import Subject, is_convolution, subject
from tui_trainer.lab.lessons._3x3_convolutions.arithmetic import (
    KERNELS,
    products,
    slide,
    stack,
    window,
)
from tui_trainer.protocol.exhibit import Block, Control, Exhibit, Pictures, Table, Words, counting
from tui_trainer.text.fmt import count, field, short_count

OWN = 8
"""Kernels of the network's first layer that can be chosen, at most."""

STACKS = ((7,), (3, 3, 3), (5,), (3, 3))
"""What is compared: sides of kernels on top of each other."""

CHANNELS = 16
"""Channels of the compared stacks where the network has no convolution to take them from."""


@dataclass(frozen=True, slots=True)
class Kernel:
    """A kernel and what it goes over.

    Attributes:
        weights: Its 3×3 weights.
        bias: What is added.
        rows: The image's numbers.
        padding: Zeros beyond the image's edges.
    """

    weights: Sequence[Sequence[float]]
    bias: float
    rows: list[list[float]]
    padding: int


def show(context: Context, controls: Controls, confirmed: bool) -> Iterator[Exhibit]:
    """Show a kernel at a place of a digit, the map it makes, and what stacks of kernels cost."""
    seen = subject(context)
    own = _own_place(seen)
    weights = None if own is None else seen.weight(own)
    numbers = [] if weights is None else range(min(OWN, len(weights)))
    names = (*KERNELS, *(f"own {number}" for number in numbers))
    which = word_control("kernel", names)
    name = controls.word(which)
    digit = context.digit(controls.whole(DIGIT, is_shown=False))
    kernel = _kernel(seen, own, name, digit)
    made = slide(kernel.rows, kernel.weights, kernel.bias, kernel.padding)
    row = controls.whole(_control("row", len(made)))
    column = controls.whole(_control("column", len(made[0])))
    controls.add(DIGIT, digit.number)
    costs = _costs(seen, digit)
    if not all(math.isfinite(value) for line in made for value in line):
        lost = nonfinite_notice("its weights")
        yield Exhibit(blocks=(alone(digit), lost, costs))
        return
    note = () if own is not None else (Words(text=_lacks(seen), tone="muted"),)
    yield Exhibit(
        blocks=(*_blocks(kernel, name, digit, made, row, column), costs, *note),
        result=f"At row {row}, column {column} the kernel gives {made[row][column]:+z.3f}.",
        certainty="Arithmetic on one image: nothing is estimated.",
    )


def _control(name: str, places: int) -> Control:
    """Return the control of a row or a column; it begins in the middle."""
    return counting(name, name, places, value=float(places // 2))


def _own_place(seen: Subject) -> int | None:
    """Return the network's first convolution if it slides 3×3 kernels over the image, by ones."""
    for place, row in enumerate(seen.layers):
        if row.kind in CONVOLUTIONS:
            fits = (
                is_convolution(row, side=3)
                and row.sources == (0,)
                and (row.stride, row.dilation) == ((1, 1), (1, 1))
                and row.padding in ((0, 0), (1, 1))
                and seen.weight(place) is not None
            )
            return place if fits else None
    return None


def _lacks(seen: Subject) -> str:
    return f"{seen.name} has no plain 3×3 kernels on the image to choose from."


def _kernel(seen: Subject, own: int | None, name: str, digit: Digit) -> Kernel:
    """Return a kernel by its name: one of those drawn by hand goes over greys from 0 to 1."""
    if own is None or name in KERNELS:
        return Kernel(KERNELS[name], 0.0, (digit.pixels.double() / 255).tolist(), 1)
    number = int(name.split()[-1])
    weights, biases, row = seen.weight(own), seen.bias(own), seen.layers[own]
    assert weights is not None
    bias = 0.0 if biases is None else float(biases[number])
    rows: list[list[float]] = digit.model_input[0, 0].double().tolist()
    return Kernel(weights[number, 0].double().tolist(), bias, rows, (row.padding or (0, 0))[0])


def _blocks(
    kernel: Kernel, name: str, digit: Digit, made: list[list[float]], row: int, column: int
) -> tuple[Block, ...]:
    """Return the digit with the kernel's place, the map it makes, and the sum at that place."""
    side, edge = len(digit.pixels), kernel.padding
    top, left = max(0, row - edge), max(0, column - edge)
    bottom, right = min(side, row - edge + 3), min(side, column - edge + 3)
    frame = (top, left, bottom - top, right - left)
    pictures = (
        digit_picture(digit, frame=frame),
        map_picture(torch.tensor(made), name, frame=(row, column, 1, 1)),
    )
    covered = window(kernel.rows, row, column, padding=kernel.padding)
    parts = products(covered, kernel.weights)
    total = sum(map(sum, parts))
    numbers = "greys from 0 to 1" if name in KERNELS else "the network's input"
    table = Table(
        caption=f"pixel × weight = product; pixels are {numbers}",
        heads=("pixels", "", "", "kernel", "", "", "products", "", ""),
        rows=tuple(
            tuple(
                [f"{value:z.2f}" for value in values]
                + [f"{weight:+z.2f}" for weight in weights]
                + [f"{part:+z.3f}" for part in line]
            )
            for values, weights, line in zip(covered, kernel.weights, parts, strict=True)
        ),
    )
    sums = Words(
        text=f"sum {total:+z.3f}, bias {kernel.bias:+z.3f}: {total + kernel.bias:+z.3f}; "
        f"behind a ReLU {max(0.0, total + kernel.bias):.3f}",
        is_preformatted=True,
    )
    return Pictures(caption="the kernel on the digit, and its map", items=pictures), table, sums


def _costs(seen: Subject, digit: Digit) -> Table:
    """Return what small kernels on top of each other cost, and what one large one does."""
    first = next((row for row in seen.layers if is_convolution(row)), None)
    channels = CHANNELS if first is None else first.output_shape[2]
    height, width = digit.pixels.shape
    rows = []
    for sides in STACKS:
        cost = stack(sides, channels, height * width)
        layers = {1: "one", 2: "two", 3: "three"}[len(sides)]
        rows.append(
            (
                f"{layers} {sides[0]}×{sides[0]}",
                field((cost.field, cost.field)),
                count(cost.parameters),
                short_count(cost.multiply_adds),
                str(cost.activations),
            )
        )
    return Table(
        caption=f"{channels} → {channels} channels at {height}×{width}",
        heads=("kernels", "sees", "weights", "multiply-adds", "activations"),
        rows=tuple(rows),
    )
