"""The parameters of a stack against torch, and its receptive field against the layer table."""

from __future__ import annotations

import pytest

from tui_trainer.anatomy.table import layer_table
from tui_trainer.lab.lessons.layers.arithmetic import stack_field, stack_parameters, width_for
from tui_trainer.lab.lessons.layers.experiment import BUDGET, DEPTHS, stack_model


@pytest.mark.parametrize(("depth", "width", "classes"), [(1, 30, 10), (2, 7, 3), (6, 10, 10)])
def test_a_stack_has_the_parameters_of_the_formula(depth: int, width: int, classes: int) -> None:
    model = stack_model(depth, width, classes)
    counted = sum(parameter.numel() for parameter in model.parameters())
    assert stack_parameters(depth, width, classes) == counted


@pytest.mark.parametrize("depth", DEPTHS)
def test_a_stack_has_the_field_of_the_layer_table(depth: int) -> None:
    rows = layer_table(stack_model(depth, 4, 10), (28, 28, 1))
    last = next(row for row in reversed(rows) if row.output_shape[:2] != (1, 1))
    assert last.receptive_field == (stack_field(depth),) * 2
    assert last.output_shape == (7, 7, 4)


@pytest.mark.parametrize("depth", DEPTHS)
def test_the_width_is_the_closest_one(depth: int) -> None:
    width = width_for(BUDGET, depth, 10)
    off = abs(stack_parameters(depth, width, 10) - BUDGET)
    for other in (width - 1, width + 1):
        assert abs(stack_parameters(depth, other, 10) - BUDGET) >= off
    assert off / BUDGET < 0.012
