"""Building blocks of the models in the zoo."""

from __future__ import annotations

from collections import OrderedDict

import torch
from torch import nn

Layers = OrderedDict[str, nn.Module]


class ResidualBlock(nn.Module):
    """Two 3×3 convolutions whose result is added to their input, then a ReLU.

    The sum passes the gradient on to the input unchanged (K. He and others, "Deep Residual Learning
    for Image Recognition", CVPR 2016, figure 2).
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.channels = channels
        self.conv1 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.norm1 = nn.BatchNorm2d(channels)
        self.relu1 = nn.ReLU(inplace=True)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(channels)
        self.relu2 = nn.ReLU(inplace=True)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return maps of the shape of ``x`` (N, channels, height, width)."""
        residual: torch.Tensor = self.relu1(self.norm1(self.conv1(x)))
        residual = self.norm2(self.conv2(residual))
        summed: torch.Tensor = self.relu2(x + residual)
        return summed


BLOCKS = (ResidualBlock,)
"""Modules of several layers; their source is plain PyTorch, and goes into written programs."""


def convolve(
    layers: Layers,
    name: str,
    channels: int,
    width: int,
    kernel: int = 3,
    *,
    padding: int | None = None,
    bias: bool = False,
    norm: bool = True,
) -> int:
    """Add a convolution with same padding, batch norm and ReLU; return its output channels."""
    padding = kernel // 2 if padding is None else padding
    layers[name] = nn.Conv2d(channels, width, kernel, padding=padding, bias=bias)
    if norm:
        layers[f"{name}_norm"] = nn.BatchNorm2d(width)
    layers[f"{name}_relu"] = nn.ReLU(inplace=True)
    return width


def averaged(layers: Layers, channels: int, classes: int) -> nn.Sequential:
    """Append global average pooling and a fully connected layer; return the model."""
    layers["average"] = nn.AdaptiveAvgPool2d(1)
    layers["flatten"] = nn.Flatten()
    layers["logits"] = nn.Linear(channels, classes)
    return nn.Sequential(layers)
