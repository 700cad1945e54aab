from __future__ import annotations

from itertools import product

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from tests.anatomy.comparing import assert_arithmetic_is_measured, places
from tests.anatomy.networks import SHAPE, Calls, branched, named
from tui_trainer.anatomy.measured import measured_field
from tui_trainer.anatomy.table import layer_table
from tui_trainer.run.layers import Box


@pytest.mark.parametrize("what", branched())
def test_a_branched_network_sees_no_more_than_its_fields(what: str) -> None:
    network = branched()[what]
    for place, row in enumerate(layer_table(network, SHAPE)):
        for at in places(row):
            box = row.box(*at)
            assert box is not None
            inside = box.within(28, 28)
            seen = measured_field(network, SHAPE, place, *at)
            seen[int(inside.top) : int(inside.bottom), int(inside.left) : int(inside.right)] = False
            assert not seen.any(), (row, at)


@pytest.mark.parametrize("what", [name for name in branched() if name != "squeeze and excite"])
def test_the_field_of_a_sum_or_a_concatenation_is_the_measured_one(what: str) -> None:
    network = branched()[what]

    assert assert_arithmetic_is_measured(network) > len(layer_table(network, SHAPE))


def test_a_concatenation_sees_what_its_widest_branch_sees() -> None:
    rows = named(branched()["concatenation"])

    assert rows["body.1.three"].receptive_field == (5, 5)
    assert rows["body.1.five"].receptive_field == (7, 7)
    assert rows["body.1.cat"].receptive_field == (7, 7)
    assert rows["body.1.cat"].sources == (2, 3)


def test_after_a_gate_each_feature_may_see_the_whole_image() -> None:
    rows = named(branched()["squeeze and excite"])
    gated, gate, pool = rows["body.2.mul"], rows["body.2.sigmoid"], rows["body.1"]

    assert pool.jump == gated.jump == (2, 2)
    for at in product((0, 6, 13), repeat=2):
        box = gated.box(*at)
        assert box is not None
        assert box.within(28, 28) == Box(0, 0, 28, 28)
    assert gate.receptive_field is not None
    assert gated.receptive_field is not None
    assert gated.receptive_field[0] == gate.receptive_field[0] + 13 * 2


def test_what_cannot_be_followed_is_undefined_with_its_first_reason() -> None:
    def do(x: Tensor) -> Tensor:
        x = F.grid_sample(x, torch.zeros(1, 5, 5, 2), align_corners=False)
        return F.relu(x).mean((2, 3))

    *_, sampled, relu, mean = layer_table(Calls(do), SHAPE)

    assert sampled.undefined.startswith("after grid_sample: ")
    assert sampled.undefined == relu.undefined == mean.undefined
    assert sampled.receptive_field is mean.jump is mean.start is None
    assert sampled.box(0, 0) is None


@pytest.mark.parametrize(
    ("do", "operation", "reason"),
    [
        (lambda x: x + F.max_pool2d(x, 2).repeat(1, 1, 2, 2), "repeat", "not known"),
        (lambda x: x[:, :, ::2, ::2] + x[:, :, :14, :14], "add", "1 and 2 pixels apart"),
        (lambda x: torch.cat([x, x], dim=2), "cat", "rows"),
        (lambda x: F.adaptive_avg_pool2d(x, 5), "adaptive_avg_pool2d", "28×28"),
        (lambda x: F.interpolate(x, scale_factor=2), "interpolate", "larger"),
        (lambda x: F.pad(x, (1, 1, 1, 1), mode="circular"), "pad", "other side"),
        (lambda x: F.conv1d(x.flatten(2), torch.ones(1, 4, 3)), "conv1d", "two-dimensional"),
        (
            lambda x: F.conv_transpose2d(x, torch.ones(4, 1, 2, 2), stride=2),
            "conv_transpose2d",
            "larger",
        ),
        (lambda x: x.flatten(2).view(1, 4, 14, 56), "view", "cuts"),
        (lambda x: x.sort(dim=2)[0], "sort", "not known"),
    ],
)
def test_an_undefined_field_names_the_operation_and_says_why(
    do: object, operation: str, reason: str
) -> None:
    row = layer_table(Calls(do), SHAPE)[-1]

    assert row.receptive_field is None
    assert row.undefined.startswith(f"after {operation}: ")
    assert reason in row.undefined


@pytest.mark.parametrize(
    "do",
    [
        lambda x: x[:, :, 1::2, 2:-2],
        lambda x: F.pad(x, (2, 0, 1, 3)),
        lambda x: F.pad(x, (-2, -1, 0, 1)),
        lambda x: x.permute(0, 2, 3, 1) * torch.rand(4),
        lambda x: x.transpose(2, 3).transpose(-1, -2),
        lambda x: F.layer_norm(x.permute(0, 2, 3, 1), (4,)).permute(0, 3, 1, 2),
        lambda x: x.view(1, 2, 2, 28, 28).transpose(1, 2).reshape(1, 4, 28, 28),
        lambda x: torch.cat(x.chunk(2, dim=1)[::-1], dim=1),
        lambda x: x.mean(2).mean(2),
        lambda x: x.amax((2, 3), keepdim=True),
        lambda x: F.avg_pool2d(x, 3, 2, ceil_mode=True),
        lambda x: F.max_pool2d(x, 3, 2, 1, 2, ceil_mode=True),
        lambda x: F.gelu(x) * 0.5 + 1,
        lambda x: x.flatten(2).transpose(1, 2).mean(1),
        lambda x: F.softmax(x, dim=1),
        lambda x: torch.maximum(x, F.max_pool2d(x, 3, 1, 1)),
    ],
)
def test_functions_that_move_or_keep_the_field_agree_with_the_measured_one(do: object) -> None:
    assert assert_arithmetic_is_measured(Calls(do)) >= 3
