"""A model that writes into its input writes into a clone."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from tui_trainer.anatomy.trace import trace
from tui_trainer.models.copies import copy_model
from tui_trainer.models.inputs import clone_inputs


class InPlace(nn.Module):
    """Normalizes its input in place."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, 2, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(x.sub_(0.5).div_(0.5)).flatten(1)  # type: ignore[no-any-return]


def test_the_callers_images_stay_as_they_are() -> None:
    model = clone_inputs(copy_model(InPlace()))
    images = torch.rand(2, 1, 4, 4)
    before = images.clone()
    assert torch.equal(model(images), model(images))
    assert torch.equal(images, before)


def test_gradients_by_the_images_can_be_taken() -> None:
    images = torch.rand(2, 1, 4, 4, requires_grad=True)
    model = clone_inputs(InPlace())
    (slope,) = torch.autograd.grad(model(images).sum(), images)
    assert slope.abs().sum() > 0


def test_layers_are_seen_as_before_and_a_copy_of_a_copy_clones_once() -> None:
    plain = nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU(), nn.Flatten())
    twin = clone_inputs(copy_model(clone_inputs(copy_model(plain))))
    images = torch.rand(1, 1, 4, 4)
    assert len(twin._forward_pre_hooks) == 1
    assert [s.call.name for s in trace(twin, images)] == [s.call.name for s in trace(plain, images)]
    assert [s.sources for s in trace(twin, images)] == [s.sources for s in trace(plain, images)]


def test_a_scripted_module_stays_as_it_is() -> None:
    scripted = torch.jit.script(nn.Linear(2, 2))
    assert clone_inputs(scripted) is scripted
