"""Turn ink of any size and position into a digit in the format of the dataset.

MNIST's format (Y. LeCun, C. Cortes, C. Burges, "The MNIST database of handwritten digits"): the
digit is scaled to fit a box of 20×20 pixels, keeping its aspect ratio, and placed so that its
center of mass is at the center of 28×28. Measured on its 60,000 training images: the longer side of
the box around all ink is 20 pixels in 59,987 of them and 19 in the others; the center of mass is
within 0.52 pixels of pixel 14 (counted from 0) in both directions, on average at 14.00 and 14.01;
the brightest pixel is 254 or 255.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

SIDE, BOX = 28, 20
"""The size of MNIST's images, and of the box around a digit, in pixels."""

THIN, THICK = 1.77, 3.76
"""The 5th and the 95th percentile of MNIST's stroke widths, in pixels, by :func:`thickness`."""

FINE = 4
"""Strokes are widened and narrowed at this multiple of the digit's resolution."""


def as_digit(ink: Tensor, side: int = SIDE) -> Tensor | None:
    """Return ink in the format of the dataset; None if there is none.

    The brightest ink becomes 255. Strokes thinner or thicker than those of most MNIST digits are
    widened or narrowed: a pen's line on a large sheet would otherwise be a pale trace. Ink in
    MNIST's format is returned unchanged.

    Args:
        ink: Grays (H, W) of any size, from 0 for paper to 255.
        side: The image size, in pixels.

    Returns:
        Grays (side, side) as uint8.
    """
    cropped = _cropped(ink.detach().cpu().to(torch.float32))
    if cropped is None:
        return None
    box = max(1, round(side * BOX / SIDE))
    scaled = _bright(_fitted(_even(cropped, box), box))
    top, left = (_start(scaled.sum(dim=1 - along), side) for along in (0, 1))
    return _placed(scaled, top, left, side)


def as_it_lies(ink: Tensor, side: int = SIDE) -> Tensor:
    """Return ink with all paper around it, only scaled to fit and centered.

    Args:
        ink: Grays (H, W) of any size, from 0 for paper to 255.
        side: The image size, in pixels.

    Returns:
        Grays (side, side) as uint8.
    """
    scaled = _fitted(ink.detach().cpu().to(torch.float32), side)
    height, width = scaled.shape
    return _placed(scaled, (side - height) // 2, (side - width) // 2, side)


def thickness(ink: Tensor) -> float:
    """Return the stroke width of an image (H, W), in pixels.

    A stroke of length l, width w and gray g has a sum of grays g·l·w, and a sum of gradient
    magnitudes 2·g·l along its two sides: twice the first by the second is its width, independent of
    its gray and the softness of its edges.
    """
    padded = functional.pad(ink.to(torch.float32), (1, 1, 1, 1))
    down = (padded[1:] - padded[:-1]).unfold(1, 2, 1).mean(dim=2)
    across = (padded[:, 1:] - padded[:, :-1]).unfold(0, 2, 1).mean(dim=2)
    slopes = float(torch.hypot(down, across).sum())
    return 2 * float(ink.sum()) / slopes if slopes else 0.0


def widened(images: Tensor) -> Tensor:
    """Return images (…, H, W) with strokes about two pixels wider.

    Each pixel becomes the brightest of itself and its four neighbors: a dilation by a cross.
    """
    # Not max_pool2d: it takes ten times as long on a CPU.
    wide = images.clone()
    for new, old in (
        (wide[..., 1:, :], images[..., :-1, :]),
        (wide[..., :-1, :], images[..., 1:, :]),
        (wide[..., 1:], images[..., :-1]),
        (wide[..., :-1], images[..., 1:]),
    ):
        torch.maximum(new, old, out=new)
    return wide


def narrowed(images: Tensor) -> Tensor:
    """Return images (…, H, W) with strokes about two pixels narrower; the outside is paper."""
    return -widened(functional.pad(-images, (1, 1, 1, 1)))[..., 1:-1, 1:-1]


def _cropped(ink: Tensor) -> Tensor | None:
    """Return the bounding box of all ink (h, w); None without any."""
    rows, columns = (torch.nonzero((ink > 0).any(dim=1 - along)).flatten() for along in (0, 1))
    if not len(rows):
        return None
    return ink[int(rows[0]) : int(rows[-1]) + 1, int(columns[0]) : int(columns[-1]) + 1]


def _fitted(ink: Tensor, box: int) -> Tensor:
    """Scale an image so that its longer side has ``box`` pixels; keep the aspect ratio."""
    height, width = ink.shape
    longer = max(height, width)
    if longer == box:
        return ink
    size = tuple(max(1, round(length * box / longer)) for length in (height, width))
    return functional.interpolate(
        ink[None, None], size=size, mode="bilinear", antialias=True, align_corners=False
    )[0, 0].clamp(min=0)


def _bright(ink: Tensor) -> Tensor:
    """Scale grays so that the brightest is 255; 254 is left, as in MNIST's images."""
    most = float(ink.max())
    return ink if 254 <= most <= 255 else ink * (255 / most)


def _even(ink: Tensor, box: int) -> Tensor:
    """Widen or narrow strokes so that, after scaling, they are about as wide as MNIST's."""
    low, high = THIN * box / BOX, THICK * box / BOX
    width = thickness(_fitted(ink, box))
    if low <= width <= high:
        return ink
    fine = _bright(_fitted(ink, FINE * box))
    if width < low:
        # Measure after each step: the width of a hairline after scaling is that of the filter.
        for _ in range(FINE * box):
            fine = widened(functional.pad(fine[None], (1,) * 4))[0]
            if thickness(_fitted(fine, box)) >= low:
                break
        return fine
    # A fixed number of times: the solid parts of a blob would need more, and thin ones vanish.
    for _ in range(round((width - high) * FINE / 2)):
        thinner = _cropped(narrowed(fine[None])[0])
        if thinner is None:
            break
        fine = thinner
    return fine


def _placed(ink: Tensor, top: int, left: int, side: int) -> Tensor:
    """Return an image (side, side) of uint8 with the ink at this position."""
    height, width = ink.shape
    image = torch.zeros(side, side)
    image[top : top + height, left : left + width] = ink
    return image.round().clamp(max=255).to(torch.uint8)


def _start(profile: Tensor, side: int) -> int:
    """Return the offset of a row or column profile that puts its center of mass at side / 2.

    It is rounded to whole pixels and clamped, so that all ink stays inside the image.
    """
    places = torch.arange(len(profile), dtype=torch.float32)
    center = float((profile * places).sum() / profile.sum())
    return min(max(0, round(side / 2 - center)), side - len(profile))
