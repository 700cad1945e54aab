"""1×1 convolutions: three channels of a digit, mixed by hand and by the network's own kernel."""

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
"""Channels that the reader mixes."""

LARGEST = 6
"""Weights of the kernel that are drawn."""

ROOMY = 16
"""A map of at most this side leaves room for its neighbours in the picture."""

WEIGHTS = ("weight1", "weight2", "weight3")
STEPS = tuple(step / 4 for step in range(-8, 9))
FARTHEST = 10.0


@dataclass(frozen=True, slots=True)
class Kernel:
    """A 1×1 kernel of the network, on a digit.

    Attributes:
        row: Its layer's row.
        number: Which of the layer's kernels.
        weights: One for each channel that it reads.
        bias: What is added.
        maps: The channels that it reads (channels, height, width).
        channels: The three that count most in it.
    """

    row: LayerRow
    number: int
    weights: Tensor
    bias: float
    maps: Tensor
    channels: tuple[int, ...]

    @property
    def output(self) -> Tensor:
        """What it makes of all the channels (height, width)."""
        return torch.einsum("c,chw->hw", self.weights, self.maps) + self.bias


def show(context: Context, controls: Controls, confirmed: bool) -> Iterator[Exhibit]:
    """Show three channels, the reader's mix of them, and the kernel that mixes all."""
    seen = subject(
        context,
        lambda seen: _place(seen) is not None,
        fallback="squeeze-norm",
        lacks="1×1 convolution on three channels or more",
    )
    place = _place(seen)
    assert place is not None  # the other network has one
    weights = seen.weight(place)
    assert weights is not None
    which = counting("kernel", "kernel", len(weights))
    number = controls.whole(which)
    digit = context.digit(0)
    kernel = _kernel(seen, place, number, digit)
    if not bool(torch.isfinite(kernel.output).all()):
        lost = nonfinite_notice("its maps")
        picture = alone(digit)
        yield Exhibit(blocks=(*seen.note, picture, lost))
        return
    chosen = [controls.number(_weight_control(kernel, index)) for index in range(MIXED)]
    mix = mixed([kernel.maps[channel].tolist() for channel in kernel.channels], chosen)
    yield Exhibit(
        blocks=(*seen.note, *_blocks(kernel, mix)),
        result=_result(kernel, mix),
        certainty=f"One image, one of {len(weights)} kernels, after step {context.step:,}.",
    )


def _place(seen: Subject) -> int | None:
    """Return the 1×1 convolution to look at: the first on small maps, or else the first."""
    found = [
        place
        for place, row in enumerate(seen.layers)
        if is_convolution(row, side=1)
        and row.groups == 1
        and (row.input_shape or (0, 0, 0))[2] >= MIXED
        and seen.weight(place) is not None
    ]
    small = [place for place in found if max(seen.layers[place].output_shape[:2]) <= ROOMY]
    return next(iter(small or found), None)


def _kernel(seen: Subject, place: int, number: int, digit: Digit) -> Kernel:
    row = seen.layers[place]
    weights, biases = seen.weight(place), seen.bias(place)
    assert weights is not None
    own = weights[number].flatten()
    read = next(m for m in maps_of(seen, digit.model_input, None) if m.place == row.sources[0])
    # By what each adds to the sum, not by its weight alone: a channel can be empty.
    share = own.abs() * read.values.flatten(1).std(dim=1)
    channels = torch.nan_to_num(share).topk(MIXED).indices.tolist()
    bias = 0.0 if biases is None else float(biases[number])
    return Kernel(row, number, own, bias, read.values, tuple(channels))


def _weight_control(kernel: Kernel, index: int) -> Control:
    """Return the control of one weight; it begins where the network's own stands."""
    channel = kernel.channels[index]
    own = round(float(kernel.weights[channel]), 3)
    return number_control(
        WEIGHTS[index],
        f"channel {channel}",
        min(max(-FARTHEST, own), FARTHEST),
        STEPS,
        -FARTHEST,
        FARTHEST,
    )


def _blocks(kernel: Kernel, mix: list[list[float]]) -> tuple[Block, ...]:
    """Return the channels, their mix and the kernel's own, its weights, and what it saves."""
    read = [map_picture(kernel.maps[c], f"channel {c}") for c in kernel.channels]
    total = map_picture(torch.tensor(mix), "sum")
    positive = map_picture(torch.tensor(relu(mix)), "ReLU", like=total)
    own = map_picture(kernel.output, f"all {len(kernel.weights)}")
    own_name = f"all {len(kernel.weights)}: kernel {kernel.number} of {kernel.row.name}"
    return (
        Pictures(
            caption=f"three channels, your sum; {own_name}", items=(*read, total, positive, own)
        ),
        _weights(kernel),
        _costs(kernel.row),
    )


def _weights(kernel: Kernel) -> Bars:
    """Return the largest weights of the kernel; those of the mixed channels are marked."""
    sizes = kernel.weights.abs()
    order = sizes.topk(min(LARGEST, len(sizes))).indices.tolist()
    largest = float(sizes.max()) or 1.0
    return Bars(
        caption=f"largest of its {len(sizes)} weights; ▸ is in your mix",
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
    """Return what the layer costs, and what a 3×3 would."""
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
    """Say how near the reader's mix comes to what the kernel gives."""
    alike = correlation(
        [value for line in mix for value in line], kernel.output.double().flatten().tolist()
    )
    if alike is None:
        return "One of the two maps is the same everywhere: there is nothing to compare."
    return (
        f"Your mix of {MIXED} channels goes with what the kernel makes of all "
        f"{len(kernel.weights)}: correlation {alike:+z.3f}."
    )
