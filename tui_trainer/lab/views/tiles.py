"""Kernels and maps laid out as pictures that are no wider than there is room for."""

from __future__ import annotations

from itertools import pairwise
from math import ceil, isqrt

import torch
from torch import Tensor
from torch.nn import functional

from tui_trainer.lab.controls import Controls
from tui_trainer.protocol.exhibit import counting

WIDEST = 28
"""Pixels that a picture has across, at most."""

PIXELS = 12_000
"""Pixels of an exhibit's pictures together: to paint more costs the run."""


def shrunk(values: Tensor, most: int = WIDEST) -> Tensor:
    """Return a map (H, W) of at most so many pixels a side: means of squares where it has more."""
    times = ceil(max(values.shape) / most)
    if times <= 1:
        return values
    return functional.avg_pool2d(values[None, None], times, ceil_mode=True)[0, 0]


def tiles_that_fit(height: int, width: int) -> int:
    """Return how many tiles of a size fit into one picture, a pixel between two."""
    across, down = (max(1, (WIDEST + 1) // (side + 1)) for side in (width, height))
    return across * down


def mosaic(tiles: Tensor) -> Tensor:
    """Return tiles (N, h, w) as one picture, about as wide as it is high, with 0 between them."""
    total, height, width = tiles.shape
    across = isqrt(total - 1) + 1
    rows = ceil(total / across)
    picture = tiles.new_zeros(rows * (height + 1) - 1, across * (width + 1) - 1)
    for place, tile in enumerate(tiles):
        top, left = place // across * (height + 1), place % across * (width + 1)
        picture[top : top + height, left : left + width] = tile
    return picture


def square(values: Tensor) -> Tensor:
    """Return numbers (N) row by row as one picture (h, w); what is left over is 0."""
    across = isqrt(max(1, len(values)) - 1) + 1
    rows = ceil(len(values) / across)
    filled = torch.zeros(rows * across)
    filled[: len(values)] = values
    return filled.reshape(rows, across)


def even_parts(total: int, most: int) -> list[range]:
    """Return the numbers below ``total`` in parts of about one size, none above ``most``."""
    parts = max(1, ceil(total / most))
    ends = [round(total * part / parts) for part in range(parts + 1)]
    return [range(start, end) for start, end in pairwise(ends)]


def page_of(total: int, most: int, controls: Controls) -> range:
    """Return which of ``total`` things are on the chosen page; a single page has no control."""
    parts = even_parts(total, most)
    page = counting("page", "page", len(parts), first=1)
    return parts[controls.whole(page, is_shown=len(parts) > 1) - 1]
