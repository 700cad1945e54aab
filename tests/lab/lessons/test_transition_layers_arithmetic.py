"""What a transition saves, against the layer table."""

from __future__ import annotations

import math

import pytest
from torch import nn

from tui_trainer.anatomy.table import layer_table
from tui_trainer.lab.convolution_cost import Cost
from tui_trainer.lab.lessons.transition_layers.arithmetic import after_transition, saving


def test_a_transition_keeps_an_eighth_of_the_courses_first_block() -> None:
    assert after_transition((28, 28, 32), 16, pools=True) == (14, 14, 16)
    assert math.prod((14, 14, 16)) * 8 == math.prod((28, 28, 32))
    assert after_transition((7, 5, 32), 8, pools=False) == (7, 5, 8)


@pytest.mark.parametrize("pools", [True, False])
def test_the_saving_of_a_transition_is_that_of_real_layers(pools: bool) -> None:
    pool = nn.MaxPool2d(2) if pools else nn.Identity()
    mix = nn.Conv2d(12, 5, 1, bias=False)
    behind = nn.Conv2d(5, 9, 3, padding=1, bias=False)
    rows = layer_table(nn.Sequential(mix, pool, behind), (14, 14, 12))
    without = layer_table(nn.Sequential(nn.Conv2d(12, 9, 3, padding=1, bias=False)), (14, 14, 12))
    spared = saving((14, 14, 12), 5, 9, pools=pools)
    assert spared.mixing.multiply_adds == rows[1].multiply_adds
    assert spared.after.multiply_adds == rows[-1].multiply_adds
    assert spared.after.parameters == rows[-1].parameters
    assert spared.without == Cost(without[1].parameters, without[1].multiply_adds)
    spent = rows[1].multiply_adds + rows[-1].multiply_adds
    assert spared.left == pytest.approx(spent / without[1].multiply_adds)
