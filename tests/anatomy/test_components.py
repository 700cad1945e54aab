"""Which kinds of layers the logits of a model depend on."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tui_trainer.anatomy.components import Found, components_of, defined_modules
from tui_trainer.anatomy.description import layers_of
from tui_trainer.models import zoo
from tui_trainer.models.rng import noise
from tui_trainer.protocol.components import COMPONENTS


class Trunk(nn.Module):
    """A convolution, then what a test adds, then pooling and logits."""

    def __init__(
        self,
        added: Callable[[Any, Tensor], Tensor] = lambda self, x: x,
        pool: Callable[[Tensor], Tensor] = lambda x: x.mean(dim=(2, 3)),
        **modules: nn.Module,
    ) -> None:
        super().__init__()
        self.first = nn.Conv2d(1, 8, 3)
        self.last = nn.Conv2d(8, 10, 3)
        for name, module in modules.items():
            self.add_module(name, module)
        self._added, self._pool = added, pool

    def forward(self, x: Tensor) -> Tensor:
        x = self._added(self, self.first(x))
        return self._pool(self.last(x)).flatten(1)


def found_in(model: nn.Module) -> Found:
    rows = layers_of(model, (28, 28, 1), 10)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    found = components_of(model, rows, noise(2, 1, 28, 28))
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())
    assert {*found} <= {*COMPONENTS}
    return found


def weight(*shape: int) -> nn.Module:
    holder = nn.Module()
    holder.register_parameter("weight", nn.Parameter(torch.ones(shape)))
    return holder


@pytest.mark.parametrize(
    ("kind", "added", "modules"),
    [
        ("batch-norm", lambda m, x: m.norm(x), {"norm": nn.BatchNorm2d(8)}),
        (
            "batch-norm",
            lambda m, x: F.batch_norm(x, None, None, training=True),
            {},
        ),
        ("layer-norm", lambda m, x: m.norm(x), {"norm": nn.LayerNorm([8, 26, 26])}),
        ("layer-norm", lambda m, x: m.norm(x), {"norm": nn.GroupNorm(1, 8)}),
        ("layer-norm", lambda m, x: F.group_norm(x, num_groups=1), {}),
        ("group-norm", lambda m, x: m.norm(x), {"norm": nn.GroupNorm(4, 8)}),
        ("group-norm", lambda m, x: F.group_norm(x, 2), {}),
        ("instance-norm", lambda m, x: m.norm(x), {"norm": nn.InstanceNorm2d(8)}),
        ("dropout", lambda m, x: m.drop(x), {"drop": nn.Dropout(0.1)}),
        ("dropout", lambda m, x: m.drop(x), {"drop": nn.Dropout2d(0.1, inplace=True)}),
        ("dropout", lambda m, x: F.dropout(x, 0.1, training=m.training), {}),
        ("dropout", lambda m, x: F.dropout(x, 0.1) if m.training else x, {}),
        ("max-pool", lambda m, x: F.max_pool2d(x, 2), {}),
        ("average-pool", lambda m, x: F.avg_pool2d(x, 2), {}),
        ("linear", lambda m, x: m.fc(x), {"fc": nn.Linear(26, 26)}),
        ("linear", lambda m, x: F.linear(x, m.w.weight), {"w": weight(26, 26)}),
        ("linear", lambda m, x: x @ m.w.weight, {"w": weight(26, 26)}),
        (
            "linear",
            lambda m, x: torch.einsum("nchw,wv->nchv", x, m.w.weight),
            {"w": weight(26, 26)},
        ),
        ("1x1", lambda m, x: m.conv(x), {"conv": nn.Conv2d(8, 8, 1)}),
        ("1x1", lambda m, x: F.conv2d(x, m.w.weight), {"w": weight(8, 8, 1, 1)}),
        ("depthwise", lambda m, x: m.conv(x), {"conv": nn.Conv2d(8, 8, 3, groups=8)}),
        ("dilated", lambda m, x: m.conv(x), {"conv": nn.Conv2d(8, 8, 3, dilation=2)}),
        ("strided", lambda m, x: m.conv(x), {"conv": nn.Conv2d(8, 8, 3, stride=2)}),
        ("residual", lambda m, x: x + m.conv(x), {"conv": nn.Conv2d(8, 8, 3, padding=1)}),
        ("concatenate", lambda m, x: torch.cat([x[:, :4], x[:, 4:]], dim=1), {}),
        ("softmax", lambda m, x: x.softmax(dim=1), {}),
    ],
)
def test_a_kind_counts_however_it_is_written(
    kind: str, added: Callable[[Any, Tensor], Tensor], modules: dict[str, nn.Module]
) -> None:
    without, found = found_in(Trunk()), found_in(Trunk(added, **modules))

    assert kind not in without
    assert len(found[kind]) == 1
    # A slice is no kind, and the two-branch cases have no other kind either.
    assert {*found} - {*without} == {kind}


@pytest.mark.parametrize(
    ("kind", "added", "modules"),
    [
        ("batch-norm", lambda m, x: x, {"norm": nn.BatchNorm2d(8)}),
        ("batch-norm", lambda m, x: (m.norm(x), x)[1], {"norm": nn.BatchNorm2d(8)}),
        ("dropout", lambda m, x: x, {"drop": nn.Dropout(0.5)}),
        ("dropout", lambda m, x: (m.drop(x), x)[1], {"drop": nn.Dropout(0.5)}),
        ("dropout", lambda m, x: m.drop(x), {"drop": nn.Dropout(0.0)}),
        ("dropout", lambda m, x: F.dropout(x, 0.5, training=False), {}),
        ("linear", lambda m, x: x, {"fc": nn.Linear(26, 26)}),
        ("linear", lambda m, x: x @ x.transpose(2, 3) @ x, {}),
        ("residual", lambda m, x: x + x, {}),
        ("residual", lambda m, x: x + m.w.weight, {"w": weight(8, 26, 26)}),
        ("1x1", lambda m, x: m.conv(x), {"conv": nn.Conv2d(8, 8, (1, 3))}),
    ],
)
def test_what_does_nothing_does_not_count(
    kind: str, added: Callable[[Any, Tensor], Tensor], modules: dict[str, nn.Module]
) -> None:
    model = Trunk(added, **modules)

    assert kind not in found_in(model)
    if kind in ("batch-norm", "dropout") and modules:
        assert defined_modules(model)[kind] == tuple(modules)


def test_a_frozen_dropout_does_not_count() -> None:
    model = Trunk(lambda m, x: m.drop(x), drop=nn.Dropout(0.5))
    model.get_submodule("drop").eval()

    assert "dropout" not in found_in(model)


class Shortcut(nn.Module):
    """Named as a dropout, which it is not."""

    def forward(self, x: Tensor) -> Tensor:
        return x


def test_a_name_is_no_evidence() -> None:
    class MyDropout(Shortcut):
        pass

    class GlobalAveragePoolWithBatchNorm(Shortcut):
        pass

    model = Trunk(
        lambda m, x: m.norm(m.drop(x)), drop=MyDropout(), norm=GlobalAveragePoolWithBatchNorm()
    )
    assert {*found_in(model)} == {"gap"}


@pytest.mark.parametrize(
    "pool",
    [
        nn.AdaptiveAvgPool2d(1),
        nn.AdaptiveAvgPool2d((1, 1)),
        nn.AvgPool2d(24),
        nn.AvgPool2d(kernel_size=(24, 24)),
        lambda x: F.adaptive_avg_pool2d(x, 1),
        lambda x: F.avg_pool2d(x, x.shape[-2:]),
        lambda x: x.mean(dim=(2, 3)),
        lambda x: x.mean([-1, -2], keepdim=True),
        lambda x: x.mean(3).mean(2),
        lambda x: torch.mean(x, (2, 3)),
        lambda x: x.flatten(2).mean(2),
        lambda x: x.view(len(x), 10, -1).mean(-1),
        lambda x: x.sum((2, 3)) / 576,
        lambda x: F.adaptive_avg_pool1d(x.flatten(2), 1),
        lambda x: x.relu().mean((2, 3)).view(-1, 10),
    ],
)
def test_global_average_pooling_counts_however_it_is_written(
    pool: Callable[[Tensor], Tensor],
) -> None:
    assert len(found_in(Trunk(pool=pool))["gap"]) == 1


@pytest.mark.parametrize(
    "pool",
    [
        lambda x: x.amax((2, 3)),
        lambda x: x[:, :, 0, 0],
        lambda x: x.sum((2, 3)),
        lambda x: F.avg_pool2d(x, 23),  # leaves out a row and a column
        lambda x: F.avg_pool2d(x, 12)[:, :, 0, 0],
        lambda x: x.mean(3)[:, :, 0],
    ],
)
def test_other_pooling_is_no_global_average(pool: Callable[[Tensor], Tensor]) -> None:
    assert "gap" not in found_in(Trunk(pool=pool))


def test_the_average_of_a_gate_is_no_global_average_pooling() -> None:
    def gated(m: Any, x: Tensor) -> Tensor:
        gates: Tensor = m.fc(x.mean((2, 3))).sigmoid()
        return x * gates[:, :, None, None]

    def flat(x: Tensor) -> Tensor:
        return x[:, :, 3, 3]

    assert "gap" not in found_in(Trunk(gated, flat, fc=nn.Linear(8, 8)))
    assert len(found_in(Trunk(gated, fc=nn.Linear(8, 8)))["gap"]) == 2


@pytest.mark.parametrize("name", ["era-s6", "small", "tiny", "mlp"])
def test_the_models_of_the_zoo(name: str) -> None:
    model = zoo.build(name, image_size=28, classes=10)
    found = found_in(model)

    assert ("gap" in found) is (name != "mlp")
    assert ("linear" in found) is any(isinstance(m, nn.Linear) for m in model.modules())
