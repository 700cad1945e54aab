"""A step of a kernel of the first layer against a plain one of torch."""

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
    context: Context, name: str, kernel: int, rate: float
) -> tuple[Tensor, Tensor, float, float]:
    """Return kernel, gradient, and loss before and after, by an optimizer of torch."""
    network = copy.deepcopy(context.model).double().train()
    for module in network.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0
    train = context.data.train
    images, labels = context.data.prepare(train.images[:8]).double(), train.labels[:8]
    layer = network.get_submodule(name)
    assert isinstance(layer, nn.Conv2d | nn.Linear)
    before = layer.weight.detach()[kernel].clone()
    loss = functional.cross_entropy(network(images), labels)
    loss.backward()  # type: ignore[no-untyped-call]
    assert layer.weight.grad is not None
    gradient = layer.weight.grad[kernel].clone()
    only = torch.zeros_like(layer.weight.grad)
    only[kernel] = gradient
    layer.weight.grad = only
    torch.optim.SGD([layer.weight], lr=rate).step()
    after = functional.cross_entropy(network(images), labels)
    return before, gradient, loss.item(), after.item()


@pytest.mark.parametrize(("model", "name"), [("tiny", "conv1"), ("mlp", "hidden")])
def test_a_kernels_step_is_that_of_torchs_gradient_descent(
    context_of: Contexts, model: str, name: str
) -> None:
    context = context_of(model)
    exhibit = shown(context, view="first layer", kernel=3.0, rate=0.5)
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
    finite = float(re.findall(r"difference is (\S+);", exhibit.certainty)[0])
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
    rate = context_of(model).config.base_lr
    assert [-rate * value for value in gradient.values] == pytest.approx(update.values, abs=1e-6)
    sums = [a + b for a, b in zip(before.values, update.values, strict=True)]
    assert sums == pytest.approx(after.values, abs=1e-6)


def test_the_run_is_left_as_it_is(context_of: Contexts) -> None:
    context = context_of("tiny")
    before = copy.deepcopy(context.model.state_dict())
    mode = context.model.training
    shown(context, view="first layer", rate=100.0)
    assert context.model.training is mode
    for name, value in context.model.state_dict().items():
        assert torch.equal(value, before[name]), name
    assert all(parameter.grad is None for parameter in context.model.parameters())


def test_dropout_leaves_out_the_same_features_before_and_after(context_of: Contexts) -> None:
    """Without that the finite difference would be of another function."""
    context = context_of("tiny")
    network = nn.Sequential(nn.Flatten(), nn.Linear(784, 20), nn.Dropout(0.5), nn.Linear(20, 10))
    exhibit = shown(dataclasses.replace(context, model=network), view="first layer")
    differs = float(re.findall(r"differs by (\S+)\.", exhibit.certainty)[0])
    assert differs < 1e-6
    still = shown(dataclasses.replace(context, model=network), view="first layer", rate=0.0)
    assert "+0.00e+00, where" in still.result


def test_a_network_that_diverged_is_said_to_be_lost(context_of: Contexts) -> None:
    context = context_of("tiny")
    network = context.copy()
    for parameter in network.parameters():
        parameter.data.fill_(math.nan)
    exhibit = shown(dataclasses.replace(context, model=network), view="first layer")
    assert "no number" in exhibit.result
    assert not any(isinstance(block, Pictures) for block in exhibit.blocks)


class Mean(nn.Module):
    """A network with neither a convolution nor a linear layer."""

    def __init__(self) -> None:
        super().__init__()
        self.scores = nn.Parameter(torch.arange(10.0))

    def forward(self, images: Tensor) -> Tensor:
        return images.mean(dim=(1, 2, 3))[:, None] * self.scores


def test_without_a_layer_of_weights_another_network_is_shown(context_of: Contexts) -> None:
    exhibit = shown(dataclasses.replace(context_of("tiny"), model=Mean()), view="first layer")
    assert "here is tiny" in words_of(exhibit)
    assert len(block_of(exhibit, Table).rows) == 9
    assert "after step 0" in exhibit.certainty


class Single(nn.Module):
    """A network that insists on single precision, with three channels and a frozen first layer."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 4, 5)
        self.scores = nn.Linear(4, 10)
        self.first.requires_grad_(False)

    def forward(self, images: Tensor) -> Tensor:
        maps = self.first(images.float().expand(-1, 3, -1, -1)).relu()
        scores: Tensor = self.scores(maps.mean(dim=(2, 3)))
        return scores


def test_a_network_in_single_precision_with_a_frozen_layer_is_shown(context_of: Contexts) -> None:
    torch.manual_seed(5)
    exhibit = shown(dataclasses.replace(context_of("tiny"), model=Single()), view="first layer")
    assert "single precision" in exhibit.certainty
    shown_table = block_of(exhibit, Table)
    assert "of 75" in shown_table.caption
    assert re.fullmatch(r"[123]: [1-5], [1-5]", shown_table.rows[0][0])
    assert shown_table.marked is not None
    slope = float(shown_table.rows[shown_table.marked][2])
    finite = float(re.findall(r"difference is (\S+);", exhibit.certainty)[0])
    assert finite == pytest.approx(slope, rel=0.02, abs=1e-4)


def test_a_dead_first_layer_is_said_to_have_no_slope(context_of: Contexts) -> None:
    network = nn.Sequential(nn.Flatten(), nn.Linear(784, 5), nn.ReLU(), nn.Linear(5, 10))
    nn.init.constant_(network[1].bias, -1e4)  # type: ignore[arg-type]
    exhibit = shown(dataclasses.replace(context_of("tiny"), model=network), view="first layer")
    assert "slopes are 0" in words_of(exhibit)
