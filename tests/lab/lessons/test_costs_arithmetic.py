"""Kernels, transitions and image normalization in plain arithmetic, against torch and by hand."""

from __future__ import annotations

import math
import random
import statistics as stdlib

import pytest
from torch import nn

from tui_trainer.anatomy.table import layer_table
from tui_trainer.lab.lessons.image_normalization.arithmetic import (
    RAW,
    UNIT,
    Scale,
    binned,
    scaled_statistics,
    statistics,
)
from tui_trainer.lab.lessons.kernels.arithmetic import Cost, convolution
from tui_trainer.lab.lessons.network_variants import with_transition
from tui_trainer.lab.lessons.transition_layers.arithmetic import after_transition, saving
from tui_trainer.lab.lessons.transition_position.arithmetic import KERNELS, placed
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


def test_pixel_statistics_are_those_of_the_pixels_one_by_one() -> None:
    chance = random.Random(1)
    pixels = [chance.choice((0, 0, 0, chance.randrange(256))) for _ in range(500)]
    mean, std = statistics([pixels.count(grey) for grey in range(256)])
    assert mean == pytest.approx(stdlib.fmean(p / 255 for p in pixels))
    assert std == pytest.approx(stdlib.pstdev([p / 255 for p in pixels]))


@pytest.mark.parametrize("scale", [RAW, UNIT, Scale(0.13, 0.31), Scale(0.5, -2.0)])
def test_scaling_moves_the_statistics_as_it_moves_the_pixels(scale: Scale) -> None:
    greys = [0.0, 0.0, 0.2, 1.0, 0.7]
    after = scaled_statistics(stdlib.fmean(greys), stdlib.pstdev(greys), scale)
    moved = [scale.of(grey) for grey in greys]
    assert after == pytest.approx((stdlib.fmean(moved), stdlib.pstdev(moved)))


def test_raw_pixels_are_those_that_are_stored() -> None:
    assert [RAW.of(grey / 255) for grey in (0, 17, 255)] == pytest.approx([0, 17, 255])


def test_every_pixel_is_in_one_bin() -> None:
    counts = list(range(256))
    assert binned(counts, (0, 1, 128, 256)) == [0, sum(range(1, 128)), sum(range(128, 256))]


def test_a_transition_leaves_an_eighth_of_the_course_s_first_block() -> None:
    assert after_transition((28, 28, 32), 16, pools=True) == (14, 14, 16)
    assert math.prod((14, 14, 16)) * 8 == math.prod((28, 28, 32))
    assert after_transition((7, 5, 32), 8, pools=False) == (7, 5, 8)


@pytest.mark.parametrize("pools", [True, False])
def test_what_a_transition_saves_is_what_real_layers_cost(pools: bool) -> None:
    pool = nn.MaxPool2d(2) if pools else nn.Identity()
    mix = nn.Conv2d(12, 5, 1, bias=False)
    behind = nn.Conv2d(5, 9, 3, padding=1, bias=False)
    rows = layer_table(nn.Sequential(mix, pool, behind), (14, 14, 12))
    without = layer_table(nn.Sequential(nn.Conv2d(12, 9, 3, padding=1, bias=False)), (14, 14, 12))
    spared = saving((14, 14, 12), 5, 9, pools=pools)
    assert spared.mixing.multiply_adds == rows[1].multiply_adds
    assert spared.behind.multiply_adds == rows[-1].multiply_adds
    assert spared.behind.parameters == rows[-1].parameters
    assert spared.without == Cost(without[1].parameters, without[1].multiply_adds)
    spent = rows[1].multiply_adds + rows[-1].multiply_adds
    assert spared.left == pytest.approx(spent / without[1].multiply_adds)


@pytest.mark.parametrize(("after", "side"), [*((a, 28) for a in range(1, 6)), (2, 15), (5, 9)])
def test_a_stack_with_a_transition_is_what_the_layer_table_finds(after: int, side: int) -> None:
    network = with_transition(KERNELS, after, 7)
    rows = layer_table(network, (side, side, 1))
    expected, total = placed(after, side=side, classes=7), totals(rows)
    assert expected.parameters == total.parameters
    assert expected.parameters == sum(p.numel() for p in network.parameters())
    assert expected.multiply_adds == total.multiply_adds
    convolutions = [row for row in rows if row.kind == "conv" and row.kernel == "3×3"]
    assert expected.sides == tuple(row.output_shape[0] for row in convolutions[1:])
    last = [row for row in rows if row.kind in ("conv", "max pool")][-1]
    assert last.receptive_field == (expected.field, expected.field)
