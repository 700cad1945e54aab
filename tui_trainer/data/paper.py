"""Separate ink from paper: color axis, sheet, uneven lighting, ink."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional

from tui_trainer.data.regions import (
    Region,
    area_of,
    closed,
    filled,
    grown,
    hull_of,
    quadrilateral_share,
    region_of,
    regions_of,
    shrunk,
)

AUTO, DARK, LIGHT = "auto", "dark", "light"
INKS = (AUTO, DARK, LIGHT)
"""Which pixels are ink: decided by the border, or darker, or lighter than the paper."""

FAINTEST = 20
"""Ink differs from the paper by at least so many of 255 grays …"""

ABOVE_GRAIN = 6
"""… and by at least so many standard deviations of the paper's grain."""

GRAINY = 100
"""A photograph with at least so many pixels per side is smoothed with a 3×3 mean."""

COARSE = 48
"""Pixels of the longer side at which the lighting of the paper is estimated."""

BORDER = 0.04
"""The width of the border as a share of the shorter side."""

LUMA = (19_595, 38_470, 7_471)
"""The weights of red, green and blue in a gray, times 65,536, as in Pillow (ITU-R 601-2)."""

ALIKE = 0.7
"""Grays with a smaller share of the colors' contrast hide the ink …"""

COLORFUL = 0.1
"""… and grays may, of colors with more of their variance off the principal axis."""

CLEANABLE = 48
"""A smaller picture is used unchanged: its parts have few pixels."""

SHEET_PIXELS = 128
"""Pixels of the longer side at which a sheet is searched for."""

SMALLEST_SHEET, LARGEST_SHEET = 0.05, 0.97
"""The share of the picture that a sheet covers; a larger one is the picture."""

BAY = 5
"""Half the width of a notch that ink cuts into a sheet, in pixels of the search."""

BLANK_SHEET = 0.2
"""A solid shape of this share of the picture is not ink, but a sheet or another object."""

BLANK_SHARE = 0.6
"""The least share of blank paper on a sheet; the rest is ink."""

CONVEX, QUADRILATERAL = 0.9, 0.85
"""The least share of its hull that a sheet fills, and of the hull that a quadrilateral fills: of an
ellipse 0.64."""

SHARP = 0.6
"""The edge of a sheet has at least this share of its contrast; the edge of a shadow has less."""

BROAD = 0.3
"""The least area of a sheet as a share of its squared diagonal: sides up to 3:1. A 1 has less."""

ROUNDS = 8
"""Iterations of the fit of the lighting."""

WRITTEN, RUNNING_OFF = 0.12, 0.15
"""Ink on a sheet has at least this share of its shorter side, and at most this share of its
border."""


class UnclearError(Exception):
    """A picture does not hold one digit; the text says what it holds and what to do."""


def grays_of(picture: Tensor) -> Tensor:
    """Return the grays of a picture, or its projection on a color axis if grays hide the ink.

    That is the principal axis of the differences from the paper, the color of the border.

    Args:
        picture: Gray (1, H, W), or red, green and blue (3, H, W), 0 to 255.

    Returns:
        Floats (H, W); on the axis, lighter colors have larger values.
    """
    if len(picture) == 1:
        return picture[0]
    luma = torch.tensor(LUMA, dtype=torch.float32) / 65_536
    paper = torch.stack([border_of(channel).median() for channel in picture])
    away = (picture - paper[:, None, None]).flatten(1)
    spread = away @ away.T / away.shape[1]
    strength, axes = torch.linalg.eigh(spread)
    second, first = strength[-2:].tolist()
    if float(luma @ spread @ luma) >= ALIKE**2 * first / 3 and second <= COLORFUL * first:
        weights = torch.tensor(LUMA, dtype=torch.int64)[:, None, None]
        return ((picture.to(torch.int64) * weights).sum(dim=0) + 32_768 >> 16).to(torch.float32)
    axis = axes[:, -1] / 3**0.5
    places: Tensor = axis @ away if float(axis @ luma) > 0 else -axis @ away
    return places.view(picture.shape[1:]) + 128


def ink_of(grays: Tensor, ink: str, *, is_clean: bool) -> Tensor | None:
    """Return the ink (H, W) of grays on paper as uint8; None if there is none.

    Paper has uneven lighting and grain if its border is not of one gray, or the format is lossy.
    """
    border = border_of(grays)
    middle = border.median()
    is_clean &= float((border == middle).float().mean()) >= 0.5
    grays, paper = grays.to(torch.float32), middle.to(torch.float32)
    if not is_clean and min(grays.shape) >= GRAINY:
        grays = functional.avg_pool2d(grays[None], 3, 1, 1, count_include_pad=False)[0]
    is_dark = paper - grays.min() >= grays.max() - paper if ink == AUTO else ink == DARK
    if not is_clean:
        paper = _lighting(grays, is_dark=bool(is_dark))
    found = paper - grays if is_dark else grays - paper
    edge = border_of(found)
    grain = 0.0 if is_clean else 1.48 * float((edge - edge.median()).abs().median())
    most = float(found.max())
    if most < max(FAINTEST, ABOVE_GRAIN * grain):
        return None
    found = found.clamp(min=0) * (255 / most)
    if not is_clean:
        found[found < otsu_threshold(found) / 2] = 0
    return found.round().to(torch.uint8)


def sheet_of(picture: Tensor, ink: str) -> Tensor | None:
    """Return the part of a picture that is a sheet with ink on it; None without such a part.

    A sheet is a convex region with four corners and sharp edges, of another gray than its
    surroundings, with ink on it. The rest of its bounding box is filled with the sheet's color.

    Args:
        picture: Gray (1, H, W), or red, green and blue (3, H, W), 0 to 255.
        ink: One of :data:`INKS`.

    Raises:
        UnclearError: If there is a sheet, but no separate ink on it.
    """
    grays = grays_of(picture)
    if max(grays.shape) < CLEANABLE:
        return None
    times = -(-max(grays.shape) // SHEET_PIXELS)
    coarse = functional.avg_pool2d(grays[None], times, ceil_mode=True, count_include_pad=False)[0]
    least, most = float(coarse.min()), float(coarse.max())
    if most - least < 2 * FAINTEST:
        return None
    split = least + (most - least) * otsu_threshold((coarse - least) * (255 / (most - least))) / 255
    sheets = []
    for mask in (coarse > split, coarse <= split):
        opened = grown(shrunk(mask, 1), 1) & mask
        for region in regions_of(opened, least=int(SMALLEST_SHEET / 2 * coarse.numel())):
            # A region at the border may be a shadow: a notch in it can be a digit.
            bay = 0 if region.touches_border else BAY
            whole = filled(closed(region.mask, bay) if bay else region.mask)
            if _is_sheet(whole, mask, coarse):
                sheets.append(region_of(whole))
    sheets.sort(key=lambda sheet: -sheet.area)
    for sheet in sheets:
        inner = _cut_out(picture, sheet, times)
        running_off = 0.0 if sheet.touches_border else RUNNING_OFF
        if inner is not None and _is_written(inner, ink, running_off):
            return inner
    least = BLANK_SHEET * coarse.numel()
    if any(sheet.area >= least and not sheet.touches_border for sheet in sheets):
        raise UnclearError(
            "holds a sheet or a solid shape, and no separate ink on it; crop it to the digit"
        )
    return None


def _is_sheet(whole: Tensor, kind: Tensor, coarse: Tensor) -> bool:
    """Return whether a region without holes has the shape and the edges of a sheet.

    Args:
        whole: The region (H, W).
        kind: The pixels of the picture (H, W) on the sheet's side of the threshold.
        coarse: The grays (H, W).
    """
    area = int(whole.sum())
    if not SMALLEST_SHEET <= area / coarse.numel() <= LARGEST_SHEET:
        return False
    hull = hull_of(whole)
    if area < BROAD * max(math.dist(one, two) for one in hull for two in hull) ** 2:
        return False
    if int((whole & kind).sum()) < BLANK_SHARE * area or area < CONVEX * area_of(hull):
        return False
    inside, outside = _around(~whole), _around(whole)
    if not bool(outside.any()) or quadrilateral_share(hull) < QUADRILATERAL:
        return False
    contrast = abs(float(coarse[whole].median() - coarse[~whole].median()))
    edge = abs(float(coarse[inside].median() - coarse[outside].median()))
    return edge >= max(FAINTEST, SHARP * contrast)


def _around(mask: Tensor) -> Tensor:
    """Return the pixels near a mask (H, W), without the blurred ones at its edge."""
    return grown(mask, 3) & ~grown(mask, 1)


def _cut_out(picture: Tensor, sheet: Region, times: int) -> Tensor | None:
    """Crop a sheet from a picture (C, H, W), without its outermost pixels."""
    mask = shrunk(functional.pad(sheet.mask, (2, 2, 2, 2), value=True), 2)[2:-2, 2:-2]
    if not bool(mask.any()):
        return None
    fine = mask.repeat_interleave(times, 0).repeat_interleave(times, 1)
    fine = fine[: picture.shape[1], : picture.shape[2]]
    box = region_of(fine)
    rows, columns = slice(box.top, box.bottom), slice(box.left, box.right)
    inner, fine = picture[:, rows, columns].clone(), fine[rows, columns]
    for channel in inner:
        channel[~fine] = channel[fine].median()
    return inner


def _is_written(inner: Tensor, ink: str, running_off: float) -> bool:
    """Return whether a sheet (C, H, W) has ink, on at most a share of its border."""
    found = ink_of(grays_of(inner), ink, is_clean=False)
    if found is None:
        return False
    strong = region_of(found >= 128)
    on_edges = float((border_of(found) >= 128).float().mean())
    return strong.size >= WRITTEN * min(found.shape) and on_edges <= running_off


def _lighting(grays: Tensor, *, is_dark: bool) -> Tensor:
    """Return the gray of the paper at each pixel (H, W): the picture without narrow structures.

    It is a morphological closing of dark ink, or an opening of light ink, at a coarse resolution,
    with a window of a third of the picture: wider than any stroke. A smooth gradient of light is
    subtracted before, since the window is cut at the sides of the picture.
    """
    height, width = grays.shape
    rows, columns = (max(1, round(n * COARSE / max(height, width))) for n in (height, width))
    paper = functional.adaptive_avg_pool2d(grays[None], (rows, columns))
    light = _light(paper[0])
    paper = paper - light if is_dark else light - paper
    window = COARSE // 6
    paper = functional.max_pool2d(paper, 2 * window + 1, 1, window)
    paper = -functional.max_pool2d(-paper, 2 * window + 1, 1, window)
    paper = functional.avg_pool2d(paper, 5, 1, 2, count_include_pad=False)
    paper = light + paper if is_dark else light - paper
    return functional.interpolate(paper[None], (height, width), mode="bilinear")[0, 0]


def _light(grays: Tensor) -> Tensor:
    """Fit a quadratic surface (H, W) to the grays.

    By least absolute differences with iteratively reweighted least squares: robust against ink.
    """
    down, across = (torch.linspace(-1, 1, size) for size in grays.shape)
    y, x = (each.flatten() for each in torch.meshgrid(down, across, indexing="ij"))
    terms = torch.stack([torch.ones_like(x), x, y, x * x, x * y, y * y], dim=1)
    values, weights = grays.flatten(), torch.ones(grays.numel())
    surface = values
    for _ in range(ROUNDS):
        weighted = terms * weights[:, None]
        solution = torch.linalg.pinv(weighted.T @ terms) @ (weighted.T @ values)
        surface = terms @ solution
        weights = 1 / (values - surface).abs().clamp(min=1)
    return surface.view_as(grays)


def border_of(grays: Tensor) -> Tensor:
    """Return the pixels along the four sides of a picture, flat."""
    height, width = grays.shape
    wide = max(1, round(BORDER * min(height, width)))
    inner = torch.zeros(height, width, dtype=torch.bool)
    inner[wide : height - wide, wide : width - wide] = True
    return grays[~inner]


def otsu_threshold(ink: Tensor) -> float:
    """Return Otsu's threshold of a picture (H, W).

    Source: N. Otsu, "A threshold selection method from gray-level histograms", IEEE Transactions on
    Systems, Man, and Cybernetics 9 (1979), 62-66.
    """
    share = torch.bincount(ink.round().to(torch.int64).flatten(), minlength=256).to(torch.float64)
    share /= share.sum()
    below = share.cumsum(0)
    mass = (share * torch.arange(256, dtype=torch.float64)).cumsum(0)
    apart = (mass[-1] * below - mass) ** 2 / (below * (1 - below)).clamp(min=1e-12)
    return float(apart.argmax())
