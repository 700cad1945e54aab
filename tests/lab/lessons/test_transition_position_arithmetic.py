"""A stack with a transition against the layer table."""

from __future__ import annotations

import pytest

from tui_trainer.anatomy.table import layer_table
from tui_trainer.lab.lessons.transition_position.arithmetic import KERNELS, placed
from tui_trainer.lab.lessons.transition_position.experiment import with_transition
from tui_trainer.protocol.layers import totals


@pytest.mark.parametrize(("after", "side"), [*((a, 28) for a in range(1, 6)), (2, 15), (5, 9)])
def test_a_stack_with_a_transition_matches_the_layer_table(after: int, side: int) -> None:
    model = with_transition(KERNELS, after, 7)
    rows = layer_table(model, (side, side, 1))
    expected, total = placed(after, side=side, classes=7), totals(rows)
    assert expected.parameters == total.parameters
    assert expected.parameters == sum(p.numel() for p in model.parameters())
    assert expected.multiply_adds == total.multiply_adds
    convolutions = [row for row in rows if row.kind == "conv" and row.kernel == "3×3"]
    assert expected.sides == tuple(row.output_shape[0] for row in convolutions[1:])
    last = [row for row in rows if row.kind in ("conv", "max pool")][-1]
    assert last.receptive_field == (expected.field, expected.field)
