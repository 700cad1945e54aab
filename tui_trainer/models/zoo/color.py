"""The next steps of the course (ERA V1, sessions 8 to 10), for 32×32 color images.

Session 8 compares three norms in one network of under 50,000 parameters, session 9 replaces max
pooling by strided, depthwise separable and dilated convolutions under 200,000, session 10 adds what
a block computes to what it reads. All take images of any size from 8 to 128 pixels, of one channel
or three.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable

from torch import nn

from tui_trainer.models.zoo.blocks import Layers, ResidualBlock, averaged

Norm = Callable[[int], nn.Module]
"""Makes the norm for a number of channels."""

GROUPS = 4
"""The groups of ``norm-group``: its maps have 4 to 10 channels a group."""

_NORM_BLOCKS = ((16, 24, 16), (24, 24, 32, 16), (32, 32, 40))
"""The output channels of each block: its 3×3 convolutions, then a 1×1 in all but the last."""

_DILATED_WIDTHS = (24, 48, 96)
"""The channels at full, half and quarter size."""

_RESIDUAL_STAGES = ((16, 0), (32, 5), (64, 1))
"""The channels and the number of residual blocks at full, half and quarter size."""


def norm_batch(
    *, image_size: int, classes: int, dropout: float = 0.0, channels: int = 1
) -> nn.Sequential:
    """Build three blocks with batch norm after every convolution.

    It normalizes each channel over the images of the batch and the positions of the map. 46,602
    parameters for color images and 10 classes. Takes (N, channels, image_size, image_size),
    returns logits (N, classes).
    """
    return _normed(classes, channels, nn.BatchNorm2d)


def norm_group(
    *, image_size: int, classes: int, dropout: float = 0.0, channels: int = 1
) -> nn.Sequential:
    """Build the same with group norm, with the same initial weights and number of parameters.

    It normalizes each image by itself, over four groups of its channels (Y. Wu and K. He, "Group
    Normalization", ECCV 2018).
    """
    return _normed(classes, channels, lambda width: nn.GroupNorm(GROUPS, width))


def norm_layer(
    *, image_size: int, classes: int, dropout: float = 0.0, channels: int = 1
) -> nn.Sequential:
    """Build the same with layer norm, with the same initial weights and number of parameters.

    It normalizes each image by itself, over all channels and positions (J. L. Ba and others, "Layer
    Normalization", 2016). As a group norm with one group it has a scale for each channel, as the
    other two; ``nn.LayerNorm`` would have one for each position, too.
    """
    return _normed(classes, channels, lambda width: nn.GroupNorm(1, width))


def _normed(classes: int, channels: int, norm: Norm) -> nn.Sequential:
    layers: Layers = OrderedDict()
    index = 0
    for number, widths in enumerate(_NORM_BLOCKS, start=1):
        has_transition = number < len(_NORM_BLOCKS)
        for width in widths[:-1] if has_transition else widths:
            index += 1
            _add(layers, f"conv{index}", nn.Conv2d(channels, width, 3, padding=1, bias=False), norm)
            channels = width
        if has_transition:
            width = widths[-1]
            _add(layers, f"shrink{number}", nn.Conv2d(channels, width, 1, bias=False), norm)
            layers[f"pool{number}"] = nn.MaxPool2d(2)
            channels = width
    return averaged(layers, channels, classes)


def dilated(
    *, image_size: int, classes: int, dropout: float = 0.0, channels: int = 1
) -> nn.Sequential:
    """Build a model without max pooling: strided convolutions halve its maps.

    Of two depthwise separable convolutions at half and at quarter size the second is dilated: its
    3×3 kernels reach over 5×5 features (F. Yu and V. Koltun, "Multi-Scale Context Aggregation by
    Dilated Convolutions", ICLR 2016). 85,234 parameters for color images and 10 classes. Takes
    (N, channels, image_size, image_size), returns logits (N, classes).
    """
    layers: Layers = OrderedDict()
    first, *others = _DILATED_WIDTHS
    for index in (1, 2):
        convolution = nn.Conv2d(channels, first, 3, padding=1, bias=False)
        _add(layers, f"conv{index}", convolution)
        channels = first
    index = 2
    for number, width in enumerate(others, start=1):
        convolution = nn.Conv2d(channels, width, 3, stride=2, padding=1, bias=False)
        _add(layers, f"down{number}", convolution)
        for dilation in (1, 2):
            index += 1
            layers[f"depth{index}"] = nn.Conv2d(
                width, width, 3, padding=dilation, dilation=dilation, groups=width, bias=False
            )
            _add(layers, f"point{index}", nn.Conv2d(width, width, 1, bias=False))
        channels = width
    return averaged(layers, channels, classes)


def residual(
    *, image_size: int, classes: int, dropout: float = 0.0, channels: int = 1
) -> nn.Sequential:
    """Build a small residual network: its blocks learn what to add to their input.

    A 3×3 convolution and a max pool come before each stage at half and quarter size. 191,130
    parameters for color images and 10 classes. Takes (N, channels, image_size, image_size),
    returns logits (N, classes).
    """
    layers: Layers = OrderedDict()
    number = 0
    for index, (width, blocks) in enumerate(_RESIDUAL_STAGES, start=1):
        layers[f"conv{index}"] = nn.Conv2d(channels, width, 3, padding=1, bias=False)
        if index > 1:
            layers[f"pool{index}"] = nn.MaxPool2d(2)
        layers[f"norm{index}"] = nn.BatchNorm2d(width)
        layers[f"relu{index}"] = nn.ReLU(inplace=True)
        for _ in range(blocks):
            number += 1
            layers[f"block{number}"] = ResidualBlock(width)
        channels = width
    return averaged(layers, channels, classes)


def _add(layers: Layers, name: str, convolution: nn.Conv2d, norm: Norm = nn.BatchNorm2d) -> None:
    """Add a convolution, its norm and a ReLU."""
    layers[name] = convolution
    layers[f"{name}_norm"] = norm(convolution.out_channels)
    layers[f"{name}_relu"] = nn.ReLU(inplace=True)
