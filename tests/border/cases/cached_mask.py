"""A tensor that is cached in the first pass that needs it, be that a validation pass."""

import torch
from torch import Tensor, nn


class Net(nn.Module):
    """A mask for each shape of maps, created again if the last one does not fit."""

    def __init__(self, classes: int = 10) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, 8, 5, stride=2)
        self.head = nn.Linear(8 * 144, classes)
        self.mask: Tensor | None = None

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv(x).relu()
        if self.mask is None or self.mask.shape != x.shape:
            self.mask = torch.linspace(0.5, 1.0, x.shape[-1]).expand_as(x).contiguous()
        logits: Tensor = self.head((x * self.mask).flatten(1))
        return logits
