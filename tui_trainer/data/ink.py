"""From ink, whatever its size and place, to a digit as the dataset's own images are made.

MNIST's are made so (Y. LeCun, C. Cortes, C. Burges, "The MNIST database of handwritten digits"):
the digit is scaled to fit a box of 20×20 pixels with its aspect kept, and placed so that its centre
of mass is at the centre of 28×28. Measured on its 60,000 training images: the longer side of the
box around all ink is 20 pixels in 59,987 of them and 19 in the others; the centre of mass is within
0.52 pixels of pixel 14 (counted from 0) in both directions, on average at 14.00 and 14.01; the
brightest pixel is 254 or 255.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

SIDE, BOX = 28, 20
"""MNIST's images, and the box that a digit fits into, in pixels."""

THIN, THICK = 1.77, 3.76
"""The widths of MNIST's strokes, in pixels: 5 % of its training images have thinner ones, 5 %
thicker ones, by :func:`thickness`."""

FINE = 4
"""Strokes are made wider, or narrower, at so many times the resolution of the digit."""


def as_digit(ink: Tensor, side: int = SIDE) -> Tensor | None:
    """Return ink as the dataset's images are made; None if there is none.

    The brightest ink becomes 255. Strokes that are thinner than MNIST's thin ones are widened
    until they are so wide, and thick ones narrowed: a pen's line on a large sheet would otherwise
    be a pale trace. Ink that is as MNIST's already comes back as it is.

    Args:
        ink: Greys (H, W) of any size, from 0 for paper to 255.
        side: The side of the images, in pixels.

    Returns:
        Greys (side, side) as uint8.
    """
    cropped = _cropped(ink.detach().cpu().to(torch.float32))
    if cropped is None:
        return None
    box = max(1, round(side * BOX / SIDE))
    scaled = _bright(_fitted(_even(cropped, box), box))
    top, left = (_start(scaled.sum(dim=1 - along), side) for along in (0, 1))
    return _placed(scaled, top, left, side)


def as_it_lies(ink: Tensor, side: int = SIDE) -> Tensor:
    """Return ink as it is, all paper around it included: only scaled to fit, in the middle.

    Args:
        ink: Greys (H, W) of any size, from 0 for paper to 255.
        side: The side of the images, in pixels.

    Returns:
        Greys (side, side) as uint8.
    """
    scaled = _fitted(ink.detach().cpu().to(torch.float32), side)
    height, width = scaled.shape
    return _placed(scaled, (side - height) // 2, (side - width) // 2, side)


def thickness(ink: Tensor) -> float:
    """Return how wide the strokes of an image (H, W) are, in pixels.

    A stroke of length l and width w has an area of l·w, and its grey rises and falls by its full
    height along both of its sides: twice the area by the sum of the slopes is its width, whatever
    its grey and however soft its edges.
    """
    padded = functional.pad(ink.to(torch.float32), (1, 1, 1, 1))
    down = (padded[1:] - padded[:-1]).unfold(1, 2, 1).mean(dim=2)
    across = (padded[:, 1:] - padded[:, :-1]).unfold(0, 2, 1).mean(dim=2)
    slopes = float(torch.hypot(down, across).sum())
    return 2 * float(ink.sum()) / slopes if slopes else 0.0


def widened(images: Tensor) -> Tensor:
    """Return images (N, H, W) with strokes about two pixels wider.

    Each pixel becomes the brightest of itself and the four beside it: a dilation by a cross.
    """
    # By hand: max_pool2d takes ten times as long on a CPU.
    wide = images.clone()
    for new, old in (
        (wide[:, 1:], images[:, :-1]),
        (wide[:, :-1], images[:, 1:]),
        (wide[:, :, 1:], images[:, :, :-1]),
        (wide[:, :, :-1], images[:, :, 1:]),
    ):
        torch.maximum(new, old, out=new)
    return wide


def narrowed(images: Tensor) -> Tensor:
    """Return images (N, H, W) with strokes about two pixels narrower; beyond them is paper."""
    return -widened(functional.pad(-images, (1, 1, 1, 1)))[:, 1:-1, 1:-1]


def _cropped(ink: Tensor) -> Tensor | None:
    """Return the box around all ink (h, w); None without any."""
    rows, columns = (torch.nonzero((ink > 0).any(dim=1 - along)).flatten() for along in (0, 1))
    if not len(rows):
        return None
    return ink[int(rows[0]) : int(rows[-1]) + 1, int(columns[0]) : int(columns[-1]) + 1]


def _fitted(ink: Tensor, box: int) -> Tensor:
    """Return an image scaled, with its aspect kept, so that its longer side has so many pixels."""
    height, width = ink.shape
    longer = max(height, width)
    if longer == box:
        return ink
    size = tuple(max(1, round(length * box / longer)) for length in (height, width))
    return functional.interpolate(
        ink[None, None], size=size, mode="bilinear", antialias=True, align_corners=False
    )[0, 0].clamp(min=0)


def _bright(ink: Tensor) -> Tensor:
    """Return an image with its brightest pixel at 255; 254 counts, as in MNIST's own."""
    most = float(ink.max())
    return ink if 254 <= most <= 255 else ink * (255 / most)


def _even(ink: Tensor, box: int) -> Tensor:
    """Return the ink of a box with strokes about as wide as MNIST's, once it is scaled."""
    low, high = THIN * box / BOX, THICK * box / BOX
    width = thickness(_fitted(ink, box))
    if low <= width <= high:
        return ink
    fine = _bright(_fitted(ink, FINE * box))
    if width < low:
        # Measured after each step: a hair's width is that of the scaling, not its own.
        for _ in range(FINE * box):
            fine = widened(functional.pad(fine[None], (1,) * 4))[0]
            if thickness(_fitted(fine, box)) >= low:
                break
        return fine
    # By a fixed amount: the solid parts of a blob would ask for more, and thin ones would be lost.
    for _ in range(round((width - high) * FINE / 2)):
        thinner = _cropped(narrowed(fine[None])[0])
        if thinner is None:
            break
        fine = thinner
    return fine


def _placed(ink: Tensor, top: int, left: int, side: int) -> Tensor:
    """Return an image (side, side) of uint8 with ink at a place in it."""
    height, width = ink.shape
    image = torch.zeros(side, side)
    image[top : top + height, left : left + width] = ink
    return image.round().clamp(max=255).to(torch.uint8)


def _start(profile: Tensor, side: int) -> int:
    """Return where a line of sums of grey begins, for its centre of mass to be at side / 2.

    It is rounded to whole pixels, and nothing leaves the image.
    """
    places = torch.arange(len(profile), dtype=torch.float32)
    centre = float((profile * places).sum() / profile.sum())
    return min(max(0, round(side / 2 - centre)), side - len(profile))
