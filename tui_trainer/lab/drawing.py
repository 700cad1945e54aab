"""Tensors as the pictures of an exhibit: digits, maps, kernels, mosaics, in pages."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from itertools import pairwise
from math import ceil, isqrt

import torch
from torch import Tensor
from torch.nn import functional

from tui_trainer.lab.context import Digit
from tui_trainer.lab.controls import Controls
from tui_trainer.protocol.exhibit import Bar, Bars, Picture, Pictures, Words, counting
from tui_trainer.text.fmt import percent

WIDEST = 28
"""Pixels that a picture has across, at most."""

PIXELS = 12_000
"""Pixels of an exhibit's pictures together: to paint more costs the run."""

KERNEL = 9
"""Pixels that a small kernel is enlarged to, at least about."""

Frame = tuple[int, int, int, int]
"""A rectangle: top, left, height and width in pixels."""


def digit_picture(
    digit: Digit, caption: str = "", frame: Frame | None = None, *, most: int | None = None
) -> Picture:
    """Return a digit as a picture; see :func:`grey_picture`."""
    return grey_picture(digit.pixels, caption or f"a {digit.label}", frame, most=most)


def grey_picture(
    pixels: Tensor, caption: str, frame: Frame | None = None, *, most: int | None = None
) -> Picture:
    """Return greys (H, W) from 0 to 255 as a picture.

    Args:
        pixels: The greys.
        caption: What it is.
        frame: A rectangle to mark, unless it is shrunk.
        most: Pixels a side to which it is shrunk; all are drawn if None.
    """
    drawn = shrunk(pixels.float().cpu(), most or max(pixels.shape))
    kept = frame if drawn.shape == pixels.shape else None
    return map_picture(drawn, caption, low=0.0, high=255.0, frame=kept)


def alone(digit: Digit, caption: str = "") -> Pictures:
    """Return a digit with nothing beside it."""
    return Pictures(caption=caption, items=(digit_picture(digit),))


def kernel_picture(values: Tensor, caption: str, *, bound: float, across: int = KERNEL) -> Picture:
    """Return a kernel (h, w) as a picture, each weight a square that makes it about so wide."""
    times = max(1, across // max(values.shape))
    return map_picture(enlarged(values, times), caption, bound=bound)


def enlarged(values: Tensor, times: int) -> Tensor:
    """Return a map (H, W) with each number as a square of ``times`` × ``times`` pixels."""
    return values.repeat_interleave(times, 0).repeat_interleave(times, 1)


def probability_bars(
    caption: str,
    probabilities: Sequence[float],
    classes: Iterable[int],
    marked: int,
    notes: Callable[[int], str] = lambda place: "",
) -> Bars:
    """Return the probabilities of some classes as bars, one of them marked, each with a note."""
    return Bars(
        caption=caption,
        bars=tuple(
            Bar(
                label=f"{place} {notes(place)}".rstrip(),
                share=probabilities[place],
                number=percent(probabilities[place], 1),
                is_marked=place == marked,
            )
            for place in classes
        ),
    )


def nonfinite_notice(what: str) -> Words:
    """Say that the maps, or what else is told, are lost."""
    text = f"{what[0].upper()}{what[1:]} are no numbers any more: the run diverged."
    return Words(text=text, tone="error")


def map_picture(
    values: Tensor,
    caption: str,
    *,
    low: float | None = None,
    high: float | None = None,
    bound: float | None = None,
    like: Picture | None = None,
    frame: Frame | None = None,
) -> Picture:
    """Return a map (H, W) as a picture, from its own least to its own largest if not told.

    A map with negative numbers is shown with 0 in the middle, unless ``low`` is given.

    Args:
        values: The map.
        caption: What it is.
        low: The number of the darkest pixel.
        high: That of the brightest.
        bound: Signed, from minus this to this: for maps that share a scale with 0 in its middle.
        like: A picture whose scale it takes.
        frame: A rectangle to mark.
    """
    values = values.detach().float().cpu()
    least, most = float(values.min()), float(values.max())
    is_signed = bound is not None or (low is None and least < 0)
    if is_signed:
        high = bound or max(-least, most) or 1.0
        low = -high
    if like is not None:
        low, high, is_signed = like.low, like.high, like.is_signed
    return Picture(
        caption=caption,
        height=values.shape[0],
        width=values.shape[1],
        values=tuple(values.flatten().tolist()),
        low=least if low is None else low,
        high=most if high is None else high,
        is_signed=is_signed,
        frame=frame,
    )


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
