"""A custom model that several processes can only train together with care."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class Net(nn.Module):
    """Has an unused parameter, a buffer that depends on the batch, one of -inf and an empty one."""

    level: Tensor
    mask: Tensor
    nothing: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, 8, 3)
        self.norm = nn.BatchNorm2d(8, momentum=None)
        self.head = nn.Linear(8, 10)
        self.unused = nn.Linear(3, 3)
        self.register_buffer("level", torch.zeros(()))
        self.register_buffer("mask", torch.tensor([True, False]))
        self.register_buffer("nothing", torch.zeros(0))
        self.register_buffer("limit", torch.tensor([0.0, float("-inf")]))

    def forward(self, images: Tensor) -> Tensor:
        """Return the logits (N, 10)."""
        if self.training:
            self.level.mul_(0.9).add_(images.detach().mean(), alpha=0.1)
        features: Tensor = self.norm(self.conv(images)).relu().mean(dim=(2, 3))
        logits: Tensor = self.head(features - self.level)
        return logits
