"""The mix of channels against torch's 1×1 convolution."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional

from tui_trainer.lab.lessons._1x1_convolutions.arithmetic import correlation, mixed, relu


def test_a_mix_is_a_1x1_convolution() -> None:
    rng = torch.Generator().manual_seed(5)
    maps = torch.randn(3, 4, 5, generator=rng, dtype=torch.float64)
    weights = torch.randn(3, generator=rng, dtype=torch.float64)
    expected = functional.conv2d(maps[None], weights.reshape(1, 3, 1, 1))[0, 0]
    made = mixed(maps.tolist(), weights.tolist())
    assert torch.tensor(made, dtype=torch.float64).allclose(expected, atol=1e-12)
    assert relu(made) == torch.tensor(made, dtype=torch.float64).relu().tolist()


def test_correlation_equals_that_of_torch_and_is_none_for_constants() -> None:
    pair = torch.randn(2, 30, generator=torch.Generator().manual_seed(7), dtype=torch.float64)
    one, other = pair.tolist()
    assert correlation(one, other) == pytest.approx(float(torch.corrcoef(pair)[0, 1]))
    assert correlation(one, one) == pytest.approx(1.0)
    assert correlation([2.0] * 30, other) is None
