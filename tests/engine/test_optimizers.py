from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from tui_trainer.engine.optimizers import SGD, Optimizer, make_optimizer
from tui_trainer.models import zoo
from tui_trainer.protocol.config import RunConfig

Theirs = Callable[[Iterable[Tensor]], torch.optim.Optimizer]
DECAY = 0.01


def sgd(momentum: float, nesterov: bool) -> tuple[RunConfig, Theirs]:
    config = RunConfig(momentum=momentum, nesterov=nesterov, weight_decay=DECAY)
    return config, lambda weights: torch.optim.SGD(
        weights, lr=1.0, momentum=momentum, nesterov=nesterov, weight_decay=DECAY
    )


PAIRS = {
    "sgd": sgd(0.0, False),
    "momentum": sgd(0.9, False),
    "nesterov": sgd(0.9, True),
    "adam": (
        RunConfig(optimizer="adam", weight_decay=DECAY),
        lambda weights: torch.optim.Adam(weights, lr=1.0, weight_decay=DECAY),
    ),
    "adamw": (
        RunConfig(optimizer="adamw", weight_decay=DECAY),
        lambda weights: torch.optim.AdamW(weights, lr=1.0, weight_decay=DECAY),
    ),
}


def model() -> nn.Module:
    torch.manual_seed(0)
    made = zoo.build("small", image_size=8, classes=4)
    return made.to(memory_format=torch.channels_last)  # type: ignore[call-overload,no-any-return]


def gradients(net: nn.Module, seed: int) -> None:
    torch.manual_seed(seed)
    for parameter in net.parameters():
        parameter.grad = torch.randn_like(parameter)


@pytest.mark.parametrize("fused", [True, False])
@pytest.mark.parametrize("name", PAIRS)
def test_updates_match_pytorchs_optimizers(name: str, fused: bool) -> None:
    config, build = PAIRS[name]
    mine, yours = model(), model()
    ours = make_optimizer(mine, config)
    ours.fused = [fused] * len(ours.parameters)
    theirs = build(yours.parameters())

    for step, lr in enumerate((0.1, 0.05, 0.2, 0.001), start=1):
        gradients(mine, step)
        gradients(yours, step)
        ours.step(lr)
        for group in theirs.param_groups:
            group["lr"] = lr
        theirs.step()

    for a, b in zip(mine.parameters(), yours.parameters(), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", PAIRS)
def test_a_weight_without_a_gradient_stays_where_it_is(name: str) -> None:
    net = model()
    ours = make_optimizer(net, PAIRS[name][0])
    first, *_ = net.parameters()
    before = first.detach().clone()
    for step in range(3):
        gradients(net, step)
        first.grad = None
        ours.step(0.1)

    assert torch.equal(first, before)
    gradients(net, 9)
    ours.step(0.1)
    assert not torch.equal(first, before)


def test_a_step_without_gradients_is_no_error() -> None:
    ours: Optimizer = SGD([], momentum=0.9, nesterov=True, weight_decay=0.0)

    ours.step(0.1)
    ours.zero_grad()


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_the_momentum_of_16_bits_is_the_same_each_time(dtype: torch.dtype) -> None:
    """PyTorch's fused kernel leaves uninitialized memory in some elements."""

    def momentum() -> Tensor:
        rng = torch.Generator().manual_seed(0)
        weight = nn.Parameter(torch.randn(10, 384, generator=rng).to(dtype))
        ours = SGD([weight], momentum=0.9, nesterov=True, weight_decay=5e-4)
        for _ in range(4):
            weight.grad = torch.randn(10, 384, generator=rng).to(dtype)
            ours.step(0.01)
        return ours.state_tensors()["momentum_buffer/0"]

    first = momentum()
    for number in range(8):
        torch.full((5_000,), 1e10 * number)  # other contents of the freed memory
        assert torch.equal(momentum(), first)


def test_zero_grad_sets_gradients_to_none() -> None:
    net = model()
    gradients(net, 0)
    make_optimizer(net, RunConfig()).zero_grad()

    assert all(parameter.grad is None for parameter in net.parameters())


@pytest.mark.slow
def test_a_run_does_not_load_the_compiler(tiny: Path) -> None:
    """It takes two seconds and 70 MB, and nothing here uses it."""
    code = (
        "import sys\n"
        "from tui_trainer.engine.loop import train\n"
        "from tui_trainer.protocol.commands import Inbox\n"
        "from tui_trainer.protocol.config import RunConfig\n"
        "for optimizer in ('sgd', 'adam', 'adamw'):\n"
        "    config = RunConfig(model='small', data_dir=sys.argv[1], epochs=1, threads=1,\n"
        "                       optimizer=optimizer, device='cpu')\n"
        "    assert [e for e in train(config, Inbox())][-1].reason == 'completed'\n"
        "assert 'torch._dynamo' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", code, str(tiny)], check=True, timeout=120)
