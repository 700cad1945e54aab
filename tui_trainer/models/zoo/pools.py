"""Twins that differ in nothing but the places of their two pools."""

from __future__ import annotations

from collections import OrderedDict

from torch import nn

_WIDTHS = (8, 12, 16, 20, 24, 28)


def pool_early(*, image_size: int, classes: int, dropout: float = 0.0) -> nn.Sequential:
    """Build six 3×3 convolutions, pooled after the first and the second.

    16,418 parameters for 10 classes. Takes (N, 1, image_size, image_size), gives scores
    (N, classes).
    """
    return _build(classes, pooled=(1, 2))


def pool_late(*, image_size: int, classes: int, dropout: float = 0.0) -> nn.Sequential:
    """Build the same six convolutions, pooled after the fourth and the fifth.

    The weights are as many, and are multiplied at far more places; the last one sees less of the
    image. Takes (N, 1, image_size, image_size), gives scores (N, classes).
    """
    return _build(classes, pooled=(4, 5))


def _build(classes: int, *, pooled: tuple[int, int]) -> nn.Sequential:
    layers: OrderedDict[str, nn.Module] = OrderedDict()
    channels = 1
    for index, width in enumerate(_WIDTHS, start=1):
        layers[f"conv{index}"] = nn.Conv2d(channels, width, 3, padding=1, bias=False)
        layers[f"conv{index}_norm"] = nn.BatchNorm2d(width)
        layers[f"conv{index}_relu"] = nn.ReLU(inplace=True)
        if index in pooled:
            layers[f"pool{pooled.index(index) + 1}"] = nn.MaxPool2d(2)
        channels = width
    layers["average"] = nn.AdaptiveAvgPool2d(1)
    layers["flatten"] = nn.Flatten()
    layers["scores"] = nn.Linear(channels, classes)
    return nn.Sequential(layers)
