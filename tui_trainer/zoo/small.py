"""Networks that are quick on a small machine: few kernels, and most of them on a small map."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence

from torch import nn


def small(*, image_size: int, classes: int, dropout: float = 0.0) -> nn.Sequential:
    """Build a network of 19,810 parameters for 28×28 images and 10 classes.

    Six 3×3 convolutions, the first two of them pooled: the other four, with nearly all the weights,
    work on a sixteenth of the places. Takes (N, 1, image_size, image_size), gives scores
    (N, classes).
    """
    return _build((8, 16, 24, 24, 24, 20), classes)


def tiny(*, image_size: int, classes: int, dropout: float = 0.0) -> nn.Sequential:
    """Build a network of 4,822 parameters for 28×28 images and 10 classes.

    As :func:`small`, with narrower layers. Takes (N, 1, image_size, image_size), gives scores
    (N, classes).
    """
    return _build((8, 10, 10, 10, 10, 12), classes)


def _build(widths: Sequence[int], classes: int, pooled: int = 2) -> nn.Sequential:
    """Build 3×3 convolutions of these widths, the first ``pooled`` with a max pool each.

    The pool stands directly after its convolution: batch norm and ReLU then have a quarter of the
    values to handle. Global average pooling spends no weights on positions.
    """
    layers: OrderedDict[str, nn.Module] = OrderedDict()
    channels = 1
    for index, width in enumerate(widths, start=1):
        layers[f"conv{index}"] = nn.Conv2d(channels, width, 3, padding=1, bias=False)
        if index <= pooled:
            layers[f"pool{index}"] = nn.MaxPool2d(2)
        layers[f"conv{index}_norm"] = nn.BatchNorm2d(width)
        layers[f"conv{index}_relu"] = nn.ReLU(inplace=True)
        channels = width
    layers["average"] = nn.AdaptiveAvgPool2d(1)
    layers["flatten"] = nn.Flatten()
    layers["scores"] = nn.Linear(channels, classes)
    return nn.Sequential(layers)
