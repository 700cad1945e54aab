"""Networks that are quick on a small machine, or have few parameters.

Both have batch norm behind each max pool, not before it: wherever its scale is above 0 the maximum
is the same one, and there are a quarter of the values to normalize. Both end in global average
pooling, which spends no weights on positions.
"""

from __future__ import annotations

from collections import OrderedDict

from torch import nn

Layers = OrderedDict[str, nn.Module]


def small(*, image_size: int, classes: int, dropout: float = 0.0) -> nn.Sequential:
    """Build a network of 19,810 parameters for 28×28 images and 10 classes.

    Six 3×3 convolutions, the first two of them pooled: the other four, with nearly all the weights,
    work on a sixteenth of the places. Takes (N, 1, image_size, image_size), gives scores
    (N, classes).
    """
    layers: Layers = OrderedDict()
    channels = 1
    for index, width in enumerate((8, 16, 24, 24, 24, 20), start=1):
        layers[f"conv{index}"] = nn.Conv2d(channels, width, 3, padding=1, bias=False)
        _finish_stage(layers, index, width, pools=index <= 2)
        channels = width
    return _with_scores(layers, channels, classes)


def tiny(*, image_size: int, classes: int, dropout: float = 0.0) -> nn.Sequential:
    """Build a network of 4,714 parameters for 28×28 images and 10 classes.

    After a first 3×3 convolution all are depthwise separable: a 3×3 kernel for each map by itself,
    then a 1×1 convolution that mixes the maps (F. Chollet, "Xception", CVPR 2017). From c maps to d
    that takes 9c + cd weights where a full convolution takes 9cd. Takes
    (N, 1, image_size, image_size), gives scores (N, classes).
    """
    layers: Layers = OrderedDict(conv1=nn.Conv2d(1, 8, 3, padding=1, bias=False))
    _finish_stage(layers, 1, 8, pools=False)
    channels = 8
    for index, width in enumerate((16, 20, 20, 28, 28, 28), start=2):
        depthwise = nn.Conv2d(channels, channels, 3, padding=1, groups=channels, bias=False)
        layers[f"depth{index}"] = depthwise
        layers[f"point{index}"] = nn.Conv2d(channels, width, 1, bias=False)
        _finish_stage(layers, index, width, pools=index in (2, 4))
        channels = width
    return _with_scores(layers, channels, classes)


def _finish_stage(layers: Layers, index: int, width: int, *, pools: bool) -> None:
    if pools:
        layers[f"pool{index}"] = nn.MaxPool2d(2)
    layers[f"norm{index}"] = nn.BatchNorm2d(width)
    layers[f"relu{index}"] = nn.ReLU(inplace=True)


def _with_scores(layers: Layers, channels: int, classes: int) -> nn.Sequential:
    layers["average"] = nn.AdaptiveAvgPool2d(1)
    layers["flatten"] = nn.Flatten()
    layers["scores"] = nn.Linear(channels, classes)
    return nn.Sequential(layers)
