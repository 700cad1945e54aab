"""State that the ``state_dict`` does not contain is saved in checkpoints and restored."""

from __future__ import annotations

import random
from collections import deque
from contextlib import suppress

import numpy as np
import torch
from torch import Tensor, nn

from tui_trainer.models.unregistered_state import (
    UnregisteredState,
    has_internal_overlap,
    preserve_globals,
)


class Counter:
    """A plain object in an attribute of a model."""

    def __init__(self) -> None:
        self.calls = 0


class Stateful(nn.Module):
    """Keeps state in every way except the state_dict."""

    def __init__(self) -> None:
        super().__init__()
        self.head = nn.Linear(2, 2)
        self.norm = nn.BatchNorm1d(2)
        self.ways: Tensor
        self.register_buffer("ways", torch.randn(2, 2), persistent=False)
        self.phase = torch.rand(2)
        self.cache: dict[str, Tensor] = {"a": torch.rand(1)}
        self.memory = deque([torch.rand(2)], maxlen=4)
        self.pair = (torch.rand(1), 3)
        self.rng = torch.Generator().manual_seed(7)
        self.np_rng = np.random.default_rng(7)
        self.old_rng = np.random.RandomState(7)
        self.py_rng = random.Random(7)
        self.table = np.random.rand(3)
        self.temperature = 1.0
        self.counter = Counter()
        self.window: Tensor | None = None

    def forward(self, x: Tensor) -> Tensor:
        self.temperature *= 0.9
        self.counter.calls += 1
        self.phase += 1
        self.window = torch.ones(3) * self.counter.calls
        self.table += 1
        self.norm.eval()
        self.head.bias.requires_grad_(False)
        self.kept = self.head(x)
        return self.kept  # type: ignore[no-any-return]

    def draws(self) -> list[float]:
        return [
            float(torch.rand(1, generator=self.rng)),
            self.np_rng.random(),
            self.old_rng.rand(),
            self.py_rng.random(),
        ]


def test_unregistered_state_is_restored_in_a_rebuilt_model() -> None:
    model = Stateful()
    unregistered = UnregisteredState(model)
    for _ in range(3):
        model(torch.ones(1, 2))
    model.draws()
    tensors, scalars, flags = unregistered.tensors(), unregistered.scalars(), unregistered.flags()
    assert "kept" not in tensors  # a non-leaf tensor
    assert scalars == {"temperature": model.temperature, "counter/calls": 3}
    expected = model.draws()

    other = Stateful()
    UnregisteredState(other).restore(tensors, scalars, flags)
    assert torch.equal(other.ways, model.ways)
    assert torch.equal(other.phase, model.phase)
    assert torch.equal(other.cache["a"], model.cache["a"])
    assert torch.equal(other.memory[0], model.memory[0])
    assert torch.equal(other.pair[0], model.pair[0])
    assert other.window is not None
    assert torch.equal(other.window, torch.ones(3) * 3)
    assert np.array_equal(other.table, model.table)
    assert (other.temperature, other.counter.calls) == (model.temperature, 3)
    assert other.draws() == expected
    assert not other.norm.training
    assert other.head.training
    assert not other.head.bias.requires_grad
    assert other.head.weight.requires_grad


def test_going_back_to_an_earlier_state_puts_scalars_back_too() -> None:
    model = Stateful()
    unregistered = UnregisteredState(model)
    tensors, scalars, flags = unregistered.tensors(), unregistered.scalars(), unregistered.flags()
    model(torch.ones(1, 2))
    unregistered.restore(tensors, scalars, flags)
    assert (model.temperature, model.counter.calls) == (1.0, 0)
    assert model.norm.training


class Remembers(nn.Module):
    """Fills containers that are empty after construction."""

    def __init__(self) -> None:
        super().__init__()
        self.head = nn.Linear(2, 2)
        self.means: deque[Tensor] = deque(maxlen=3)
        self.by_size: dict[int, Tensor] = {}
        self.by_layer: dict[str, Tensor] = {}
        self.losses: list[float] = []
        self.counter = Counter()
        self.last: Tensor | None = torch.zeros(1)

    def forward(self, x: Tensor) -> Tensor:
        self.means.append(x.mean(0))
        self.by_size[len(x)] = x.sum()
        self.by_layer["features.0"] = x[0]
        self.losses.append(float(x.sum()))
        self.counter.kept = x.mean()  # type: ignore[attr-defined]
        self.last = None
        return self.head(x)  # type: ignore[no-any-return]


def test_containers_that_have_grown_grow_again() -> None:
    model = Remembers()
    unregistered = UnregisteredState(model)
    for factor in range(12):
        model(torch.ones(1 + factor % 2, 2) * factor)
    other = Remembers()
    UnregisteredState(other).restore(
        unregistered.tensors(), unregistered.scalars(), unregistered.flags()
    )
    assert [t.tolist() for t in other.means] == [[9.0, 9.0], [10.0, 10.0], [11.0, 11.0]]
    assert {k: float(v) for k, v in other.by_size.items()} == {1: 20.0, 2: 44.0}
    assert other.by_layer["features.0"].tolist() == [11.0, 11.0]
    assert other.losses == model.losses
    assert float(other.counter.kept) == 11.0  # type: ignore[attr-defined]
    assert other.last is None


def test_a_plain_model_has_no_unregistered_state() -> None:
    unregistered = UnregisteredState(
        nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.Dropout(0.1))
    )
    assert unregistered.tensors() == {}
    assert unregistered.scalars() == {}
    unregistered.model[2].p = 0.5  # type: ignore[index]
    assert unregistered.scalars() == {"2.p": 0.5}


def test_internal_overlap_is_detected() -> None:
    line = torch.arange(3.0)
    assert has_internal_overlap(line.expand(3, 3))
    assert not has_internal_overlap(line)
    assert not has_internal_overlap(torch.zeros(2, 2).t())


GLOBAL_RNG = np.random.default_rng(3)
GLOBAL_NOISE = torch.zeros(2)


class Noisy(nn.Module):
    """Draws from an rng of its file, and writes to a tensor of it."""

    def forward(self, x: Tensor) -> Tensor:
        GLOBAL_NOISE.add_(1)
        return x + float(GLOBAL_RNG.random())


def test_globals_of_the_models_file_are_restored() -> None:
    model, given = nn.Sequential(Noisy()), torch.zeros(1, 2)
    with preserve_globals(model):
        first = model(given)
    with preserve_globals(model), suppress(ValueError):
        assert torch.equal(model(given), first)
        raise ValueError
    assert float(GLOBAL_NOISE.sum()) == 0
    assert f"globals/{__name__}/GLOBAL_RNG" in UnregisteredState(model).tensors()


def test_a_file_that_is_imported_again_has_new_globals() -> None:
    source = "import random\nfrom torch import nn\nRNG = random.Random(1)\n"
    source += "class Net(nn.Module):\n    def forward(self, x):\n        return x + RNG.random()\n"
    spaces: list[dict[str, object]] = [{"__name__": "_own_test"} for _ in range(2)]
    for space in spaces:
        exec(source, space)
    net = spaces[0]["Net"]()  # type: ignore[operator]
    with preserve_globals(net):
        drawn = net(0.0)
    assert net(0.0) == drawn
