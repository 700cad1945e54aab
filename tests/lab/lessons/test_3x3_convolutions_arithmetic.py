"""The sliding kernel against torch's convolution, and stacks against the layer table."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import functional

from tui_trainer.anatomy.table import layer_table
from tui_trainer.lab.lessons._3x3_convolutions.arithmetic import (
    KERNELS,
    products,
    slide,
    stack,
    window,
)
from tui_trainer.protocol.layers import totals


@pytest.mark.parametrize("padding", [0, 1])
@pytest.mark.parametrize("name", KERNELS)
def test_sliding_equals_torchs_convolution(name: str, padding: int) -> None:
    rng = torch.Generator().manual_seed(2)
    image = torch.rand(7, 9, generator=rng, dtype=torch.float64)
    kernel = torch.tensor(KERNELS[name], dtype=torch.float64)
    bias = torch.tensor([0.25], dtype=torch.float64)
    expected = functional.conv2d(image[None, None], kernel[None, None], bias, padding=padding)[0, 0]
    made = torch.tensor(slide(image.tolist(), KERNELS[name], 0.25, padding), dtype=torch.float64)
    assert made.shape == expected.shape
    assert made.allclose(expected, atol=1e-12)


def test_the_products_at_a_position_add_up_to_the_map() -> None:
    image = [[float(3 * y + x) for x in range(3)] for y in range(3)]
    kernel = KERNELS["vertical edge"]
    corner = window(image, 0, 0)
    assert corner == [[0, 0, 0], [0, 0, 1], [0, 3, 4]]
    assert sum(map(sum, products(corner, kernel))) == slide(image, kernel)[0][0] == 2 * 1 + 4


@pytest.mark.parametrize("sides", [(7,), (5,), (3, 3), (3, 3, 3), (1, 5)])
def test_the_cost_of_a_stack_is_that_of_the_layer_table(sides: tuple[int, ...]) -> None:
    layers: list[nn.Module] = []
    for side in sides:
        layers += [nn.Conv2d(4, 4, side, padding=side // 2, bias=False), nn.ReLU()]
    whole = totals(layer_table(nn.Sequential(*layers), (10, 12, 4)))
    cost = stack(sides, 4, 120)
    assert (cost.parameters, cost.multiply_adds) == (whole.parameters, whole.multiply_adds)
    assert whole.receptive_field == (cost.field, cost.field)
    assert cost.activations == len(layers) // 2
