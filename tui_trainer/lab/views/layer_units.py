"""What the units of each layer do on some images: channels of a map, or numbers of a flat layer."""

from __future__ import annotations

from collections.abc import Callable, Collection, Generator

import torch
from torch import Tensor, nn

from tui_trainer.anatomy.trace import Step, trace
from tui_trainer.lab.context import Context
from tui_trainer.lab.layer_maps import place_after
from tui_trainer.lab.samples import affordable
from tui_trainer.models.tensors import magnitudes
from tui_trainer.models.units import Units, units_of
from tui_trainer.protocol.layers import COMPANIONS, LayerRow

SAMPLE, FEWEST = 128, 40
"""Images on which units are judged, at most and at least."""

PARTS = 8
"""Parts that a look is done in, of the length that experiments give one."""

Taken = Callable[[int, Tensor], None]
"""Told of each layer's outputs (N, channels, …): its place in the table, and they."""


def output_place(rows: tuple[LayerRow, ...], place: int) -> int:
    """Return where a layer's result is ready: behind its batch norm, ReLU and dropout."""
    return place_after(rows, place, COMPANIONS)


def sample_size(context: Context) -> int:
    """Return on how many images units are judged: as many as can be looked at meanwhile."""
    wanted = affordable(context.layers, 0.5, least=FEWEST, most=SAMPLE)
    return min(wanted, len(context.digits))


def part_size(context: Context, passes: float = PARTS) -> int:
    """Return on how many images the network is run in one part."""
    return affordable(context.layers, passes, least=1, most=128)


def unit_statistics(
    context: Context, model: nn.Module, places: Collection[int], taken: Taken | None = None
) -> Generator[None, None, dict[int, Units]]:
    """Return what the layers at some places do on a sample; after each part it breathes.

    Args:
        context: What is looked at.
        model: A copy of its network, or another of the same layers.
        places: Places in the layer table.
        taken: Is shown the outputs as they come.
    """
    images = context.sample(sample_size(context)).images
    device = next((p.device for p in model.parameters()), context.device)
    found: dict[int, Units] = {}

    def reached(place: int, step: Step, result: Tensor) -> None:
        if place not in places or result.ndim < 2:
            return
        row = context.layers[place]
        if result.shape[1] != row.output_shape[2]:
            return
        outputs = magnitudes(result)
        known, more = found.get(place), units_of(row, outputs, len(outputs))
        more.zeros = outputs.numel() - int(torch.count_nonzero(outputs))
        found[place] = more if known is None else known + more
        if taken is not None:
            taken(place, outputs)

    size = part_size(context)
    for start in range(0, len(images), size):
        inputs = context.data.prepare(images[start : start + size]).to(device)
        with torch.no_grad():
            trace(model, inputs, reached=reached)
        yield
    return found
