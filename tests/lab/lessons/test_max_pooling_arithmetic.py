"""Pooling against torch, and the kept values against a count by hand."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional

from tui_trainer.lab.lessons.max_pooling.arithmetic import pooled, strongest_kept


@pytest.mark.parametrize(("height", "width", "size"), [(6, 8, 2), (7, 5, 2), (9, 9, 3)])
def test_pooling_equals_that_of_torch(height: int, width: int, size: int) -> None:
    maps = torch.randn(1, height, width, generator=torch.Generator().manual_seed(3)).double()
    rows = maps[0].tolist()
    assert torch.tensor(pooled(rows, "maximum", size)).allclose(
        functional.max_pool2d(maps, size)[0].float()
    )
    assert torch.tensor(pooled(rows, "mean", size)).allclose(
        functional.avg_pool2d(maps, size)[0].float()
    )
    every = maps[0, ::size, ::size][: height // size, : width // size].float()
    assert torch.equal(torch.tensor(pooled(rows, "subsampled", size)), every)


def test_the_strongest_values_are_tracked_through_the_pool() -> None:
    rows = [[9.0, 8.0, 0.0, 0.0], [7.0, 0.0, 0.0, 6.0]]
    # The four strongest of eight: 9 is a maximum in a corner, 6 a maximum elsewhere.
    assert strongest_kept(rows, 0.5) == (4, 2, 1)
    assert strongest_kept(rows, 1 / 8) == (1, 1, 1)


def test_in_a_flat_map_nothing_is_strong() -> None:
    assert strongest_kept([[0.0] * 4] * 4, 0.1) == (0, 0, 0)
