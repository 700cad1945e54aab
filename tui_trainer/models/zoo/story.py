"""The models of the course in order, each one a step from the one before.

A fully connected network, for comparison; two convolutions and fully connected layers; global
average pooling instead of these; squeeze and expand; then batch norm, dropout, and fewer
weights. The squeeze models have no bias, so that each differs from the one before in one thing
only.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Any

from torch import nn

from tui_trainer.models.zoo.blocks import Layers, averaged, convolve

HIDDEN = 24
"""Units of the hidden layer: few enough to keep the model under 20,000 parameters at 28×28."""

_BLOCKS = ((8, 16, 8), (16, 24, 12), (24, 40))
_SLIM_BLOCKS = ((8, 16, 8), (12, 16, 8), (12, 20))
"""The output channels of each block: its 3×3 convolutions, then a 1×1 in all but the last."""


def mlp(*, image_size: int, classes: int, dropout: float = 0.0, channels: int = 1) -> nn.Sequential:
    """Build one hidden layer of 24 units: 19,090 parameters for 28×28 images and 10 classes.

    Takes (N, channels, image_size, image_size), returns logits (N, classes).
    """
    return nn.Sequential(
        OrderedDict(
            flatten=nn.Flatten(),
            hidden=nn.Linear(channels * image_size * image_size, HIDDEN),
            hidden_relu=nn.ReLU(),
            logits=nn.Linear(HIDDEN, classes),
        )
    )


def conv_fc(
    *, image_size: int, classes: int, dropout: float = 0.0, channels: int = 1
) -> nn.Sequential:
    """Build two convolutions, each pooled, and two fully connected layers.

    18,748 parameters for 28×28 images and 10 classes, 17,500 of them in the fully connected
    layers, whose number grows with the image. Takes (N, channels, image_size, image_size), returns
    logits (N, classes).
    """
    layers: Layers = OrderedDict()
    channels = _pooled(layers, channels, 8, 16)
    side = image_size // 4
    layers["flatten"] = nn.Flatten()
    layers["hidden"] = nn.Linear(side * side * channels, 22)
    layers["hidden_relu"] = nn.ReLU()
    layers["logits"] = nn.Linear(22, classes)
    return nn.Sequential(layers)


def conv_gap(
    *, image_size: int, classes: int, dropout: float = 0.0, channels: int = 1
) -> nn.Sequential:
    """Build the same two convolutions, two more, and global average pooling.

    16,662 parameters for 10 classes and images of any size: the mean over each map has none, which
    leaves the parameters of the fully connected layers for convolutions. Takes
    (N, channels, image_size, image_size), returns logits (N, classes).
    """
    layers: Layers = OrderedDict()
    channels = _pooled(layers, channels, 8, 16)
    for index, width in enumerate((32, 36), start=3):
        channels = convolve(layers, f"conv{index}", channels, width, bias=True, norm=False)
    return averaged(layers, channels, classes)


def squeeze(
    *, image_size: int, classes: int, dropout: float = 0.0, channels: int = 1
) -> nn.Sequential:
    """Build three blocks of growing channels; after the first two a 1×1 convolution reduces them.

    17,880 parameters for 10 classes, no batch norm, no bias. Takes
    (N, channels, image_size, image_size), returns logits (N, classes).
    """
    return _squeezed(classes, channels, _BLOCKS, norm=False, dropout=None)


def squeeze_norm(
    *, image_size: int, classes: int, dropout: float = 0.0, channels: int = 1
) -> nn.Sequential:
    """Build squeeze with batch norm after every convolution but the last: 18,176 parameters."""
    return _squeezed(classes, channels, _BLOCKS, norm=True, dropout=None)


def squeeze_dropout(
    *, image_size: int, classes: int, dropout: float = 0.05, channels: int = 1
) -> nn.Sequential:
    """Build the same with dropout after every block, where the maps are small."""
    return _squeezed(classes, channels, _BLOCKS, norm=True, dropout=dropout)


def under_8k(
    *, image_size: int, classes: int, dropout: float = 0.0, channels: int = 1
) -> nn.Sequential:
    """Build the same with fewer channels and no dropout, which so small a model does not need.

    7,496 parameters for 10 classes.
    """
    return _squeezed(classes, channels, _SLIM_BLOCKS, norm=True, dropout=None)


def _pooled(layers: Layers, channels: int, *widths: int) -> int:
    """Add convolutions, each followed by pooling; return the output channels of the last one."""
    for index, width in enumerate(widths, start=1):
        channels = convolve(layers, f"conv{index}", channels, width, bias=True, norm=False)
        layers[f"pool{index}"] = nn.MaxPool2d(2)
    return channels


def _squeezed(
    classes: int,
    channels: int,
    blocks: tuple[tuple[int, ...], ...],
    *,
    norm: bool,
    dropout: float | None,
) -> nn.Sequential:
    layers: Layers = OrderedDict()
    index = 0
    for number, (first, second, *squeezed) in enumerate(blocks, start=1):
        for width in (first, second):
            index += 1
            channels = _convolve(layers, f"conv{index}", channels, width, 3, norm=norm)
        for width in squeezed:
            channels = _convolve(layers, f"shrink{number}", channels, width, 1, norm=norm)
            layers[f"pool{number}"] = nn.MaxPool2d(2)
        if dropout is not None:
            layers[f"drop{number}"] = nn.Dropout(dropout)
    layers["logits"] = nn.Conv2d(channels, classes, 1, bias=False)
    layers["average"] = nn.AdaptiveAvgPool2d(1)
    layers["output"] = nn.Flatten()
    return nn.Sequential(layers)


def _convolve(
    layers: Layers, name: str, channels: int, width: int, kernel: int, *, norm: bool
) -> int:
    convolve(layers, name, channels, width, kernel, norm=norm)
    # Initialization of K. He et al. ("Delving Deep into Rectifiers", ICCV 2015). With the smaller
    # default of torch the signal vanishes over six ReLU layers without batch norm, and squeeze does
    # not learn.
    weight: Any = layers[name].weight
    nn.init.kaiming_normal_(weight, nonlinearity="relu")
    return width
