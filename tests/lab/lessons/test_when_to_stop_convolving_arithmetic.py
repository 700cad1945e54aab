"""The cost of the heads against torch modules."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from tui_trainer.anatomy.table import layer_table
from tui_trainer.lab.lessons.when_to_stop_convolving.arithmetic import (
    HEADS,
    Head,
    heads,
    place_to_stop,
)


def built(name: str, height: int, width: int, channels: int, classes: int) -> nn.Sequential:
    match name:
        case "one more conv":
            conv = nn.Conv2d(channels, classes, 3, padding=1, bias=False)
            return nn.Sequential(conv, nn.AdaptiveAvgPool2d(1), nn.Flatten())
        case "map-sized":
            kernel = nn.Conv2d(channels, classes, (height, width), bias=False)
            return nn.Sequential(kernel, nn.Flatten())
        case "fully connected":
            return nn.Sequential(nn.Flatten(), nn.Linear(height * width * channels, classes))
    return nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, classes))


@pytest.mark.parametrize("shape", [(7, 7, 16, 10), (14, 14, 8, 10), (3, 5, 4, 2)])
@pytest.mark.parametrize("place", range(len(HEADS)))
def test_costs_match_the_layer_table(shape: tuple[int, int, int, int], place: int) -> None:
    height, width, channels, classes = shape
    head: Head = heads(*shape)[place]
    assert head.name == HEADS[place]
    model = built(head.name, *shape)
    assert model(torch.zeros(2, channels, height, width)).shape == (2, classes)
    rows = layer_table(model, (height, width, channels))
    assert head.parameters == sum(p.numel() for p in model.parameters())
    assert head.multiply_adds == sum(row.multiply_adds for row in rows)


def test_a_map_sized_kernel_and_a_fully_connected_layer_compute_the_same_sum() -> None:
    torch.manual_seed(0)
    kernel, layer = nn.Conv2d(6, 4, 5, bias=False), nn.Linear(150, 4, bias=False)
    with torch.no_grad():
        layer.weight.copy_(kernel.weight.flatten(1))
    maps = torch.randn(3, 6, 5, 5)
    assert torch.allclose(kernel(maps).flatten(1), layer(maps.flatten(1)), atol=1e-5)


def test_convolving_may_stop_when_a_small_map_sees_the_object() -> None:
    maps = [(28, 28), (14, 14), (7, 7), (7, 7)]
    fields = [(30, 30), (30, 30), (18, 30), (26, 26)]
    assert place_to_stop(maps, fields, (20, 20)) == 3
    assert place_to_stop(maps, fields, (20, 20), most=14) == 1
    assert place_to_stop(maps, fields, (27, 27)) is None
    assert place_to_stop(maps, [None] * 4, (20, 20)) is None
    assert place_to_stop([], [], (20, 20)) is None


def test_the_trap_of_the_lesson_is_computed_correctly() -> None:
    connected = heads(14, 14, 16, 10)[2]
    assert connected.parameters == 31_370 == math.prod((14, 14, 16, 10)) + 10
