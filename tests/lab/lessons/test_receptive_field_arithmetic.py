"""The recurrence against the layer tables of the zoo."""

from __future__ import annotations

from itertools import accumulate

import pytest

from tui_trainer.anatomy.field import Reach
from tui_trainer.anatomy.table import layer_table
from tui_trainer.lab.lessons.receptive_field.arithmetic import fewest_pixels, sum_text
from tui_trainer.models.zoo import build


@pytest.mark.parametrize(
    ("model", "size"),
    [("era-s6", 28), ("era-s6", 32), ("tiny", 28), ("small", 28), ("squeeze-norm", 28)],
)
def test_the_recurrence_gives_the_fields_of_the_layer_table(model: str, size: int) -> None:
    rows = layer_table(build(model, image_size=size, classes=10), (size, size, 1))
    sliding = [row for row in rows if row.kernel_size and row.stride]
    chain = [
        (row.kernel_size[0], row.stride[0]) for row in sliding if row.kernel_size and row.stride
    ]
    _, *seen = accumulate(chain, lambda seen, layer: seen.through(*layer), initial=Reach())
    assert len(seen) > 5
    for row, found in zip(sliding, seen, strict=True):
        assert (row.receptive_field, row.jump) == ((found.size,) * 2, (found.jump,) * 2)


def test_the_formula_has_its_result() -> None:
    assert sum_text(Reach(5, 1), 3) == "5 + (3 − 1)·1 = 7"
    assert sum_text(Reach(6, 2), 3) == "6 + (3 − 1)·2 = 10"
    assert sum_text(Reach(6, 2), 3, dilation=2) == "6 + 2·(3 − 1)·2 = 14"
    after = Reach(6, 2).through(3, 2, dilation=2)
    assert (after.size, after.jump) == (14, 4)


def test_the_fewest_pixels_that_hold_a_share() -> None:
    assert fewest_pixels([1.0, 5.0, 2.0, 2.0], 0.5) == 1
    assert fewest_pixels([1.0, 5.0, 2.0, 2.0], 0.6) == 2
    assert fewest_pixels([1.0] * 8, 0.5) == 4
    assert fewest_pixels([0.0] * 8, 0.5) == 0
