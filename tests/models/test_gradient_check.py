"""The gradient is compared with the loss, and training mode with evaluation mode."""

from __future__ import annotations

import warnings

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils import spectral_norm

from tests.models.any_models import ComplexWeights
from tui_trainer.engine.steps import loss_fn
from tui_trainer.models.gradient_check import gradient_ratio, training_gap


class Spectral(nn.Module):
    """A weight whose norm is estimated by one more iteration in each training step."""

    def __init__(self) -> None:
        super().__init__()
        self.low, self.high = spectral_norm(nn.Linear(64, 32)), nn.Linear(32, 10)

    def forward(self, x: Tensor) -> Tensor:
        return self.high(self.low(x.flatten(1)).relu())  # type: ignore[no-any-return]


class Noisy(Spectral):
    """Adds noise to training images."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x + torch.randn_like(x) if self.training else x)


def test_spectral_norm_is_no_transform_of_training_images() -> None:
    images = torch.randn(8, 1, 8, 8)
    assert training_gap(Spectral(), images) == (0, 0)
    assert min(training_gap(Noisy(), images)) > 0.1


def test_the_gradient_of_complex_weights_is_checked_without_a_warning() -> None:
    torch.manual_seed(0)
    images, labels = torch.randn(16, 1, 8, 8), torch.arange(16) % 10
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = gradient_ratio(ComplexWeights(8), images, labels, loss_fn)
    assert found == pytest.approx(1, abs=0.05)
