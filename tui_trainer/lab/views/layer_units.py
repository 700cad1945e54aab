"""Statistics of the units of each layer on a sample: channels of a map, or flat features."""

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
"""Images of the sample, at most and at least."""

PARTS = 8
"""Slices into which the work of a view is divided."""

Taken = Callable[[int, Tensor], None]
"""Called with the index of a layer in the table and its outputs (N, channels, …)."""


def output_place(rows: tuple[LayerRow, ...], place: int) -> int:
    """Return the place of a layer's output after its batch norm, ReLU and dropout."""
    return place_after(rows, place, COMPANIONS)


def sample_size(context: Context) -> int:
    """Return the size of the sample: as many images as are affordable."""
    wanted = affordable(context.layers, 0.5, least=FEWEST, most=SAMPLE)
    return min(wanted, len(context.digits))


def part_size(context: Context, passes: float = PARTS) -> int:
    """Return the number of images per slice."""
    return affordable(context.layers, passes, least=1, most=128)


def unit_statistics(
    context: Context, model: nn.Module, places: Collection[int], taken: Taken | None = None
) -> Generator[None, None, dict[int, Units]]:
    """Return the unit statistics of some layers on a sample; yield after each slice.

    Args:
        context: The context of the view.
        model: A copy of its model, or another model with the same layers.
        places: Places in the layer table.
        taken: Called with each layer's outputs.
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
