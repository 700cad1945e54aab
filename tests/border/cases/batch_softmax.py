"""Softmax over the batch: an image's logits depend on the other images."""

import torch.nn.functional as F
from torch import Tensor, nn


class Net(nn.Module):
    """``dim=0`` where ``dim=1`` is meant."""

    def __init__(self, classes: int = 10) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, 8, 5, stride=2)
        self.head = nn.Linear(8 * 144, classes)

    def forward(self, x: Tensor) -> Tensor:
        return F.log_softmax(self.head(self.conv(x).relu().flatten(1)), dim=0)
