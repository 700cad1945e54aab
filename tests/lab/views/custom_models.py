"""Unusual custom models."""

from __future__ import annotations

from pathlib import Path

ODD = '''
import random

import torch
from torch import nn
from torch.nn import functional as F


class Odd(nn.Module):
    """A convolution without a module, one that is used twice, a view, and probabilities."""

    def __init__(self, classes=10):
        super().__init__()
        self.kernels = nn.Parameter(torch.randn(4, 1, 5, 5) / 5)
        self.twice = nn.Conv2d(4, 4, 3, padding=1)
        self.last = nn.Linear(4, classes)

    def forward(self, x):
        x = F.relu(F.conv2d(x, self.kernels, stride=2, padding=2))
        x = torch.tanh(self.twice(x))
        x = F.relu_(self.twice(x))
        return F.softmax(self.last(x.mean(dim=(2, 3))), dim=1)


class Whim(nn.Module):
    """Its initial weights use a private rng that ignores the seed of the run."""

    def __init__(self, classes=10):
        super().__init__()
        self.last = nn.Linear(28 * 28, classes)
        nn.init.normal_(self.last.weight, std=random.SystemRandom().uniform(0.01, 0.02))

    def forward(self, x):
        return self.last(x.flatten(1))


class Seeded(nn.Module):
    """Its weights are drawn from Python's global generator, which the seed of a run sets."""

    def __init__(self, classes=10):
        super().__init__()
        self.last = nn.Linear(28 * 28, classes)
        nn.init.normal_(self.last.weight, std=random.uniform(0.01, 0.02))

    def forward(self, x):
        return self.last(x.flatten(1))


class Closed(nn.Module):
    """Nothing of it can be learned by a gradient of the image."""

    def __init__(self, classes=10):
        super().__init__()
        self.last = nn.Linear(1, classes)

    def forward(self, x):
        bright = (x.detach() > 0).float().mean(dim=(1, 2, 3)).unsqueeze(1)
        return self.last(bright)
'''


def write_odd(folder: Path) -> Path:
    """Write a file with the models and return its path."""
    path = folder / "odd.py"
    path.write_text(ODD, encoding="utf-8")
    return path
