"""Faulty and healthy networks of ``test_faulty_trainings.py`` that the public sets do not have."""

# mypy: ignore-errors
# These models are written as people write theirs.

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from tests.benchmarks.findings.public.models import LeNet, _Reverse, base_wide


def base_standardized() -> nn.Module:
    """The wide clean program on standardized pixels: at a rate of 0.1 most of its units die."""
    model = base_wide()
    model[0] = nn.Identity()
    return model


class LeNetReversed(LeNet):
    """Every gradient with the wrong sign."""

    def forward(self, x: Tensor) -> Tensor:
        return _Reverse.apply(super().forward(x))


class LeNetLastZero(LeNet):
    """Healthy: the last layer begins at 0, as many recommend."""

    def __init__(self) -> None:
        super().__init__()
        nn.init.zeros_(self.fc3.weight)
        nn.init.zeros_(self.fc3.bias)


class UnusedNorm(nn.Module):
    """Healthy: a norm is declared and never called."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.norm1 = nn.Conv2d(1, 8, 3), nn.BatchNorm2d(8)
        self.conv2, self.norm2 = nn.Conv2d(8, 16, 3), nn.BatchNorm2d(16)
        self.conv3, self.norm3 = nn.Conv2d(16, 10, 3), nn.BatchNorm2d(10)

    def forward(self, x: Tensor) -> Tensor:
        x = F.max_pool2d(F.relu(self.norm1(self.conv1(x))), 2)
        x = F.max_pool2d(F.relu(self.norm2(self.conv2(x))), 2)
        return self.conv3(x).mean((2, 3))


class LogSoftmaxOut(nn.Module):
    """Healthy: it ends in log_softmax, as PyTorch's MNIST example does for ``nll_loss``."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.conv2 = nn.Conv2d(1, 8, 3), nn.Conv2d(8, 10, 26)

    def forward(self, x: Tensor) -> Tensor:
        return F.log_softmax(self.conv2(F.relu(self.conv1(x))).flatten(1), dim=1)
