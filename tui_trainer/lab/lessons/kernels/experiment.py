"""Kernels: those of the first convolution, their similarity, and the cost of their number."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import torch
from torch import Tensor

from tui_trainer.lab.compare import arm, compare, parameters
from tui_trainer.lab.context import Context
from tui_trainer.lab.controls import Controls, number_control
from tui_trainer.lab.convolution_cost import convolution
from tui_trainer.lab.drawing import drawable, kernel_picture, nonfinite_notice
from tui_trainer.lab.layer_maps import Subject, is_convolution, subject
from tui_trainer.lab.model_variants import POOL, Conv, stack
from tui_trainer.protocol.exhibit import Block, Exhibit, Pictures, Table, Words, counting
from tui_trainer.text.fmt import count, short_count

SHOWN = 12
"""Kernels drawn at once, including the chosen one."""

COUNTS = (4, 8, 16, 32, 64)
"""Numbers of kernels in the cost table."""

FIRST_KERNELS = (2, 4, 8, 16)
"""First kernels of the models that are trained; later layers have two and four times as many."""

RANDOM_SETS = 200
"""Sets of random kernels for the expected largest cosine."""

CHANNELS = number_control("channels", "channels in", 16, (1, 8, 16, 32, 64, 128), 1.0, 1024.0)
SIDE = number_control("side", "map side", 14, (7, 14, 28), 1.0, 128.0)


def show(context: Context, controls: Controls, confirmed: bool) -> Iterator[Exhibit]:
    """Show the first convolution's kernels and a cost table, or train with 2 to 16 of them."""
    inspected = subject(context, lambda inspected: _first(inspected) is not None)
    kernels = _kernels(inspected)
    kernel = counting("kernel", "kernel", len(kernels), first=1)
    number, channels = controls.whole(kernel), controls.whole(CHANNELS)
    side = controls.whole(SIDE)
    if not confirmed:
        blocks = (*inspected.note, *_similarity(kernels, number - 1), _costs(channels, side))
        names = ", ".join(map(str, FIRST_KERNELS))
        yield Exhibit(
            blocks=blocks,
            trains=f"train with {names} kernels in layer 1, on equally many images: about 15 s",
        )
        return
    classes, channels_in = context.data.classes, context.data.channels
    models = {
        f"{first} kernels": context.build(
            partial(stack, plan(first), classes, channels=channels_in)
        )
        for first in FIRST_KERNELS
    }
    arms = [arm(context, name, model) for name, model in models.items()]
    sizes = ", ".join(count(parameters(model)) for model in models.values())
    setup = Words(
        text="Three convolutions each, pooled after the first and the second, with two and four "
        f"times as many kernels in the later ones: {sizes} parameters."
    )
    yield from compare(context, arms, setup=(setup,))


def plan(first: int) -> list[Conv | str]:
    """Return the model that is trained: the number of kernels doubles after each pool."""
    return [Conv(first), POOL, Conv(2 * first), POOL, Conv(4 * first)]


def _first(inspected: Subject) -> int | None:
    """Return the index of the first convolution with accessible kernels."""
    places = (place for place, row in enumerate(inspected.layers) if is_convolution(row))
    return next((place for place in places if inspected.weight(place) is not None), None)


def _kernels(inspected: Subject) -> Tensor:
    """Return the first convolution's kernels (kernels, channels, height, width)."""
    place = _first(inspected)
    weight = inspected.weight(place) if place is not None else None
    if weight is None:
        raise ValueError("no convolution with accessible kernels")
    return weight


def _similarity(kernels: Tensor, chosen: int) -> tuple[Block, ...]:
    """Return the kernels as pictures, and the kernel most similar to the chosen one."""
    total = len(kernels)
    if not bool(torch.isfinite(kernels).all()):
        return (nonfinite_notice("the kernels"),)
    start = min(max(0, chosen - SHOWN // 2), max(0, total - SHOWN))
    bound = float(kernels.abs().max()) or 1.0
    items = tuple(
        kernel_picture(
            drawable(kernels[number]), f"{'▸' if number == chosen else ''}{number + 1}", bound=bound
        )
        for number in range(start, min(total, start + SHOWN))
    )
    pictures = Pictures(caption=f"{total} kernels of the first convolution", items=items)
    if total < 2:
        return (pictures, Words(text="There is no other kernel to compare with."))
    cosines = _cosines(kernels.flatten(1))
    nearest = int(cosines[chosen].argmax())
    one, other = sorted(divmod(int(cosines.argmax()), total))
    width = kernels[0].numel()
    words = (
        f"Kernel {chosen + 1} is most similar to kernel {nearest + 1}: cosine "
        f"{cosines[chosen, nearest]:+z.2f}. Of all pairs, {one + 1} and {other + 1} are most "
        f"similar: {cosines.max():+z.2f}; {total} random kernels of {width} weights would reach "
        f"about {_random_maximum(total, width):+z.2f}. "
        "Two kernels with a cosine near +1 are redundant."
    )
    return (pictures, Words(text=words))


def _cosines(kernels: Tensor) -> Tensor:
    """Return the cosines (…, N, N) of kernels (…, N, weights); the diagonal is −1.

    a·b / (|a| |b|): 1 is the same pattern at any scale, 0 is unrelated, −1 is the negative.
    """
    unit = torch.nn.functional.normalize(kernels.double(), dim=-1)
    cosines = unit @ unit.transpose(-1, -2)
    return cosines.masked_fill(torch.eye(kernels.shape[-2], dtype=torch.bool), -1.0)


def _random_maximum(total: int, width: int) -> float:
    """Return the expected largest cosine in a set of random kernels."""
    sets = max(1, min(RANDOM_SETS, 2_000_000 // (total * max(total, width))))
    drawn = torch.randn(sets, total, width)
    largest = _cosines(drawn).flatten(1).max(dim=1).values
    return float(largest.mean())


def _costs(channels: int, side: int) -> Table:
    """Return the cost of a 3×3 layer by its number of kernels, and of the next layer."""
    places = side * side
    rows = []
    for kernels in COUNTS:
        layer = convolution(channels, kernels, places)
        next_layer = convolution(kernels, kernels, places)
        rows.append(
            (
                str(kernels),
                count(layer.parameters),
                short_count(layer.multiply_adds),
                count(next_layer.parameters),
                short_count(next_layer.multiply_adds),
            )
        )
    return Table(
        caption=f"3×3 on {side}×{side}×{channels}; the next layer has as many kernels",
        heads=("kernels", "parameters", "mult-adds", "next: parameters", "mult-adds"),
        rows=tuple(rows),
    )
