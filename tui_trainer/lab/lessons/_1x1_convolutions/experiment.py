"""1×1 convolutions: three channels of a digit, mixed by hand and by a kernel of the model."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from tui_trainer.lab.context import Context, Digit
from tui_trainer.lab.controls import Controls, number_control
from tui_trainer.lab.convolution_cost import convolution
from tui_trainer.lab.drawing import alone, map_picture, nonfinite_notice
from tui_trainer.lab.layer_maps import Subject, is_convolution, maps_of, subject
from tui_trainer.lab.lessons._1x1_convolutions.arithmetic import correlation, mixed, relu
from tui_trainer.protocol.exhibit import (
    Bar,
    Bars,
    Block,
    Control,
    Exhibit,
    Pictures,
    Table,
    counting,
)
from tui_trainer.protocol.layers import LayerRow
from tui_trainer.text.fmt import count, short_count

MIXED = 3
"""Channels that the reader can mix."""

MAX_BARS = 6
"""Weights of the kernel that are shown as bars."""

SMALL_SIDE = 16
"""Maps of at most this side fit next to each other in the picture."""

WEIGHTS = ("weight1", "weight2", "weight3")
STEPS = tuple(step / 4 for step in range(-8, 9))
LIMIT = 10.0


@dataclass(frozen=True, slots=True)
class Kernel:
    """A 1×1 kernel of the model, applied to a digit.

    Attributes:
        row: The row of its layer.
        number: The index of the kernel in its layer.
        weights: One for each input channel.
        bias: The bias.
        maps: Its input (channels, height, width).
        channels: The three channels that contribute most.
    """

    row: LayerRow
    number: int
    weights: Tensor
    bias: float
    maps: Tensor
    channels: tuple[int, ...]

    @property
    def output(self) -> Tensor:
        """Its output from all channels (height, width)."""
        return torch.einsum("c,chw->hw", self.weights, self.maps) + self.bias


def show(context: Context, controls: Controls, confirmed: bool) -> Iterator[Exhibit]:
    """Show three channels, the reader's mix of them, and the kernel that mixes all channels."""
    inspected = subject(
        context,
        lambda inspected: _place(inspected) is not None,
        fallback="squeeze-norm",
        lacks="1×1 convolution on three channels or more",
    )
    place = _place(inspected)
    assert place is not None  # the fallback model has one
    weights = inspected.weight(place)
    assert weights is not None
    which = counting("kernel", "kernel", len(weights))
    number = controls.whole(which)
    digit = context.digit(0)
    kernel = _kernel(inspected, place, number, digit)
    if not bool(torch.isfinite(kernel.output).all()):
        message = nonfinite_notice("its maps")
        picture = alone(digit)
        yield Exhibit(blocks=(*inspected.note, picture, message))
        return
    reader_weights = [controls.number(_weight_control(kernel, index)) for index in range(MIXED)]
    mix = mixed([kernel.maps[channel].tolist() for channel in kernel.channels], reader_weights)
    yield Exhibit(
        blocks=(*inspected.note, *_blocks(kernel, mix)),
        result=_result(kernel, mix),
        evidence=f"One image, one of {len(weights)} kernels, after step {context.step:,}.",
    )


def _place(inspected: Subject) -> int | None:
    """Return the 1×1 convolution to show: the first on small maps, else the first."""
    found = [
        place
        for place, row in enumerate(inspected.layers)
        if is_convolution(row, side=1)
        and row.groups == 1
        and (row.input_shape or (0, 0, 0))[2] >= MIXED
        and inspected.weight(place) is not None
    ]
    small = [
        place for place in found if max(inspected.layers[place].output_shape[:2]) <= SMALL_SIDE
    ]
    return next(iter(small or found), None)


def _kernel(inspected: Subject, place: int, number: int, digit: Digit) -> Kernel:
    row = inspected.layers[place]
    weights, biases = inspected.weight(place), inspected.bias(place)
    assert weights is not None
    kernel = weights[number].flatten()
    read = next(m for m in maps_of(inspected, digit.model_input, None) if m.place == row.sources[0])
    # By its contribution to the sum, not by its weight alone: a channel can be empty.
    share = kernel.abs() * read.values.flatten(1).std(dim=1)
    channels = torch.nan_to_num(share).topk(MIXED).indices.tolist()
    bias = 0.0 if biases is None else float(biases[number])
    return Kernel(row, number, kernel, bias, read.values, tuple(channels))


def _weight_control(kernel: Kernel, index: int) -> Control:
    """Return the control of one weight; it starts at the weight of the model."""
    channel = kernel.channels[index]
    weight = round(float(kernel.weights[channel]), 3)
    return number_control(
        WEIGHTS[index],
        f"channel {channel}",
        min(max(-LIMIT, weight), LIMIT),
        STEPS,
        -LIMIT,
        LIMIT,
    )


def _blocks(kernel: Kernel, mix: list[list[float]]) -> tuple[Block, ...]:
    """Return the channels, both mixes, the weights of the kernel, and the cost of the layer."""
    read = [map_picture(kernel.maps[c], f"channel {c}") for c in kernel.channels]
    total = map_picture(torch.tensor(mix), "sum")
    positive = map_picture(torch.tensor(relu(mix)), "ReLU", like=total)
    output = map_picture(kernel.output, f"all {len(kernel.weights)}")
    output_name = f"all {len(kernel.weights)}: kernel {kernel.number} of {kernel.row.name}"
    return (
        Pictures(
            caption=f"three channels, their weighted sum; {output_name}",
            items=(*read, total, positive, output),
        ),
        _weights(kernel),
        _costs(kernel.row),
    )


def _weights(kernel: Kernel) -> Bars:
    """Return the largest weights of the kernel; the mixed channels are marked."""
    sizes = kernel.weights.abs()
    order = sizes.topk(min(MAX_BARS, len(sizes))).indices.tolist()
    largest = float(sizes.max()) or 1.0
    return Bars(
        caption=f"the largest of its {len(sizes)} weights; ▸ is in your mix",
        bars=tuple(
            Bar(
                label=f"channel {channel}",
                share=float(sizes[channel]) / largest,
                number=f"{float(kernel.weights[channel]):+z.3f}",
                is_marked=channel in kernel.channels,
            )
            for channel in order
        ),
    )


def _costs(row: LayerRow) -> Table:
    """Return the cost of the layer, and of a 3×3 convolution in its place."""
    height, width, outputs = row.output_shape
    inputs = (row.input_shape or row.output_shape)[2]
    rows = []
    for side in (1, 3):
        cost = convolution(inputs, outputs, height * width, side=side)
        rows.append((f"{side}×{side}", count(cost.parameters), short_count(cost.multiply_adds)))
    return Table(
        caption=f"{row.name}, {inputs} → {outputs} channels at {height}×{width}",
        heads=("kernel", "weights", "multiply-adds"),
        rows=tuple(rows),
        marked=0,
    )


def _result(kernel: Kernel, mix: list[list[float]]) -> str:
    """Return how similar the reader's mix is to the output of the kernel."""
    alike = correlation(
        [value for line in mix for value in line], kernel.output.double().flatten().tolist()
    )
    if alike is None:
        return "One of the two maps is constant: there is nothing to compare."
    return (
        f"Correlation of your mix of {MIXED} channels with the output of the kernel, which mixes "
        f"all {len(kernel.weights)}: {alike:+z.3f}."
    )
