"""Regions of masks, compared with SciPy's labels and with geometry."""

from __future__ import annotations

import math

import pytest
import torch
from scipy import ndimage
from torch import Tensor

from tui_trainer.data.regions import (
    area_of,
    closed,
    filled,
    grown,
    holes_of,
    hull_of,
    opened,
    quadrilateral_share,
    region_of,
    regions_of,
    shrunk,
)


def noise(seed: int, share: float, shape: tuple[int, int] = (37, 53)) -> Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed)) < share


@pytest.mark.parametrize("diagonal", [True, False])
@pytest.mark.parametrize("share", [0.05, 0.4, 0.6, 0.95])
def test_regions_are_those_of_scipy(share: float, diagonal: bool) -> None:
    mask = noise(int(100 * share), share)
    structure = ndimage.generate_binary_structure(2, 2 if diagonal else 1)
    labels, count = ndimage.label(mask.numpy(), structure)
    expected = {
        frozenset((labels == n).nonzero()[0] * 53 + (labels == n).nonzero()[1])
        for n in range(1, count + 1)
    }

    found = regions_of(mask, diagonal=diagonal)

    assert {
        frozenset(part.mask.flatten().nonzero().flatten().tolist()) for part in found
    } == expected
    assert [part.area for part in found] == sorted((part.area for part in found), reverse=True)
    for part in found:
        rows, columns = part.mask.nonzero(as_tuple=True)
        assert (part.top, part.bottom) == (int(rows.min()), int(rows.max()) + 1)
        assert (part.left, part.right) == (int(columns.min()), int(columns.max()) + 1)


def test_no_regions_and_one() -> None:
    assert regions_of(torch.zeros(4, 5, dtype=torch.bool)) == []
    (whole,) = regions_of(torch.ones(4, 5, dtype=torch.bool))
    assert (whole.area, whole.size, whole.touches_border) == (20, 5, True)
    assert len(regions_of(noise(1, 0.05), least=2)) < len(regions_of(noise(1, 0.05)))


def test_holes_are_filled() -> None:
    mask = noise(3, 0.6)

    assert torch.equal(filled(mask), torch.from_numpy(ndimage.binary_fill_holes(mask.numpy())))
    held = torch.stack([hole.mask for hole in holes_of(mask)]).any(dim=0)
    assert torch.equal(held, filled(mask) & ~mask)


@pytest.mark.parametrize("by", [1, 3])
def test_what_grows_and_shrinks(by: int) -> None:
    mask = noise(5, 0.02)
    square = torch.ones(2 * by + 1, 2 * by + 1).numpy()

    wide = grown(mask, by)

    assert torch.equal(wide, torch.from_numpy(ndimage.binary_dilation(mask.numpy(), square)))
    assert torch.equal(
        shrunk(wide, by), torch.from_numpy(ndimage.binary_erosion(wide.numpy(), square))
    )
    assert bool((closed(mask, by) | ~mask).all())
    expected = ndimage.binary_opening(mask.numpy() | noise(6, 0.8).numpy(), square)
    found = opened((mask | noise(6, 0.8)).float(), (2 * by + 1, 2 * by + 1)) > 0
    assert torch.equal(found, torch.from_numpy(expected))


def disc(radius: float) -> Tensor:
    y, x = torch.meshgrid(torch.arange(80) - 40, torch.arange(80) - 40, indexing="ij")
    return torch.hypot(x.float(), y.float()) < radius


def test_a_sheet_has_four_corners_and_a_disc_none() -> None:
    y, x = torch.meshgrid(torch.arange(80), torch.arange(80), indexing="ij")
    askew = (y > 10 + 0.1 * x) & (y < 60 - 0.05 * x) & (x > 12 + 0.1 * y) & (x < 70 - 0.2 * y)

    assert area_of(hull_of(disc(30))) == pytest.approx(math.pi * 900, rel=0.03)
    assert quadrilateral_share(hull_of(disc(30))) == pytest.approx(2 / math.pi, abs=0.03)
    assert quadrilateral_share(hull_of(askew)) > 0.95
    assert area_of(hull_of(askew)) == pytest.approx(region_of(askew).area, rel=0.05)
