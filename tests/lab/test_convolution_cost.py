"""The cost of a convolution against the layer table."""

from __future__ import annotations

import pytest
from torch import nn

from tui_trainer.anatomy.table import layer_table
from tui_trainer.lab.convolution_cost import Cost, convolution
from tui_trainer.protocol.layers import totals


@pytest.mark.parametrize(
    ("channels", "kernels", "side"), [(1, 8, 3), (16, 32, 3), (32, 16, 1), (3, 5, 7)]
)
def test_a_convolution_costs_what_the_layer_table_counts(
    channels: int, kernels: int, side: int
) -> None:
    layer = nn.Conv2d(channels, kernels, side, padding=side // 2, bias=False)
    total = totals(layer_table(nn.Sequential(layer), (14, 12, channels)))
    cost = convolution(channels, kernels, 14 * 12, side=side)
    assert cost == Cost(total.parameters, total.multiply_adds)
