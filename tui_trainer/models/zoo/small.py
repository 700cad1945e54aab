"""Models that are fast on a small machine or have few parameters, and two that differ in pooling.

``small`` and ``tiny`` have batch norm after each max pool, not before it: where its scale is
positive, the maximum is the same, and only a quarter of the values must be normalized.
``pool_early`` and ``pool_late`` differ only in the positions of their two pools. All end in global
average pooling, which needs no weights.
"""

from __future__ import annotations

from collections import OrderedDict

from torch import nn

from tui_trainer.models.zoo.blocks import Layers, averaged, convolve

Activation = type[nn.ReLU] | type[nn.SiLU]

_WIDTHS = (8, 12, 16, 20, 24, 28)


def small(
    *, image_size: int, classes: int, dropout: float = 0.0, channels: int = 1
) -> nn.Sequential:
    """Build a model of 19,810 parameters for 28×28 images and 10 classes.

    Six 3×3 convolutions, the first two of them pooled: the other four, with nearly all the weights,
    work on a sixteenth of the positions. Takes (N, channels, image_size, image_size), returns
    logits (N, classes).
    """
    layers: Layers = OrderedDict()
    for index, width in enumerate((8, 16, 24, 24, 24, 20), start=1):
        layers[f"conv{index}"] = nn.Conv2d(channels, width, 3, padding=1, bias=False)
        _finish_stage(layers, index, width, pools=index <= 2)
        channels = width
    return averaged(layers, channels, classes)


def tiny(
    *, image_size: int, classes: int, dropout: float = 0.0, channels: int = 1
) -> nn.Sequential:
    """Build a model of 4,714 parameters for 28×28 images and 10 classes.

    After a first 3×3 convolution all are depthwise separable: a 3×3 kernel for each channel, then
    a 1×1 convolution that mixes the channels (F. Chollet, "Xception", CVPR 2017). From c maps to d
    that takes 9c + cd weights where a full convolution takes 9cd. Takes
    (N, channels, image_size, image_size), returns logits (N, classes).
    """
    layers = _separable((8, 16, 20, 20, 28, 28, 28), channels, pooled=(2, 4))
    return averaged(layers, 28, classes)


def micro(
    *, image_size: int, classes: int, dropout: float = 0.0, channels: int = 1
) -> nn.Sequential:
    """Build a model of 3,198 parameters for 28×28 images and 10 classes.

    As ``tiny``, but pooled only once, without padding, and with SiLU, which passes on a little of
    what is negative too (S. Elfwing and others, "Sigmoid-weighted linear units", 2018): with few
    channels none can be spared. Takes (N, channels, image_size, image_size), returns logits
    (N, classes).
    """
    return _unpadded(image_size, classes, channels, (8, 16, 16, 20, 24, 28), pooled=2)


def nano(
    *, image_size: int, classes: int, dropout: float = 0.0, channels: int = 1
) -> nn.Sequential:
    """Build a model of 992 parameters for 28×28 images and 10 classes, as ``micro``."""
    return _unpadded(image_size, classes, channels, (7, 10, 10, 10, 11), pooled=1)


def pico(
    *, image_size: int, classes: int, dropout: float = 0.0, channels: int = 1
) -> nn.Sequential:
    """Build a model of 559 parameters for 28×28 images and 10 classes, as ``micro``.

    Its last 1×1 convolution returns a map for each class, whose means are the logits: a fully
    connected layer would take a fifth of the parameters.
    """
    widths = (3, 4, 6, 7, 8)
    padding = _padding(image_size, len(widths) + 1, pooled=2)
    layers = _separable(widths, channels, pooled=(2,), padding=padding, activation=nn.SiLU)
    layers["depth6"] = _depthwise(widths[-1], padding)
    layers["logits"] = nn.Conv2d(widths[-1], classes, 1)
    layers["average"] = nn.AdaptiveAvgPool2d(1)
    layers["output"] = nn.Flatten()
    return nn.Sequential(layers)


def _unpadded(
    image_size: int, classes: int, channels: int, widths: tuple[int, ...], *, pooled: int
) -> nn.Sequential:
    padding = _padding(image_size, len(widths), pooled=pooled)
    layers = _separable(widths, channels, pooled=(pooled,), padding=padding, activation=nn.SiLU)
    return averaged(layers, widths[-1], classes)


def _padding(image_size: int, convolutions: int, *, pooled: int) -> int:
    """Return the padding of 3×3 convolutions: 0, but 1 for images whose maps would shrink to none.

    Args:
        image_size: Side of the input, in pixels.
        convolutions: Their number.
        pooled: The number of the one that is followed by a pool.
    """
    last = (image_size - 2 * pooled) // 2 - 2 * (convolutions - pooled)
    return 0 if last >= 1 else 1


def _separable(
    widths: tuple[int, ...],
    channels: int,
    *,
    pooled: tuple[int, ...],
    padding: int = 1,
    activation: Activation = nn.ReLU,
) -> Layers:
    """Return a 3×3 convolution, then depthwise separable ones, with these output channels."""
    first, *others = widths
    layers: Layers = OrderedDict(conv1=nn.Conv2d(channels, first, 3, padding=padding, bias=False))
    _finish_stage(layers, 1, first, pools=1 in pooled, activation=activation)
    channels = first
    for index, width in enumerate(others, start=2):
        layers[f"depth{index}"] = _depthwise(channels, padding)
        layers[f"point{index}"] = nn.Conv2d(channels, width, 1, bias=False)
        _finish_stage(layers, index, width, pools=index in pooled, activation=activation)
        channels = width
    return layers


def _depthwise(channels: int, padding: int) -> nn.Conv2d:
    return nn.Conv2d(channels, channels, 3, padding=padding, groups=channels, bias=False)


def _finish_stage(
    layers: Layers, index: int, width: int, *, pools: bool, activation: Activation = nn.ReLU
) -> None:
    if pools:
        layers[f"pool{index}"] = nn.MaxPool2d(2)
    layers[f"norm{index}"] = nn.BatchNorm2d(width)
    layers[f"{activation.__name__.lower()}{index}"] = activation(inplace=True)


def pool_early(
    *, image_size: int, classes: int, dropout: float = 0.0, channels: int = 1
) -> nn.Sequential:
    """Build six 3×3 convolutions, pooled after the first and the second.

    16,418 parameters for 10 classes. Takes (N, channels, image_size, image_size), returns logits
    (N, classes).
    """
    return _twin(classes, channels, pooled=(1, 2))


def pool_late(
    *, image_size: int, classes: int, dropout: float = 0.0, channels: int = 1
) -> nn.Sequential:
    """Build the same six convolutions, pooled after the fourth and the fifth.

    It has the same number of weights, applied at far more positions; the receptive field of the
    last one is smaller. Takes (N, channels, image_size, image_size), returns logits (N, classes).
    """
    return _twin(classes, channels, pooled=(4, 5))


def _twin(classes: int, channels: int, *, pooled: tuple[int, int]) -> nn.Sequential:
    layers: Layers = OrderedDict()
    for index, width in enumerate(_WIDTHS, start=1):
        channels = convolve(layers, f"conv{index}", channels, width)
        if index in pooled:
            layers[f"pool{pooled.index(index) + 1}"] = nn.MaxPool2d(2)
    return averaged(layers, channels, classes)
