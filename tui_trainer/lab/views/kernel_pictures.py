"""The kernels of a layer as pictures: small ones, mosaics of their channels, or a matrix."""

from __future__ import annotations

from collections.abc import Sequence
from math import isfinite

import torch
from torch import Tensor

from tui_trainer.anatomy.review.design import CONVOLUTIONS
from tui_trainer.lab.picture_blocks import enlarged, map_picture, no_numbers
from tui_trainer.lab.views.tiles import PIXELS, WIDEST, even_parts, mosaic, shrunk, tiles_that_fit
from tui_trainer.lab.views.weights import Kernel, Weights
from tui_trainer.protocol.exhibit import Block, Picture, Pictures
from tui_trainer.text.fmt import plural

NOW, START, CHANGE = "now", "start", "change"
TOLD = {NOW: "now", START: "at the start", CHANGE: "how they changed"}
"""What is drawn of the weights, and what that is called."""

SMALL, LARGE, MOST_ROWS = 18, 16, 28
"""Kernels on a page: of a single channel, as a mosaic of channels, and as rows of a matrix."""

DRAWN = 9
"""Pixels that a small kernel is enlarged to, at least about."""

MATRICES = 4
"""Parts of a matrix of 1×1 kernels that stand beside each other."""


def shown(weights: Weights, what: str) -> Tensor:
    """Return the weights that are drawn (kernels, channels, height, width)."""
    if weights.start is None or what == NOW:
        return weights.now
    return weights.start if what == START else weights.now - weights.start


def per_page(values: Tensor) -> int:
    """Return how many kernels are drawn at once."""
    _, channels, height, width = values.shape
    if height * width == 1:
        return MOST_ROWS
    pixels = min(WIDEST, height) * min(WIDEST, width) * min(channels, tiles_that_fit(height, width))
    return max(1, min(SMALL if channels == 1 else LARGE, PIXELS // pixels))


def pictures(
    weights: Weights,
    values: Tensor,
    what: str,
    page: range,
    kernels: Sequence[Kernel],
) -> Block:
    """Return a page of kernels; those of now and of the start share their scale."""
    total, channels, height, width = values.shape
    if not bool(torch.isfinite(values).all()):
        return no_numbers("the weights")
    both = [values] if what == CHANGE or weights.start is None else [weights.now, weights.start]
    bound = max(float(each.abs().max()) for each in both) or 1.0
    if height * width == 1:
        return _matrices(weights, values[:, :, 0, 0], what, page, bound)
    fits = tiles_that_fit(height, width)
    kept = strongest(values, fits)
    noun = "kernel" if weights.row.kind in CONVOLUTIONS else "unit"
    of = "" if len(page) == total else f" {page[0]} to {page[-1]} of {total}"
    aside = "" if len(kept) == channels else f", the {len(kept)} strongest of {channels} channels"
    inside = "" if channels == 1 else f"; each a mosaic of its channels{aside}"
    return Pictures(
        caption=f"{weights.name}: {noun}s{of or f', all {total}'}, {TOLD[what]}{inside}",
        items=tuple(
            _picture(values[number, kept], number, bound, kernels[number], what) for number in page
        ),
    )


def strongest(values: Tensor, most: int) -> list[int]:
    """Return the channels with the largest weights over all kernels, in their own order."""
    norms = values.pow(2).sum(dim=(0, 2, 3))
    return sorted(norms.argsort(descending=True)[:most].tolist())


def _picture(values: Tensor, number: int, bound: float, kernel: Kernel, what: str) -> Picture:
    tiles = torch.stack([shrunk(tile) for tile in values])
    if len(tiles) == 1:
        drawn = enlarged(tiles[0], max(1, DRAWN // max(tiles.shape[1:])))
    else:
        drawn = mosaic(tiles)
    told = [str(number), kernel.mark]
    if what == CHANGE and isfinite(kernel.moved):
        told.append(f"{kernel.moved:.2f}")
    return map_picture(drawn, " ".join(filter(None, told)), bound=bound)


def _matrices(weights: Weights, values: Tensor, what: str, page: range, bound: float) -> Pictures:
    """Return 1×1 kernels (kernels, channels) as a matrix, in parts where it is too wide."""
    channels = values.shape[1]
    parts = even_parts(channels, WIDEST)
    cut = "" if len(parts) <= MATRICES else f", the first {MATRICES * len(parts[0])} or so"
    noun = "kernels" if weights.row.kind in CONVOLUTIONS else "units"
    return Pictures(
        caption=f"{weights.name}: {TOLD[what]}; a row for each of the {noun} {page[0]} to "
        f"{page[-1]}, a column for each of {plural(channels, 'channel')}{cut}",
        items=tuple(
            map_picture(
                values[page[0] : page[-1] + 1, part[0] : part[-1] + 1],
                f"channels {part[0]} to {part[-1]}",
                bound=bound,
            )
            for part in parts[:MATRICES]
        ),
    )
