"""3×3 convolutions: a kernel on a digit, product by product, and the cost of stacks."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from tui_trainer.anatomy.review.design import CONVOLUTIONS
from tui_trainer.data.augment import gray_of
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

MAX_LEARNED = 8
"""Kernels of the model's first layer that can be chosen, at most."""

STACKS = ((7,), (3, 3, 3), (5,), (3, 3))
"""The stacks that are compared: the sides of their kernels."""

CHANNELS = 16
"""Channels of the compared stacks if the model has no convolution."""


@dataclass(frozen=True, slots=True)
class Kernel:
    """A kernel and its input.

    Attributes:
        weights: Its 3×3 weights for each channel.
        bias: Its bias.
        planes: The channels of the input image.
        padding: The zero padding.
    """

    weights: Sequence[Sequence[Sequence[float]]]
    bias: float
    planes: list[list[list[float]]]
    padding: int

    @property
    def feature_map(self) -> list[list[float]]:
        """Its output: the sum over the channels."""
        biases = (self.bias, *[0.0] * (len(self.planes) - 1))
        parts = [
            slide(plane, weights, bias, self.padding)
            for plane, weights, bias in zip(self.planes, self.weights, biases, strict=True)
        ]
        rows = zip(*parts, strict=True)
        return [[sum(values) for values in zip(*row, strict=True)] for row in rows]


def show(context: Context, controls: Controls, confirmed: bool) -> Iterator[Exhibit]:
    """Show a kernel at a position of a digit, its feature map, and the cost of stacks."""
    inspected = subject(context)
    first_layer = _first_convolution(inspected)
    weights = None if first_layer is None else inspected.weight(first_layer)
    numbers = [] if weights is None else range(min(MAX_LEARNED, len(weights)))
    names = (*KERNELS, *(f"learned {number}" for number in numbers))
    which = word_control("kernel", names)
    name = controls.word(which)
    digit = context.digit(controls.whole(DIGIT, is_shown=False))
    kernel = _kernel(inspected, first_layer, name, digit)
    feature_map = kernel.feature_map
    row = controls.whole(_control("row", len(feature_map)))
    column = controls.whole(_control("column", len(feature_map[0])))
    controls.add(DIGIT, digit.number)
    costs = _costs(inspected, digit)
    if not all(math.isfinite(value) for line in feature_map for value in line):
        message = nonfinite_notice("its weights")
        yield Exhibit(blocks=(alone(digit), message, costs))
        return
    note = () if first_layer is not None else (Words(text=_lacks(inspected), tone="muted"),)
    yield Exhibit(
        blocks=(*_blocks(kernel, name, digit, feature_map, row, column), costs, *note),
        result=f"At row {row}, column {column} the output is {feature_map[row][column]:+z.3f}.",
        evidence="Computed exactly on one image; nothing is estimated.",
    )


def _control(name: str, places: int) -> Control:
    """Return the control of a row or a column; it starts in the middle."""
    return counting(name, name, places, value=float(places // 2))


def _first_convolution(inspected: Subject) -> int | None:
    """Return the model's first convolution if it has 3×3 kernels of stride 1 on the image."""
    for place, row in enumerate(inspected.layers):
        if row.kind in CONVOLUTIONS:
            fits = (
                is_convolution(row, side=3)
                and row.sources == (0,)
                and (row.stride, row.dilation) == ((1, 1), (1, 1))
                and row.padding in ((0, 0), (1, 1))
                and inspected.weight(place) is not None
            )
            return place if fits else None
    return None


def _lacks(inspected: Subject) -> str:
    return f"{inspected.name} has no plain 3×3 kernels on the image to choose from."


def _kernel(inspected: Subject, first_layer: int | None, name: str, digit: Digit) -> Kernel:
    """Return a kernel by its name; the hand-designed filters read gray levels from 0 to 1."""
    if first_layer is None or name in KERNELS:
        levels = (gray_levels(digit).double() / 255).tolist()
        return Kernel([KERNELS[name]], 0.0, [levels], 1)
    number = int(name.split()[-1])
    weights, biases, row = (
        inspected.weight(first_layer),
        inspected.bias(first_layer),
        inspected.layers[first_layer],
    )
    assert weights is not None
    bias = 0.0 if biases is None else float(biases[number])
    planes: list[list[list[float]]] = digit.model_input[0].double().tolist()
    return Kernel(weights[number].double().tolist(), bias, planes, (row.padding or (0, 0))[0])


def gray_levels(digit: Digit) -> Tensor:
    """Return the grays (H, W) of an image, of colors the luminance."""
    pixels = digit.pixels
    return gray_of(pixels.float()[None])[0, 0] if pixels.ndim == 3 else pixels


def _blocks(
    kernel: Kernel, name: str, digit: Digit, feature_map: list[list[float]], row: int, column: int
) -> tuple[Block, ...]:
    """Return the digit with the kernel framed, the feature map, and the sum at that position."""
    side, edge = digit.size[0], kernel.padding
    top, left = max(0, row - edge), max(0, column - edge)
    bottom, right = min(side, row - edge + 3), min(side, column - edge + 3)
    frame = (top, left, bottom - top, right - left)
    pictures = (
        digit_picture(digit, frame=frame),
        map_picture(torch.tensor(feature_map), name, frame=(row, column, 1, 1)),
    )
    covered, weighed = list[list[float]](), list[Sequence[float]]()
    for plane, weights in zip(kernel.planes, kernel.weights, strict=True):
        covered += window(plane, row, column, padding=kernel.padding)
        weighed += weights
    parts = products(covered, weighed)
    total = sum(map(sum, parts))
    numbers = "gray levels from 0 to 1" if name in KERNELS else "normalized"
    if len(kernel.planes) == 3:
        numbers += "; red, then green, then blue"
    elif digit.pixels.ndim == 3:
        numbers = "their luminance from 0 to 1"
    table = Table(
        caption=f"pixel × weight = product; pixels are {numbers}",
        heads=("pixels", "", "", "kernel", "", "", "products", "", ""),
        rows=tuple(
            tuple(
                [f"{value:z.2f}" for value in values]
                + [f"{weight:+z.2f}" for weight in weights]
                + [f"{part:+z.3f}" for part in line]
            )
            for values, weights, line in zip(covered, weighed, parts, strict=True)
        ),
    )
    sums = Words(
        text=f"sum {total:+z.3f}, bias {kernel.bias:+z.3f}: {total + kernel.bias:+z.3f}; "
        f"after a ReLU {max(0.0, total + kernel.bias):.3f}",
        is_preformatted=True,
    )
    return (
        Pictures(caption="the kernel on the image, and its feature map", items=pictures),
        table,
        sums,
    )


def _costs(inspected: Subject, digit: Digit) -> Table:
    """Return the cost of stacked small kernels and of single large ones."""
    first = next((row for row in inspected.layers if is_convolution(row)), None)
    channels = CHANNELS if first is None else first.output_shape[2]
    height, width = digit.size
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
        heads=("kernels", "field", "weights", "multiply-adds", "activations"),
        rows=tuple(rows),
    )
