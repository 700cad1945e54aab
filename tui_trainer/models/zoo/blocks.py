"""Building blocks of the models in the zoo."""

from __future__ import annotations

from collections import OrderedDict

from torch import nn

Layers = OrderedDict[str, nn.Module]


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
