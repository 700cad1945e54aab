"""Tracing a model leaves it unchanged."""

from __future__ import annotations

import random
import warnings
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils import prune

from tests.anatomy.networks import SHAPE, Student
from tui_trainer.anatomy.calls import Call
from tui_trainer.anatomy.field import Field
from tui_trainer.anatomy.measured import effective_field, measured_field
from tui_trainer.anatomy.operations import OPERATIONS
from tui_trainer.anatomy.table import layer_table
from tui_trainer.anatomy.trace import trace
from tui_trainer.models import zoo


@pytest.mark.parametrize(
    "make", [lambda: zoo.build("era-s6-dropout", image_size=28, classes=10, dropout=0.5), Student]
)
def test_making_the_table_leaves_no_trace(make: type[nn.Module]) -> None:
    model = make()
    for number, module in enumerate(model.modules()):
        module.training = number % 3 > 0
    for parameter in model.parameters():
        parameter.grad = torch.rand_like(parameter)
    calls: list[Tensor] = []
    hook = model.register_forward_hook(lambda module, args, output: calls.append(output))
    modes = [module.training for module in model.modules()]
    gradients = [p.grad.clone() for p in model.parameters() if p.grad is not None]
    before = {name: value.clone() for name, value in model.state_dict().items()}
    rng = torch.get_rng_state()

    layer_table(model, SHAPE)

    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())
    assert torch.equal(torch.get_rng_state(), rng)
    assert [module.training for module in model.modules()] == modes
    for parameter, gradient in zip(model.parameters(), gradients, strict=True):
        assert parameter.grad is not None
        assert torch.equal(parameter.grad, gradient)
    hooks = [hook for m in model.modules() for hook in (m._forward_hooks, m._forward_pre_hooks)]
    assert sum(map(len, hooks)) == 1
    hook.remove()
    assert len(calls) == 1


def test_statistics_that_a_model_updates_in_evaluation_are_restored() -> None:
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

    model = Counting()
    layer_table(model, SHAPE)

    assert {name: float(value) for name, value in model.state_dict().items()} == {
        "calls": 0,
        "mean": 0,
    }


def test_a_model_that_does_not_fit_is_left_unchanged() -> None:
    model = nn.Sequential(nn.Flatten(), nn.Linear(5, 2))
    rng = torch.get_rng_state()

    with pytest.raises(RuntimeError, match="shape"):
        layer_table(model, SHAPE)

    assert not any(m._forward_hooks or m._forward_pre_hooks for m in model.modules())
    assert model.training
    assert torch.equal(torch.get_rng_state(), rng)


class Base(nn.Module):
    """A small model; a test adds to its body."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, 4, 3, padding=1)
        self.head = nn.Linear(4, 10)

    def body(self, x: Tensor) -> Tensor:
        found: Tensor = self.conv(x)
        return found

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.head(self.body(x).relu().mean((2, 3)))
        return logits


class Keeps(Base):
    """A module with activations, counters and containers as attributes."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[Tensor] = []
        self.counters: dict[str, Any] = {"runs": 0, "sum": torch.zeros(3)}
        self.runs = 0

    def body(self, x: Tensor) -> Tensor:
        self.kept = self.conv(x)
        self.seen.append(self.kept)
        self.counters["runs"] += 1
        self.counters["sum"] += 1
        self.counters["last"] = self.kept
        self.runs += 1
        found: Tensor = self.kept
        return found


class Window(Base):
    """A tensor that is recreated for each new shape."""

    window: Tensor | None = None

    def body(self, x: Tensor) -> Tensor:
        if self.window is None or self.window.shape != x.shape:
            self.window = torch.hann_window(28).expand_as(x).contiguous()
        found: Tensor = self.conv(x * self.window)
        return found


class Buffers(Base):
    """Buffers that are replaced, resized or written to; one whose rows share memory."""

    mean: Tensor
    rows: Tensor
    log: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(4))
        self.register_buffer("log", torch.zeros(2))
        self.register_buffer("rows", torch.zeros(1, 28).expand(28, 28))
        self.register_buffer("sparse", torch.eye(3).to_sparse())

    def body(self, x: Tensor) -> Tensor:
        found: Tensor = self.conv(x + self.rows)
        self.mean = found.mean((0, 2, 3)).detach()
        self.log.resize_(5).fill_(1)
        self.rows[:1, :1] += 1 if self.rows.is_contiguous() else 0
        return found


class Limits(Base):
    """Weights that are clamped before each use."""

    def body(self, x: Tensor) -> Tensor:
        self.conv.weight.data.clamp_(-1e-3, 1e-3)
        return super().body(x)


class Draws(Base):
    def body(self, x: Tensor) -> Tensor:
        shift = random.random() + float(np.random.rand())
        return super().body(x) + torch.rand(()) + shift


class Writes(Base):
    def body(self, x: Tensor) -> Tensor:
        return super().body(x.sub_(0.5).div_(0.5))


class Merges(Base):
    """Folds a scale into its weights in evaluation mode, as reparametrized models do."""

    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(4)
        self.merged = False

    def train(self, mode: bool = True) -> Merges:
        if mode == getattr(self, "merged", False):
            with torch.no_grad():
                self.conv.weight.mul_(0.5 if mode else 2)
            self.merged = not mode
        super().train(mode)
        self.norm.training = False
        return self


def plain_state(model: nn.Module) -> list[Any]:
    """Return everything that a model's modules hold: tensors by identity and by value."""

    def of(value: Any) -> Any:
        if isinstance(value, Tensor):
            return id(value), value.detach().to_dense().tolist(), tuple(value.shape)
        if isinstance(value, dict):
            return {key: of(part) for key, part in value.items()}
        return [of(part) for part in value] if isinstance(value, (list, tuple)) else value

    return [of(vars(module)) for module in model.modules()]


def drawn() -> list[int]:
    """Return NumPy's global random state."""
    state: Any = np.random.get_state()
    return [*state[1].tolist(), state[2]]


def old_weight_norm() -> nn.Module:
    model = Base()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        nn.utils.weight_norm(model.conv)
    return model


def parametrized() -> nn.Module:
    model = Base()
    nn.utils.parametrizations.weight_norm(model.conv)
    nn.utils.parametrizations.spectral_norm(model.head)
    return model


def pruned() -> nn.Module:
    model = Base()
    prune.l1_unstructured(model.conv, "weight", 0.5)  # type: ignore[no-untyped-call]
    return model


def compiled() -> nn.Module:
    model = Base()
    model.conv = torch.compile(model.conv, backend="eager")  # type: ignore[assignment]
    return model


@pytest.mark.parametrize(
    "make",
    [
        *(Keeps, Window, Buffers, Limits, Draws, Writes, Merges),
        *(old_weight_norm, parametrized, pruned, compiled),
    ],
)
def test_everything_a_forward_changes_is_restored(make: Callable[[], nn.Module]) -> None:
    model, images = make(), torch.rand(2, 1, 28, 28)
    model(images.clone())
    model.train()
    inputs = images.clone()
    before = plain_state(model)
    rng = torch.get_rng_state(), random.getstate(), drawn()

    rows = layer_table(model, SHAPE)
    trace(model, inputs, reached=lambda place, step, result: None)
    last = max(place for place, row in enumerate(rows) if row.is_layer)
    assert measured_field(model, SHAPE, last, 0, 0).all()
    assert effective_field(model, inputs[:1], last, 0, 0).shape == (28, 28)

    assert sum(row.parameters for row in rows) == sum(p.numel() for p in model.parameters())
    assert plain_state(model) == before
    assert torch.equal(inputs, images)
    assert torch.equal(rng[0], torch.get_rng_state())
    assert rng[1:] == (random.getstate(), drawn())


@pytest.mark.parametrize("dtype", [torch.float64, torch.float16, torch.bfloat16])
def test_models_of_other_dtypes_have_a_table(dtype: torch.dtype) -> None:
    class Cast(Base):
        def forward(self, x: Tensor) -> Tensor:
            return super().forward(x.to(dtype))

    rows = layer_table(Cast().to(dtype), SHAPE)

    assert rows[-1].receptive_field == (30, 30)
    assert measured_field(Cast().to(dtype), SHAPE, len(rows) - 1, 0, 0).all()


def test_constants_of_a_model_or_its_file_are_no_features() -> None:
    class Scales(Base):
        def __init__(self) -> None:
            super().__init__()
            self.scales = [torch.ones(4, 1, 1)]

        def body(self, x: Tensor) -> Tensor:
            return super().body(x) * (self.scales[0] * 2) * (GLOBAL + 1)

    rows = layer_table(Scales(), SHAPE)

    assert [row.kind for row in rows[2:4]] == ["multiply", "multiply"]
    assert not any(row.undefined for row in rows)


GLOBAL = torch.ones(4, 1, 1)


def test_a_model_that_rejects_a_batch_of_one_has_a_table() -> None:
    class Squeezes(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv2d(1, 10, 3)

        def forward(self, x: Tensor) -> Tensor:
            return F.log_softmax(F.adaptive_avg_pool2d(self.conv(x), 1).squeeze(), dim=1)

    rows = layer_table(Squeezes(), SHAPE)

    assert rows[-1].output_shape == (1, 1, 10)
    assert rows[1].multiply_adds == 26 * 26 * 100


def test_a_call_that_cannot_be_parsed_keeps_the_other_rows(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fails(call: Call) -> Field:
        raise KeyError("pad")

    monkeypatch.setitem(OPERATIONS, "relu", replace(OPERATIONS["relu"], propagate=fails))

    rows = layer_table(Base(), SHAPE)

    assert [row.kind for row in rows] == ["input", "conv", "relu", "mean", "fully connected"]
    assert rows[2].undefined == "after relu: its field could not be computed (KeyError: 'pad')"
    assert rows[1].receptive_field == (3, 3)
