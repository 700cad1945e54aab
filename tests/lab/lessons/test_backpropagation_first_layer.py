"""A step of a first-layer kernel against a plain step of torch."""

from __future__ import annotations

import copy
import dataclasses
import math
import re

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from tests.lab.conftest import Contexts
from tests.lab.lessons.test_backpropagation import block_of, shown, words_of
from tui_trainer.lab.context import Context
from tui_trainer.protocol.exhibit import Pictures, Table


def plain_step(
    context: Context, name: str, kernel: int, lr: float
) -> tuple[Tensor, Tensor, float, float]:
    """Return kernel, gradient, and loss before and after a step of a torch optimizer."""
    model = copy.deepcopy(context.model).double().train()
    for module in model.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0
    train = context.data.train
    images, labels = context.data.prepare(train.images[:8]).double(), train.labels[:8]
    layer = model.get_submodule(name)
    assert isinstance(layer, nn.Conv2d | nn.Linear)
    before = layer.weight.detach()[kernel].clone()
    loss = functional.cross_entropy(model(images), labels)
    loss.backward()  # type: ignore[no-untyped-call]
    assert layer.weight.grad is not None
    gradient = layer.weight.grad[kernel].clone()
    only = torch.zeros_like(layer.weight.grad)
    only[kernel] = gradient
    layer.weight.grad = only
    torch.optim.SGD([layer.weight], lr=lr).step()
    after = functional.cross_entropy(model(images), labels)
    return before, gradient, loss.item(), after.item()


@pytest.mark.parametrize(("model", "name"), [("tiny", "conv1"), ("mlp", "hidden")])
def test_the_step_of_a_kernel_equals_torchs_gradient_descent(
    context_of: Contexts, model: str, name: str
) -> None:
    context = context_of(model)
    exhibit = shown(context, view="first layer", kernel=3.0, lr=0.5)
    before, gradient, loss, later = plain_step(context, name, 3, 0.5)
    side = 3 if model == "tiny" else 28
    before, gradient = before.view(side, side), gradient.view(side, side)
    shown_table = block_of(exhibit, Table)
    assert len(shown_table.rows) == 9
    for row in shown_table.rows:
        down, across = (int(part) - 1 for part in row[0].split(","))
        weight, slope = float(before[down, across]), float(gradient[down, across])
        assert [float(cell) for cell in row[1:]] == pytest.approx(
            [weight, slope, -0.5 * slope, weight - 0.5 * slope], abs=1e-6
        )
    assert f"from {loss:.6f} to {later:.6f}" in exhibit.result
    assert later < loss
    assert f"{-0.5 * float((gradient**2).sum()):+.2e}" in exhibit.result
    assert shown_table.marked is not None
    steepest = float(shown_table.rows[shown_table.marked][2])
    assert abs(steepest) == pytest.approx(float(gradient.abs().max()), abs=1e-6)
    finite = float(re.findall(r"weight: (\S+);", exhibit.evidence)[0])
    assert finite == pytest.approx(steepest, abs=1e-6)


@pytest.mark.parametrize("model", ["tiny", "mlp"])
def test_the_kernel_is_drawn_four_times(context_of: Contexts, model: str) -> None:
    pictures = block_of(shown(context_of(model), view="first layer"), Pictures).items
    assert [picture.caption for picture in pictures] == [
        "before",
        "gradient",
        "−η·gradient",
        "after",
    ]
    before, gradient, update, after = pictures
    assert all(picture.is_signed and picture.width <= 28 for picture in pictures)
    assert (before.low, before.high) == (after.low, after.high)
    lr = context_of(model).config.base_lr
    assert [-lr * value for value in gradient.values] == pytest.approx(update.values, abs=1e-6)
    sums = [a + b for a, b in zip(before.values, update.values, strict=True)]
    assert sums == pytest.approx(after.values, abs=1e-6)


def test_the_run_is_unchanged(context_of: Contexts) -> None:
    context = context_of("tiny")
    before = copy.deepcopy(context.model.state_dict())
    mode = context.model.training
    shown(context, view="first layer", lr=100.0)
    assert context.model.training is mode
    for name, value in context.model.state_dict().items():
        assert torch.equal(value, before[name]), name
    assert all(parameter.grad is None for parameter in context.model.parameters())


def test_dropout_drops_the_same_features_before_and_after(context_of: Contexts) -> None:
    """Otherwise the finite difference would be that of another function."""
    context = context_of("tiny")
    model = nn.Sequential(nn.Flatten(), nn.Linear(784, 20), nn.Dropout(0.5), nn.Linear(20, 10))
    exhibit = shown(dataclasses.replace(context, model=model), view="first layer")
    differs = float(re.findall(r"differs by (\S+)\.", exhibit.evidence)[0])
    assert differs < 1e-6
    still = shown(dataclasses.replace(context, model=model), view="first layer", lr=0.0)
    assert "+0.00e+00, the gradient" in still.result


def test_a_diverged_model_has_no_step(context_of: Contexts) -> None:
    context = context_of("tiny")
    model = context.copy()
    for parameter in model.parameters():
        parameter.data.fill_(math.nan)
    exhibit = shown(dataclasses.replace(context, model=model), view="first layer")
    assert "not finite" in exhibit.result
    assert not any(isinstance(block, Pictures) for block in exhibit.blocks)


class Mean(nn.Module):
    """A model with neither a convolution nor a linear layer."""

    def __init__(self) -> None:
        super().__init__()
        self.logits = nn.Parameter(torch.arange(10.0))

    def forward(self, images: Tensor) -> Tensor:
        return images.mean(dim=(1, 2, 3))[:, None] * self.logits


def test_without_a_weighted_layer_another_model_is_shown(context_of: Contexts) -> None:
    exhibit = shown(dataclasses.replace(context_of("tiny"), model=Mean()), view="first layer")
    assert "tiny is shown instead" in words_of(exhibit)
    assert len(block_of(exhibit, Table).rows) == 9
    assert "after step 0" in exhibit.evidence


class Single(nn.Module):
    """A model that requires single precision, with three channels and a frozen first layer."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 4, 5)
        self.logits = nn.Linear(4, 10)
        self.first.requires_grad_(False)

    def forward(self, images: Tensor) -> Tensor:
        maps = self.first(images.float().expand(-1, 3, -1, -1)).relu()
        logits: Tensor = self.logits(maps.mean(dim=(2, 3)))
        return logits


def test_a_single_precision_model_with_a_frozen_layer_is_shown(context_of: Contexts) -> None:
    torch.manual_seed(5)
    exhibit = shown(dataclasses.replace(context_of("tiny"), model=Single()), view="first layer")
    assert "single precision" in exhibit.evidence
    shown_table = block_of(exhibit, Table)
    assert "of 75" in shown_table.caption
    assert re.fullmatch(r"[123]: [1-5], [1-5]", shown_table.rows[0][0])
    assert shown_table.marked is not None
    slope = float(shown_table.rows[shown_table.marked][2])
    finite = float(re.findall(r"weight: (\S+);", exhibit.evidence)[0])
    assert finite == pytest.approx(slope, rel=0.02, abs=1e-4)


def test_a_dead_first_layer_has_zero_gradients(context_of: Contexts) -> None:
    model = nn.Sequential(nn.Flatten(), nn.Linear(784, 5), nn.ReLU(), nn.Linear(5, 10))
    nn.init.constant_(model[1].bias, -1e4)  # type: ignore[arg-type]
    exhibit = shown(dataclasses.replace(context_of("tiny"), model=model), view="first layer")
    assert "gradients are 0" in words_of(exhibit)
