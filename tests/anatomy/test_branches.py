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
from tui_trainer.protocol.layers import Box


@pytest.mark.parametrize("what", branched())
def test_a_branched_model_sees_no_more_than_its_fields(what: str) -> None:
    model = branched()[what]
    for place, row in enumerate(layer_table(model, SHAPE)):
        for at in places(row):
            box = row.box(*at)
            assert box is not None
            inside = box.within(28, 28)
            seen = measured_field(model, SHAPE, place, *at)
            seen[int(inside.top) : int(inside.bottom), int(inside.left) : int(inside.right)] = False
            assert not seen.any(), (row, at)


@pytest.mark.parametrize("what", [name for name in branched() if name != "squeeze and excite"])
def test_the_field_of_a_sum_or_a_concatenation_is_the_measured_one(what: str) -> None:
    model = branched()[what]

    assert assert_arithmetic_is_measured(model) > len(layer_table(model, SHAPE))


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


def test_what_cannot_be_traced_is_undefined_with_its_first_reason() -> None:
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
        (lambda x: x + F.max_pool2d(x, 2).repeat(1, 1, 2, 2), "repeat", "repeats the map"),
        (lambda x: x[:, :, ::2, ::2] + x[:, :, :14, :14], "add", "1 and 2 pixels apart"),
        (lambda x: torch.cat([x, x], dim=2), "cat", "rows"),
        (lambda x: F.adaptive_avg_pool2d(x, 5), "adaptive_avg_pool2d", "28×28"),
        (lambda x: F.interpolate(x, scale_factor=2), "interpolate", "larger"),
        (lambda x: F.pad(x, (1, 1, 1, 1), mode="circular"), "pad", "opposite edge"),
        (lambda x: F.conv1d(x.flatten(2), torch.ones(1, 4, 3)), "conv1d", "two-dimensional"),
        (
            lambda x: F.conv_transpose2d(x, torch.ones(4, 1, 2, 2), stride=2),
            "conv_transpose2d",
            "larger",
        ),
        (lambda x: x.flatten(2).view(1, 4, 14, 56), "view", "splits"),
        (lambda x: x.sort(dim=2)[0], "sort", "depends on the image"),
        (lambda x: F.interpolate(x, scale_factor=0.45), "interpolate", "28×28 to 12×12"),
        (
            lambda x: F.interpolate(x, size=14, mode="bilinear", align_corners=True),
            "interpolate",
            "not evenly spaced",
        ),
        (
            lambda x: F.interpolate(x, size=14, mode="bilinear", antialias=True),
            "interpolate",
            "not",
        ),
        (
            lambda x: F.interpolate(x, 55, mode="bilinear", align_corners=True),
            "interpolate",
            "larger",
        ),
        (lambda x: F.pixel_shuffle(x, 2), "pixel_shuffle", "28×28 to 56×56"),
        (lambda x: F.fold(F.unfold(x, 3), 28, 3), "fold", "overlaps patches"),
        (lambda x: x.roll(1, 2), "roll", "around the edge"),
        (lambda x: torch.roll(x, 5), "roll", "around the edge"),
        (lambda x: x.flip(-1), "flip", "reverses"),
        (lambda x: torch.flip(x, dims=(2,)), "flip", "reverses"),
        (lambda x: torch.rot90(x, 1, (2, 3)), "rot90", "reverses"),
        (lambda x: x.cumsum(3), "cumsum", "all earlier features"),
        (lambda x: x[:, :, torch.arange(9)], "getitem", "single features"),
        (lambda x: x.flatten(1)[:, torch.randperm(3136)], "getitem", "single features"),
        (lambda x: x @ x, "matmul", "from different positions"),
        (lambda x: torch.einsum("nchw,ncvw->nchv", x, x), "einsum", "from different positions"),
        (
            lambda x: F.scaled_dot_product_attention(x, x, x, is_causal=True),
            "scaled_dot_product_attention",
            "mask",
        ),
        (lambda x: F.adaptive_max_pool2d(x, 13), "adaptive_max_pool2d", "28×28"),
    ],
)
def test_an_undefined_field_names_the_operation_and_the_reason(
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
        lambda x: F.interpolate(x, scale_factor=0.5),
        lambda x: F.interpolate(x, scale_factor=0.5, mode="nearest-exact"),
        lambda x: F.interpolate(x, scale_factor=0.5, mode="bilinear"),
        lambda x: F.interpolate(x, scale_factor=0.5, mode="bicubic"),
        lambda x: F.interpolate(x, size=(14, 7), mode="area"),
        lambda x: F.interpolate(x, size=28, mode="bilinear", align_corners=True),
        lambda x: x + F.interpolate(F.adaptive_avg_pool2d(x, 1), size=28, mode="bilinear"),
        lambda x: F.pixel_unshuffle(x, 2),
        lambda x: F.pixel_unshuffle(F.max_pool2d(x, 2), 7),
        lambda x: F.conv_transpose2d(x, torch.ones(4, 2, 5, 5), padding=2),
        lambda x: F.conv_transpose2d(x, torch.ones(4, 2, 3, 5), padding=(1, 4), dilation=(1, 2)),
        lambda x: F.conv_transpose2d(
            x.amax((2, 3), keepdim=True), torch.ones(4, 1, 3, 3), stride=2
        ),
        lambda x: F.adaptive_avg_pool2d(x, 27),
        lambda x: F.unfold(x, 4, stride=4),
        lambda x: F.unfold(x, (4, 2), stride=(4, 2)).view(1, 32, 7, 14),
        lambda x: x.unfold(2, 4, 4).unfold(3, 4, 4),
        lambda x: x.flatten(2).transpose(1, 2).transpose(1, 2).reshape(1, 4, 28, 28),
        lambda x: torch.stack([x, F.max_pool2d(x, 3, 1, 1)], 1).sum(1),
        lambda x: torch.stack([x, x], -1).mean(-1),
        lambda x: x.unbind(1)[2],
        lambda x: x.select(1, 2),
        lambda x: x.narrow(2, 3, 10),
        lambda x: x.movedim(1, -1).movedim(-1, 1),
        lambda x: x.roll(1, 1).flip(1).cumsum(1),
        lambda x: x[:, [3, 1]],
        lambda x: x.index_select(1, torch.tensor([1, 0])).repeat(1, 2, 1, 1),
        lambda x: x.sort(dim=1)[0] + x.topk(1, dim=1)[0],
        lambda x: x.std((2, 3), keepdim=True) * x,
        lambda x: torch.rand(5, 28) @ x,
        lambda x: x @ torch.rand(28, 6),
        lambda x: torch.einsum("nchw,cd->ndhw", x, torch.rand(4, 6)),
        lambda x: torch.einsum("nchw,hk->nckw", x, torch.rand(28, 6)),
        lambda x: torch.fft.fft2(x).abs(),
        lambda x: torch.fft.rfft(x, dim=2).real,
        lambda x: x.flatten(2).softmax(-1).view_as(x),
        lambda x: F.scaled_dot_product_attention(*[x.flatten(2).transpose(1, 2)] * 3),
        lambda x: F.conv3d(x[:, None], torch.ones(2, 1, 3, 3, 3), padding=1).flatten(1, 2),
        lambda x: F.max_pool3d(x, (1, 2, 2)),
        lambda x: (
            x * F.conv1d(x.mean((2, 3))[:, None], torch.ones(1, 1, 3), padding=1).mT[..., None]
        ),
        lambda x: F.max_pool2d(x, 3, 2, 1, 2, return_indices=True)[0],
        lambda x: torch.where(torch.ones(28) > 0, x, 0.1 * x).sign().round(),
        lambda x: (x.half().float() + x.double()).relu_().add_(x),
    ],
)
@pytest.mark.sampled(3)
def test_functions_that_move_or_keep_the_field_agree_with_the_measured_one(do: object) -> None:
    assert assert_arithmetic_is_measured(Calls(do)) >= 3
