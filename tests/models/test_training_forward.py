"""The forward pass of training: the same logits and gradients as the model's own."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from tests.models.any_models import Tied
from tui_trainer.engine.steps import backward
from tui_trainer.models import zoo
from tui_trainer.models.build import to_channels_last
from tui_trainer.models.copies import copy_model
from tui_trainer.models.threads import training_forward


@pytest.fixture(params=[1, 2])
def threads(request: pytest.FixtureRequest) -> Iterator[int]:
    before = torch.get_num_threads()
    torch.set_num_threads(request.param)
    yield request.param
    torch.set_num_threads(before)


def gradients(
    model: nn.Module, images: Tensor, *, fast: bool, precise: bool = False
) -> dict[str, Tensor]:
    """Return the logits, the gradients and the buffers after one forward and backward pass."""
    twin = copy_model(model)
    if precise:
        twin, images = twin.double(), images.double()
    logits = (training_forward(twin) if fast else twin)(images)
    backward(functional.cross_entropy(logits, torch.arange(len(images)) % 10))
    found = {name: p.grad for name, p in twin.named_parameters() if p.grad is not None}
    return {"logits": logits.detach(), **found, **dict(twin.named_buffers())}


def model_and_images(name: str, count: int) -> tuple[nn.Module, Tensor]:
    torch.manual_seed(0)
    model = to_channels_last(zoo.build(name, image_size=28, classes=10), 28)
    return model, torch.randn(count, 1, 28, 28)


@pytest.mark.parametrize("name", ["small", "era-s6", "conv-fc"])
def test_one_thread_gives_the_same_bits(name: str) -> None:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    model, images = model_and_images(name, 16)
    expected = gradients(model, images, fast=False)
    found = gradients(model, images, fast=True)
    torch.set_num_threads(before)
    for key, value in expected.items():
        assert torch.equal(found[key], value), key


@pytest.mark.parametrize("count", [16, 15, 1])
@pytest.mark.sampled(2)
def test_batch_norm_is_as_precise_as_that_of_pytorch(threads: int, count: int) -> None:
    model, images = model_and_images("small", count)
    expected = gradients(model, images, fast=False, precise=True)
    found = gradients(model, images, fast=True)
    usual = gradients(model, images, fast=False)
    for key, value in expected.items():
        scale = value.double().norm() + 1e-9
        error = (found[key].double() - value).norm() / scale
        usual_error = (usual[key].double() - value).norm() / scale
        assert error <= 2 * usual_error + 1e-4, key


def test_bfloat16_maps_keep_their_dtype(threads: int) -> None:
    model, images = model_and_images("small", 16)
    with torch.autocast("cpu", torch.bfloat16):
        logits = training_forward(model)(images)
    backward(functional.cross_entropy(logits.float(), torch.arange(16) % 10))
    assert logits.dtype == torch.bfloat16
    assert all(p.grad is not None and p.grad.isfinite().all() for p in model.parameters())


def test_evaluation_mode_uses_the_running_statistics(threads: int) -> None:
    model, images = model_and_images("small", 16)
    model.eval()
    assert torch.allclose(training_forward(model)(images), model(images), atol=1e-5)


def test_any_other_model_is_returned() -> None:
    model = Tied()
    assert training_forward(model) is model
