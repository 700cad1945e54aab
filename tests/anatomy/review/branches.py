"""Models with branches, and functional ones, for the design review."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional


class Residual(nn.Module):
    """A residual block that halves the map, with a convolution in its shortcut."""

    def __init__(
        self, inputs: int, outputs: int, *, shortcut_norm: bool = True, final_relu: bool = True
    ) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride=2, padding=1, bias=False)
        self.norm1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(outputs)
        self.shortcut = nn.Conv2d(inputs, outputs, 1, stride=2, bias=False)
        self.shortcut_norm = nn.BatchNorm2d(outputs) if shortcut_norm else nn.Identity()
        self.final_relu = final_relu

    def forward(self, features: Tensor) -> Tensor:
        inner = functional.relu(self.norm1(self.conv1(features)))
        inner = self.norm2(self.conv2(inner))
        joined: Tensor = inner + self.shortcut_norm(self.shortcut(features))
        return functional.relu(joined) if self.final_relu else joined


class ResidualModel(nn.Module):
    """A stem, two residual blocks, global average pooling, logits."""

    def __init__(self, *, shortcut_norm: bool = True, classes: int = 10) -> None:
        super().__init__()
        self.stem = nn.Sequential(
            nn.Conv2d(1, 8, 5, padding=2, bias=False), nn.BatchNorm2d(8), nn.ReLU()
        )
        self.pool = nn.MaxPool2d(2)
        self.block1 = Residual(8, 12)
        self.block2 = Residual(12, 20, shortcut_norm=shortcut_norm)
        self.logits = nn.Linear(20, classes)

    def forward(self, images: Tensor) -> Tensor:
        features = self.block2(self.block1(self.pool(self.stem(images))))
        logits: Tensor = self.logits(features.mean((2, 3)))
        return logits


class TwoBranches(nn.Module):
    """Logits that are the sum of two branches, or one branch weighted by the other.

    Args:
        relus: The number of branches with a ReLU after their last layer.
        gated: Whether the second branch gates the first at each position, instead of being added.
    """

    def __init__(self, *, relus: int = 0, gated: bool = False) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(1, 8, 9), nn.ReLU(), nn.Conv2d(8, 8, 13), nn.ReLU())
        self.left = nn.Conv2d(8, 10, 1)
        self.right = nn.Conv2d(8, 10, 1)
        self.relus, self.gated = relus, gated

    def forward(self, images: Tensor) -> Tensor:
        features = self.body(images)
        left, right = self.left(features), self.right(features)
        if self.gated:
            gate = torch.softmax(right.flatten(2), 2)
            return torch.sum(left.flatten(2) * gate, 2)
        logits = (left.relu() if self.relus > 0 else left) + (
            right.relu() if self.relus > 1 else right
        )
        return torch.flatten(functional.adaptive_avg_pool2d(logits, 1), 1)


class Functional(nn.Module):
    """A model with functional pools, activations and dropout, as in PyTorch's MNIST example."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(1, 8, 3)
        self.conv2 = nn.Conv2d(8, 12, 3)
        self.drop = nn.Dropout(0.25)
        self.hidden = nn.Linear(12 * 12 * 12, 10)
        self.logits = nn.Linear(10, 10)

    def forward(self, images: Tensor) -> Tensor:
        features = functional.relu(self.conv1(images))
        features = functional.max_pool2d(functional.relu(self.conv2(features)), 2)
        features = functional.relu(self.hidden(torch.flatten(self.drop(features), 1)))
        logits = functional.dropout(self.logits(features), 0.5, training=self.training)
        return functional.log_softmax(logits, dim=1)


class Fire(nn.Module):
    """A Fire module: a squeeze layer whose output two convolutions read (SqueezeNet, 2016)."""

    def __init__(self, inputs: int, squeezed: int, outputs: int) -> None:
        super().__init__()
        self.squeeze = nn.Conv2d(inputs, squeezed, 1)
        self.small = nn.Conv2d(squeezed, outputs // 2, 1)
        self.large = nn.Conv2d(squeezed, outputs // 2, 3, padding=1)

    def forward(self, features: Tensor) -> Tensor:
        squeezed = functional.relu(self.squeeze(features))
        return functional.relu(torch.cat((self.small(squeezed), self.large(squeezed)), 1))


class Squeezed(nn.Module):
    """Three squeeze-and-excitation blocks."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(1, 8, 5, padding=2)
        self.gate = nn.Conv2d(8, 8, 1)
        self.conv2 = nn.Conv2d(8, 8, 5, padding=2)
        self.logits = nn.Linear(8, 10)

    def forward(self, images: Tensor) -> Tensor:
        features = functional.relu(self.conv1(images))
        for _ in range(3):
            gate = torch.sigmoid(self.gate(functional.adaptive_avg_pool2d(features, 1)))
            features = functional.relu(self.conv2(features * gate))
        logits: Tensor = self.logits(features.mean((2, 3)))
        return logits
