"""Initial weights from NumPy's global generator and from ``random``."""

import random

import numpy as np
import torch
from torch import Tensor, nn


class Net(nn.Module):
    """Torch draws none of its weights."""

    def __init__(self, image_size: int = 28, classes: int = 10) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, 8, 5, stride=2)
        self.head = nn.Linear(8 * 144, classes)
        with torch.no_grad():
            drawn = np.random.normal(0, 0.1, self.conv.weight.shape)
            self.conv.weight.copy_(torch.from_numpy(drawn))
            for row in self.head.weight:
                row.copy_(torch.tensor([random.uniform(-0.03, 0.03) for _ in row]))

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.head(self.conv(x).relu().flatten(1))
        return logits
