"""Tensors as pictures of an exhibit: images, maps, kernels, mosaics, in pages."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from itertools import pairwise
from math import ceil, isqrt

import torch
from torch import Tensor
from torch.nn import functional

from tui_trainer.lab.context import Digit
from tui_trainer.lab.controls import Controls
from tui_trainer.protocol.class_names import class_name
from tui_trainer.protocol.exhibit import Bar, Bars, Picture, Pictures, Words, counting
from tui_trainer.text.fmt import percent

WIDEST = 32
"""The largest side of a picture, in pixels: an image of CIFAR is drawn whole."""

MOSAIC = 28
"""The largest side of a mosaic, and of a part of a matrix."""

PIXELS = 12_000
"""The pixel budget of an exhibit: painting more slows the training."""

KERNEL = 9
"""The approximate side of an enlarged small kernel, in pixels."""

MOST_BARS = 12
"""Classes with a bar; with more classes, the most probable ones and the true one."""

Frame = tuple[int, int, int, int]
"""A rectangle: top, left, height and width in pixels."""


def digit_picture(
    digit: Digit, caption: str = "", frame: Frame | None = None, *, most: int | None = None
) -> Picture:
    """Return an image as a picture; see :func:`image_picture`."""
    return image_picture(digit.pixels, caption or digit.caption, frame, most=most)


def image_picture(
    pixels: Tensor, caption: str, frame: Frame | None = None, *, most: int | None = None
) -> Picture:
    """Return grays (H, W) or colors (3, H, W) from 0 to 255 as a picture.

    Args:
        pixels: The grays or colors.
        caption: The caption.
        frame: A rectangle to mark; it is dropped if the picture is shrunk.
        most: The side in pixels to which the picture is shrunk; None keeps its size.
    """
    drawn = shrunk(pixels.float().cpu(), most or max(pixels.shape[-2:]))
    kept = frame if drawn.shape == pixels.shape else None
    return map_picture(drawn, caption, low=0.0, high=255.0, frame=kept)


def drawable(images: Tensor) -> Tensor:
    """Return images (…, channels, H, W) as grays (…, H, W) or colors (…, 3, H, W).

    Of another number of channels than one or three, the mean is drawn.
    """
    return images if images.shape[-3] == 3 else images.mean(dim=-3)


def alone(digit: Digit, caption: str = "") -> Pictures:
    """Return an image as the only picture of a block."""
    return Pictures(caption=caption, items=(digit_picture(digit),))


def kernel_picture(values: Tensor, caption: str, *, bound: float, across: int = KERNEL) -> Picture:
    """Return a kernel (h, w) or (3, h, w) as a picture, enlarged to about ``across`` pixels."""
    times = max(1, across // max(values.shape[-2:]))
    return map_picture(enlarged(values, times), caption, bound=bound)


def enlarged(values: Tensor, times: int) -> Tensor:
    """Return a map (…, H, W) with each value as ``times`` × ``times`` pixels."""
    return values.repeat_interleave(times, -2).repeat_interleave(times, -1)


def probability_bars(
    caption: str,
    probabilities: Sequence[float],
    classes: Iterable[int],
    marked: int,
    names: Sequence[str] = (),
    notes: Callable[[int], str] = lambda place: "",
) -> Bars:
    """Return the probabilities of some classes as bars; ``marked`` is highlighted.

    ``names`` are the names of all classes, if they have any.
    """
    return Bars(
        caption=caption,
        bars=tuple(
            Bar(
                label=f"{class_name(names, place)} {notes(place)}".rstrip(),
                share=probabilities[place],
                number=percent(probabilities[place], 1),
                is_marked=place == marked,
            )
            for place in classes
        ),
    )


def shown_classes(probabilities: Sequence[float], label: int) -> list[int]:
    """Return the classes that get a bar: all, or of many the most probable ones and the true one.

    ``label`` is the true class.
    """
    classes = range(len(probabilities))
    if len(classes) <= MOST_BARS:
        return list(classes)
    likely = sorted(classes, key=lambda each: (each != label, -probabilities[each]))
    return sorted(likely[:MOST_BARS])


def nonfinite_notice(what: str) -> Words:
    """Return a notice that ``what`` (plural) has NaN or infinite values."""
    text = f"{what[0].upper()}{what[1:]} are not finite: the run diverged."
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
    """Return a map (H, W) as a picture; by default its scale is its own range.

    A map with negative values gets a symmetric scale around 0, unless ``low`` is given.

    Args:
        values: The map; (3, H, W) is a picture in color.
        caption: The caption.
        low: The value of the darkest pixel.
        high: The value of the brightest pixel.
        bound: Use a signed scale from -bound to bound, for maps that share a scale.
        like: A picture whose scale is reused.
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
    height, width = values.shape[-2:]
    channels = 1 if values.ndim == 2 else len(values)
    return Picture(
        caption=caption,
        height=height,
        width=width,
        values=tuple((values if channels == 1 else values.movedim(0, -1)).flatten().tolist()),
        low=least if low is None else low,
        high=most if high is None else high,
        is_signed=is_signed,
        frame=frame,
        channels=channels,
    )


def shrunk(values: Tensor, most: int = WIDEST) -> Tensor:
    """Return a map (H, W) or (channels, H, W) average-pooled to at most ``most`` pixels a side."""
    times = ceil(max(values.shape[-2:]) / most)
    if times <= 1:
        return values
    maps = values[None, None] if values.ndim == 2 else values[None]
    pooled = functional.avg_pool2d(maps, times, ceil_mode=True)[0]
    return pooled[0] if values.ndim == 2 else pooled


def tiles_that_fit(height: int, width: int) -> int:
    """Return how many tiles fit into one picture with gaps of one pixel."""
    across, down = (max(1, (MOSAIC + 1) // (side + 1)) for side in (width, height))
    return across * down


def mosaic(tiles: Tensor) -> Tensor:
    """Return tiles (N, h, w) as one nearly square picture, with gaps of value 0."""
    total, height, width = tiles.shape
    across = isqrt(total - 1) + 1
    rows = ceil(total / across)
    picture = tiles.new_zeros(rows * (height + 1) - 1, across * (width + 1) - 1)
    for place, tile in enumerate(tiles):
        top, left = place // across * (height + 1), place % across * (width + 1)
        picture[top : top + height, left : left + width] = tile
    return picture


def square(values: Tensor) -> Tensor:
    """Return values (N) row by row as one nearly square picture (h, w), padded with 0."""
    across = isqrt(max(1, len(values)) - 1) + 1
    rows = ceil(len(values) / across)
    filled = torch.zeros(rows * across)
    filled[: len(values)] = values
    return filled.reshape(rows, across)


def even_parts(total: int, most: int) -> list[range]:
    """Split ``range(total)`` into parts of nearly equal size, at most ``most`` each."""
    parts = max(1, ceil(total / most))
    ends = [round(total * part / parts) for part in range(parts + 1)]
    return [range(start, end) for start, end in pairwise(ends)]


def page_of(total: int, most: int, controls: Controls) -> range:
    """Return the indices on the selected page; a single page adds no control."""
    parts = even_parts(total, most)
    page = counting("page", "page", len(parts), first=1)
    return parts[controls.whole(page, is_shown=len(parts) > 1) - 1]
