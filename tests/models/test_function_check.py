"""A model as a function: linear, bounded, blind to pixels, with unregistered weights."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from tests.models import any_models
from tui_trainer.models.function_check import (
    is_linear,
    logits_at_bound,
    not_registered,
    pixels_used,
    smoothness,
)

Forward = Callable[..., Tensor]


class Net(nn.Module):
    """Calls ``forward`` with the input and the layers."""

    def __init__(self, forward: Forward, *layers: nn.Module) -> None:
        super().__init__()
        self.layers, self.function = nn.ModuleList(layers), forward

    def forward(self, x: Tensor) -> Tensor:
        return self.function(x, *self.layers)


@pytest.fixture
def images() -> Tensor:
    noise = torch.randn(32, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    return functional.avg_pool2d(noise, 3, stride=1, padding=1)


def mlp(end: Callable[[Tensor], Tensor] = lambda z: z, width: int = 64) -> Net:
    torch.manual_seed(0)
    low, high = nn.Linear(width, 32), nn.Linear(32, 10)
    return Net(lambda x, a, b: end(b(a(x.flatten(1)).relu())), low, high)


def test_an_affine_function_is_linear(images: Tensor) -> None:
    torch.manual_seed(0)
    layers = nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.AvgPool2d(2), nn.Linear(36, 10)

    def forward(
        x: Tensor, conv: nn.Module, norm: nn.Module, pool: nn.Module, head: nn.Module
    ) -> Tensor:
        logits: Tensor = head(pool(norm(conv(x))).flatten(1))
        return logits

    assert is_linear(Net(forward, *layers), images)
    assert is_linear(Net(lambda *a: forward(*a).log_softmax(1), *layers), images)
    assert is_linear(mlp(), images) is False
    assert is_linear(mlp(lambda z: z * torch.nan), images) is None


def test_tanh_with_small_weights_is_not_linear(images: Tensor) -> None:
    low, high = nn.Linear(64, 32), nn.Linear(32, 10)
    net = Net(lambda x, a, b: b(a(x.flatten(1)).tanh()), low, high)
    for parameter in net.parameters():
        nn.init.normal_(parameter, std=1e-3)
    assert is_linear(net, images) is False


@pytest.mark.parametrize(
    ("end", "low", "high", "least"),
    [
        (torch.relu, 0.0, None, 0.3),
        (torch.sigmoid, 0.0, 1.0, 0.3),
        (torch.tanh, -1.0, 1.0, 0.5),
        (lambda z: z.softmax(1), 0.0, 1.0, 0.3),
    ],
)
def test_bounded_logits_are_at_their_bound(
    images: Tensor,
    end: Callable[[Tensor], Tensor],
    low: float,
    high: float | None,
    least: float,
) -> None:
    found, share = logits_at_bound(mlp(end), images)
    assert found is not None
    assert found[0] == low
    assert high is None or found[1] == high
    assert share is not None
    assert share > least


def test_unbounded_logits_are_not(images: Tensor) -> None:
    found, share = logits_at_bound(mlp(), images)
    assert found is not None
    assert found[1] - found[0] > 100
    assert share == pytest.approx(2 / 640)
    assert logits_at_bound(mlp(lambda z: z * torch.inf), images) == (None, None)


def test_pixels_that_are_cut_off_are_not_used(images: Tensor) -> None:
    whole = mlp()
    assert pixels_used(whole, images) == 1
    half = mlp(width=32)
    assert pixels_used(Net(lambda x, net: net(x[:, :, :4]), half), images) == 0.5
    assert pixels_used(Net(lambda x, net: net(x * 0), whole), images) == 0
    assert pixels_used(Net(lambda x, net: net((x > 0).float()), whole), images) is None
    assert pixels_used(Net(lambda x, net: net(x.round()), whole), images) is None
    assert pixels_used(whole, torch.zeros_like(images)) is None


def test_a_last_layer_of_zeros_uses_the_pixels(images: Tensor) -> None:
    net = mlp()
    last = net.layers[1]
    assert isinstance(last, nn.Linear)
    nn.init.zeros_(last.weight)
    assert pixels_used(net, images) == 1
    assert is_linear(net, images) is False
    assert not last.weight.detach().any()


def test_scrambled_pixels_are_not_smooth(images: Tensor) -> None:
    order = torch.randperm(64, generator=torch.Generator().manual_seed(0))
    scrambled = images.flatten(1)[:, order].view_as(images)
    usual, found = smoothness(images), smoothness(scrambled)
    assert usual is not None
    assert found is not None
    assert usual > 0.5 > 0.2 > abs(found)
    assert smoothness(torch.zeros(2, 1, 8, 8)) is None


def test_layers_in_a_list_are_not_registered(images: Tensor) -> None:
    net = mlp()
    assert not_registered(net, images) == ()
    layer = nn.Linear(64, 64)
    outer = Net(lambda x, inner: inner(vars(outer)["hidden"][0](x.flatten(1))), net)
    vars(outer)["hidden"] = [layer]
    assert len(not_registered(outer, images)) == 2
    plain = Net(lambda x, inner: inner(x.flatten(1) @ weight), net)
    weight = torch.eye(64, requires_grad=True)
    assert not_registered(plain, images) == ("a tensor of shape (64, 64)",)


@pytest.mark.parametrize("kind", any_models.EVERY, ids=lambda kind: kind.__name__)
@pytest.mark.sampled(2)
def test_no_check_changes_a_model(kind: type[nn.Module], images: Tensor) -> None:
    torch.manual_seed(0)
    net = kind(8)
    before = {n: t.clone() for n, t in net.state_dict().items()}
    rng = torch.get_rng_state()
    modes = [module.training for module in net.modules()]
    is_linear(net, images[:8])
    logits_at_bound(net, images[:8])
    used = pixels_used(net, images)
    assert used in (1, None)
    assert not_registered(net, images) == ()
    after = net.state_dict()
    assert all(torch.equal(t, after[n]) for n, t in before.items())
    assert torch.equal(rng, torch.get_rng_state())
    assert modes == [module.training for module in net.modules()]
    assert all(parameter.grad is None for parameter in net.parameters())
