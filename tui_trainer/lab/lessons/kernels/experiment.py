"""Kernels: those of the first convolution, how alike they are, and what their number costs."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import torch
from torch import Tensor

from tui_trainer.lab.compare import arm, compare, parameters
from tui_trainer.lab.context import Context
from tui_trainer.lab.controls import Controls, number_control
from tui_trainer.lab.convolution_cost import convolution
from tui_trainer.lab.drawing import kernel_picture, nonfinite_notice
from tui_trainer.lab.layer_maps import Subject, is_convolution, subject
from tui_trainer.lab.model_variants import POOL, Conv, stack
from tui_trainer.protocol.exhibit import Block, Exhibit, Pictures, Table, Words, counting
from tui_trainer.text.fmt import count, short_count

SHOWN = 12
"""Kernels drawn at once, the chosen one among them."""

COUNTS = (4, 8, 16, 32, 64)
"""Kernels that the table of costs compares."""

RACED = (2, 4, 8, 16)
"""First kernels of the networks that are trained; the later layers have twice and four times."""

BY_CHANCE = 200
"""Sets of random kernels from which the likeness by chance is told."""

CHANNELS = number_control("channels", "channels in", 16, (1, 8, 16, 32, 64, 128), 1.0, 1024.0)
SIDE = number_control("side", "map side", 14, (7, 14, 28), 1.0, 128.0)


def show(context: Context, controls: Controls, confirmed: bool) -> Iterator[Exhibit]:
    """Show the first convolution's kernels and a table of costs; train with 2 to 16 of them."""
    seen = subject(context, lambda seen: _first(seen) is not None)
    kernels = _kernels(seen)
    kernel = counting("kernel", "kernel", len(kernels), first=1)
    number, channels = controls.whole(kernel), controls.whole(CHANNELS)
    side = controls.whole(SIDE)
    if not confirmed:
        blocks = (*seen.note, *_likeness(kernels, number - 1), _costs(channels, side))
        names = ", ".join(map(str, RACED))
        yield Exhibit(
            blocks=blocks,
            trains=f"train one network with {names} first kernels, all on equal images: about 15 s",
        )
        return
    classes = context.data.classes
    networks = {
        f"{first} kernels": context.build(partial(stack, plan(first), classes)) for first in RACED
    }
    arms = [arm(context, name, network) for name, network in networks.items()]
    sizes = ", ".join(count(parameters(network)) for network in networks.values())
    setup = Words(
        text="Three convolutions each, pooled after the first and the second, with twice and four "
        f"times the first kernels in the later ones: {sizes} parameters."
    )
    yield from compare(context, arms, setup=(setup,))


def plan(first: int) -> list[Conv | str]:
    """Return the network that is trained: so many first kernels, doubled behind each pool."""
    return [Conv(first), POOL, Conv(2 * first), POOL, Conv(4 * first)]


def _first(seen: Subject) -> int | None:
    """Return the place of the first convolution whose kernels can be seen."""
    places = (place for place, row in enumerate(seen.layers) if is_convolution(row))
    return next((place for place in places if seen.weight(place) is not None), None)


def _kernels(seen: Subject) -> Tensor:
    """Return the first convolution's kernels (kernels, channels, height, width)."""
    place = _first(seen)
    weight = seen.weight(place) if place is not None else None
    if weight is None:
        raise ValueError("no convolution whose kernels can be seen")
    return weight


def _likeness(kernels: Tensor, chosen: int) -> tuple[Block, ...]:
    """Return the kernels as pictures, and which one the chosen one is most like."""
    total = len(kernels)
    if not bool(torch.isfinite(kernels).all()):
        return (nonfinite_notice("the kernels"),)
    start = min(max(0, chosen - SHOWN // 2), max(0, total - SHOWN))
    bound = float(kernels.abs().max()) or 1.0
    items = tuple(
        kernel_picture(
            kernels[number, 0], f"{'▸' if number == chosen else ''}{number + 1}", bound=bound
        )
        for number in range(start, min(total, start + SHOWN))
    )
    pictures = Pictures(caption=f"{total} kernels of the first convolution", items=items)
    if total < 2:
        return (pictures, Words(text="There is no other kernel to compare it with."))
    cosines = _cosines(kernels.flatten(1))
    nearest = int(cosines[chosen].argmax())
    one, other = sorted(divmod(int(cosines.argmax()), total))
    width = kernels[0].numel()
    words = (
        f"Kernel {chosen + 1} is most like kernel {nearest + 1}: cosine "
        f"{cosines[chosen, nearest]:+z.2f}. Of all pairs, {one + 1} and {other + 1} are most "
        f"alike: {cosines.max():+z.2f}; {total} random kernels of {width} weights would reach "
        f"about {_by_chance(total, width):+z.2f}. "
        "Two with a cosine near +1 do one kernel's work."
    )
    return (pictures, Words(text=words))


def _cosines(kernels: Tensor) -> Tensor:
    """Return the cosines (…, N, N) between kernels (…, N, weights), −1 for each with itself.

    a·b / (|a| |b|): 1 is the same pattern at any strength, 0 nothing in common, −1 its negative.
    """
    unit = torch.nn.functional.normalize(kernels.double(), dim=-1)
    cosines = unit @ unit.transpose(-1, -2)
    return cosines.masked_fill(torch.eye(kernels.shape[-2], dtype=torch.bool), -1.0)


def _by_chance(total: int, width: int) -> float:
    """Return the largest cosine among so many random kernels, its mean over several sets."""
    sets = max(1, min(BY_CHANCE, 2_000_000 // (total * max(total, width))))
    drawn = torch.randn(sets, total, width)
    largest = _cosines(drawn).flatten(1).max(dim=1).values
    return float(largest.mean())


def _costs(channels: int, side: int) -> Table:
    """Return what a 3×3 layer costs by its number of kernels, and the layer that follows it."""
    places = side * side
    rows = []
    for kernels in COUNTS:
        own = convolution(channels, kernels, places)
        behind = convolution(kernels, kernels, places)
        rows.append(
            (
                str(kernels),
                count(own.parameters),
                short_count(own.multiply_adds),
                count(behind.parameters),
                short_count(behind.multiply_adds),
            )
        )
    return Table(
        caption=f"3×3 on {side}×{side}×{channels}; behind it a layer with as many kernels",
        heads=("kernels", "parameters", "mult-adds", "next: parameters", "mult-adds"),
        rows=tuple(rows),
    )
