"""Looking at a network leaves it as it was."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tests.anatomy.networks import SHAPE, Student
from tui_trainer import zoo
from tui_trainer.anatomy.table import layer_table


@pytest.mark.parametrize(
    "make", [lambda: zoo.build("era-s6-dropout", image_size=28, classes=10, dropout=0.5), Student]
)
def test_making_the_table_leaves_no_trace(make: type[nn.Module]) -> None:
    network = make()
    for number, module in enumerate(network.modules()):
        module.training = number % 3 > 0
    for parameter in network.parameters():
        parameter.grad = torch.rand_like(parameter)
    calls: list[Tensor] = []
    own = network.register_forward_hook(lambda module, args, output: calls.append(output))
    modes = [module.training for module in network.modules()]
    gradients = [p.grad.clone() for p in network.parameters() if p.grad is not None]
    before = {name: value.clone() for name, value in network.state_dict().items()}
    chance = torch.get_rng_state()

    layer_table(network, SHAPE)

    assert all(torch.equal(before[name], value) for name, value in network.state_dict().items())
    assert torch.equal(torch.get_rng_state(), chance)
    assert [module.training for module in network.modules()] == modes
    for parameter, gradient in zip(network.parameters(), gradients, strict=True):
        assert parameter.grad is not None
        assert torch.equal(parameter.grad, gradient)
    hooks = [hook for m in network.modules() for hook in (m._forward_hooks, m._forward_pre_hooks)]
    assert sum(map(len, hooks)) == 1
    own.remove()
    assert len(calls) == 1


def test_statistics_that_a_network_keeps_in_evaluation_are_put_back() -> None:
    class Counting(nn.Module):
        calls: Tensor
        mean: Tensor

        def __init__(self) -> None:
            super().__init__()
            self.register_buffer("calls", torch.zeros(()))
            self.register_buffer("mean", torch.zeros(1))

        def forward(self, x: Tensor) -> Tensor:
            self.calls += 1
            return F.batch_norm(x + 1, self.mean, torch.ones(1), training=True).flatten(1)

    network = Counting()
    layer_table(network, SHAPE)

    assert {name: float(value) for name, value in network.state_dict().items()} == {
        "calls": 0,
        "mean": 0,
    }


def test_a_network_that_does_not_fit_is_left_as_it_was() -> None:
    network = nn.Sequential(nn.Flatten(), nn.Linear(5, 2))
    chance = torch.get_rng_state()

    with pytest.raises(RuntimeError, match="shape"):
        layer_table(network, SHAPE)

    assert not any(m._forward_hooks or m._forward_pre_hooks for m in network.modules())
    assert network.training
    assert torch.equal(torch.get_rng_state(), chance)
