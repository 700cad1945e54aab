"""Connected regions of masks, and their outlines."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

Corner = tuple[int, int]
"""A position in a mask: row and column."""


@dataclass(frozen=True, slots=True)
class Region:
    """A connected part of a mask.

    Attributes:
        mask: Its pixels (H, W), as bool.
        area: The number of its pixels.
        top: Its first row.
        left: Its first column.
        bottom: The row after its last row.
        right: The column after its last column.
    """

    mask: Tensor
    area: int
    top: int
    left: int
    bottom: int
    right: int

    @property
    def height(self) -> int:
        """Rows of its bounding box."""
        return self.bottom - self.top

    @property
    def width(self) -> int:
        """Columns of its bounding box."""
        return self.right - self.left

    @property
    def size(self) -> int:
        """The longer side of its bounding box."""
        return max(self.height, self.width)

    @property
    def touches_border(self) -> bool:
        """Whether it touches one of the four sides of its mask."""
        height, width = self.mask.shape
        return self.top == 0 or self.left == 0 or self.bottom == height or self.right == width


def region_of(mask: Tensor) -> Region:
    """Return all pixels of a mask (H, W), at least one, as one region, connected or not."""
    rows, columns = (torch.nonzero(mask.any(dim=1 - along)).flatten() for along in (0, 1))
    top, bottom, left, right = rows[0], rows[-1] + 1, columns[0], columns[-1] + 1
    return Region(mask, int(mask.sum()), int(top), int(left), int(bottom), int(right))


def regions_of(mask: Tensor, *, least: int = 1, diagonal: bool = True) -> list[Region]:
    """Return the connected regions of a mask (H, W), the largest first.

    Args:
        mask: The pixels, as bool.
        least: The smallest area that counts, in pixels.
        diagonal: Whether pixels that share only a corner are connected.
    """
    runs = _runs(mask)
    roots = _joined(runs, reach=1 if diagonal else 0)
    areas: dict[int, int] = {}
    for root, (_, first, end) in zip(roots, runs, strict=True):
        areas[root] = areas.get(root, 0) + end - first
    lengths = torch.tensor([end - first for _, first, end in runs], dtype=torch.int64)
    labels = torch.full(mask.shape, -1, dtype=torch.int64)
    labels[mask] = torch.tensor(roots, dtype=torch.int64).repeat_interleave(lengths)
    chosen = sorted((root for root in areas if areas[root] >= least), key=lambda root: -areas[root])
    return [region_of(labels == root) for root in chosen]


def _runs(mask: Tensor) -> list[tuple[int, int, int]]:
    """Return the horizontal runs of a mask: row, first column and the column after the last."""
    steps = functional.pad(mask.to(torch.int8), (1, 1)).diff(dim=1)
    firsts, ends = torch.nonzero(steps == 1).tolist(), torch.nonzero(steps == -1)[:, 1].tolist()
    return [(row, first, end) for (row, first), end in zip(firsts, ends, strict=True)]


def _joined(runs: Sequence[tuple[int, int, int]], reach: int) -> list[int]:
    """Return for each run the first run of its region: union-find over neighboring rows."""
    parents = list(range(len(runs)))

    def root_of(at: int) -> int:
        while parents[at] != at:
            parents[at] = parents[parents[at]]
            at = parents[at]
        return at

    above = 0
    for at, (row, first, end) in enumerate(runs):
        while runs[above][0] < row - 1 or (
            runs[above][0] == row - 1 and runs[above][2] + reach <= first
        ):
            above += 1
        other = above
        while runs[other][0] == row - 1 and runs[other][1] < end + reach:
            one, two = sorted((root_of(at), root_of(other)))
            parents[two] = one
            other += 1
    return [root_of(at) for at in range(len(runs))]


def holes_of(mask: Tensor, *, least: int = 1) -> list[Region]:
    """Return the regions that a mask (H, W) encloses, the largest first."""
    return [
        region
        for region in regions_of(~mask, least=least, diagonal=False)
        if not region.touches_border
    ]


def filled(mask: Tensor) -> Tensor:
    """Fill the holes of a mask (H, W)."""
    around = functional.pad(~mask, (1, 1, 1, 1), value=True)
    outside = next(part for part in regions_of(around, diagonal=False) if part.mask[0, 0])
    return ~outside.mask[1:-1, 1:-1]


def grown(mask: Tensor, by: int) -> Tensor:
    """Dilate a mask (H, W) by a square of half-width ``by``."""
    if by < 1:
        return mask
    pixels, window = mask[None].to(torch.float32), 2 * by + 1
    # One axis after the other: a square window takes its width times as long.
    rows = functional.max_pool2d(pixels, (window, 1), 1, (by, 0))
    return functional.max_pool2d(rows, (1, window), 1, (0, by))[0] > 0


def shrunk(mask: Tensor, by: int) -> Tensor:
    """Erode a mask (H, W) by a square of half-width ``by``, also from the sides."""
    return ~grown(functional.pad(~mask, (by,) * 4, value=True), by)[by:-by, by:-by] if by else mask


def closed(mask: Tensor, by: int) -> Tensor:
    """Close gaps and notches of a mask (H, W), up to a width of 2 ``by``."""
    around = functional.pad(mask, (by,) * 4)
    return shrunk(grown(around, by), by)[by:-by, by:-by] | mask


def opened(ink: Tensor, window: tuple[int, int]) -> Tensor:
    """Remove from ink (H, W) what is smaller than a window: a morphological opening."""
    height, width = window
    up, left = (height - 1) // 2, (width - 1) // 2
    down, right = height - 1 - up, width - 1 - left
    least = -functional.pad(ink[None], (left, right, up, down))
    least = _pooled(least, window)
    most = functional.pad(-least, (right, left, down, up), value=-1.0)
    return _pooled(most, window)[0]


def _pooled(ink: Tensor, window: tuple[int, int]) -> Tensor:
    """Return the maximum over a window, one axis after the other: far less work."""
    return functional.max_pool2d(functional.max_pool2d(ink, (window[0], 1), 1), (1, window[1]), 1)


def hull_of(mask: Tensor) -> list[Corner]:
    """Return the corners of the convex hull of a mask's pixels (H, W), in order.

    Source: A. M. Andrew, "Another efficient algorithm for convex hulls in two dimensions",
    Information Processing Letters 9 (1979), 216-219.
    """
    rows = torch.nonzero(mask.any(dim=1)).flatten()
    firsts = mask[rows].to(torch.int8).argmax(dim=1)
    lasts = mask.shape[1] - mask[rows].flip(1).to(torch.int8).argmax(dim=1)
    corners = {
        (row + down, column)
        for row, first, last in zip(rows.tolist(), firsts.tolist(), lasts.tolist(), strict=True)
        for down in (0, 1)
        for column in (first, last)
    }
    upwards = sorted(corners)
    return [*_half(upwards), *_half(upwards[::-1])]


def _half(corners: Sequence[Corner]) -> list[Corner]:
    chain: list[Corner] = []
    for corner in corners:
        while len(chain) > 1 and _turn(chain[-2], chain[-1], corner) <= 0:
            chain.pop()
        chain.append(corner)
    return chain[:-1]


def _turn(one: Corner, two: Corner, three: Corner) -> int:
    return (two[0] - one[0]) * (three[1] - one[1]) - (two[1] - one[1]) * (three[0] - one[0])


def area_of(corners: Sequence[Corner]) -> float:
    """Return the area of a polygon."""
    ends = [*corners[1:], *corners[:1]]
    return abs(sum(a[0] * b[1] - a[1] * b[0] for a, b in zip(corners, ends, strict=True))) / 2


def quadrilateral_share(hull: Sequence[Corner]) -> float:
    """Return the share of a convex polygon that its largest inscribed quadrilateral covers.

    A sheet of paper has 1 from any perspective, an ellipse 2/π.
    """
    best = 0.0
    count = len(hull)
    for one in range(count):
        for three in range(one + 2, count):
            two = max(abs(_turn(hull[one], hull[at], hull[three])) for at in range(one + 1, three))
            others = [*range(three + 1, count), *range(one)]
            four = max((abs(_turn(hull[one], hull[at], hull[three])) for at in others), default=0)
            best = max(best, (two + four) / 2)
    whole = area_of(hull)
    return best / whole if whole else 0.0
