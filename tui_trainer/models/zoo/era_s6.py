"""The course's network (ERA V1, session 6) and its variants.

The course's page lists, for 28×28 images: conv 3×3 → 16, conv 3×3 → 32, conv 1×1 → 16, max pool;
conv 3×3 → 16, conv 3×3 → 64, conv 1×1 → 16, max pool; a last convolution → 3×3×10; average pool.
It says "kernel 1" for that last convolution, but a 1×1 kernel cannot turn 7×7 into 3×3. A 3×3
kernel with stride 2 and no padding can, and its 1,440 parameters bring the total to the course's
19,568. That is what ``era_s6`` builds.

The course's code builds another network than its table describes, ``era_s6_as_run``: the first 1×1
convolution is padded, the second has its ReLU before the batch norm, the last convolution has
stride 1, and the average pool covers only part of the map. The course's log-softmax is omitted: the
cross-entropy includes it.
"""

from __future__ import annotations

from collections import OrderedDict

from torch import nn

from tui_trainer.models.zoo.blocks import Layers, convolve

# (name, output channels, kernel), or None for a max pool that halves the map.
_PLAN: tuple[tuple[str, int, int] | None, ...] = (
    ("conv1", 16, 3),
    ("conv2", 32, 3),
    ("shrink1", 16, 1),
    None,
    ("conv3", 16, 3),
    ("conv4", 64, 3),
    ("shrink2", 16, 1),
    None,
)


def era_s6(
    *, image_size: int, classes: int, dropout: float = 0.0, channels: int = 1
) -> nn.Sequential:
    """Build the course's network: 19,568 parameters for 28×28 images and 10 classes.

    Batch norm and ReLU after every convolution but the last, no bias. Takes
    (N, channels, image_size, image_size), returns logits (N, classes).
    """
    return _build(image_size, classes, channels, norm=True, dropout=None)


def era_s6_dropout(
    *, image_size: int, classes: int, dropout: float = 0.05, channels: int = 1
) -> nn.Sequential:
    """Build the course's network with dropout after every 3×3 convolution but the last."""
    return _build(image_size, classes, channels, norm=True, dropout=dropout)


def era_s6_plain(
    *, image_size: int, classes: int, dropout: float = 0.0, channels: int = 1
) -> nn.Sequential:
    """Build the course's network without batch norm, and no other change.

    There is still no bias: a second difference would confound the effect of the first.
    """
    return _build(image_size, classes, channels, norm=False, dropout=None)


def _build(
    image_size: int, classes: int, channels: int, *, norm: bool, dropout: float | None
) -> nn.Sequential:
    layers: Layers = OrderedDict()
    side, pools = image_size, 0
    for stage in _PLAN:
        if stage is None:
            pools += 1
            side //= 2
            layers[f"pool{pools}"] = nn.MaxPool2d(2)
            continue
        name, width, kernel = stage
        channels = convolve(layers, name, channels, width, kernel, norm=norm)
        if dropout is not None and kernel > 1:
            layers[f"{name}_drop"] = nn.Dropout(dropout)
    # Below an image size of 12 the map is smaller than the kernel: only then is it padded.
    padding = 0 if side >= 3 else 1
    layers["logits"] = nn.Conv2d(channels, classes, 3, stride=2, padding=padding, bias=False)
    layers["average"] = nn.AvgPool2d((side + 2 * padding - 3) // 2 + 1)
    layers["output"] = nn.Flatten()
    return nn.Sequential(layers)


def era_s6_as_run(
    *, image_size: int, classes: int, dropout: float = 0.0, channels: int = 1
) -> nn.Sequential:
    """Build the course's network as it ran: 19,568 parameters for 28×28 images and 10 classes.

    Takes (N, channels, image_size, image_size), returns logits (N, classes). Of the last map, 5×5
    for 28×28 images, only the top left 3×3 are averaged; other image sizes keep that proportion.
    """
    layers: Layers = OrderedDict()
    channels = convolve(layers, "conv1", channels, 16)
    channels = convolve(layers, "conv2", channels, 32)
    channels = convolve(layers, "shrink1", channels, 16, 1, padding=1)
    layers["pool1"] = nn.MaxPool2d(2)
    channels = convolve(layers, "conv3", channels, 16)
    channels = convolve(layers, "conv4", channels, 64)
    convolve(layers, "shrink2", channels, 16, 1, norm=False)
    layers["shrink2_norm"] = nn.BatchNorm2d(16)
    layers["pool2"] = nn.MaxPool2d(2)
    side = (image_size + 2) // 2 // 2
    # Below an image size of 10 the map is smaller than the kernel: only then is it padded.
    padding = 0 if side >= 3 else 1
    layers["logits"] = nn.Conv2d(16, classes, 3, padding=padding, bias=False)
    layers["logits_relu"] = nn.ReLU(inplace=True)
    # The smallest kernel that fits into the map only once: 3 for 5.
    layers["average"] = nn.AvgPool2d((side + 2 * padding - 2) // 2 + 1)
    layers["output"] = nn.Flatten()
    return nn.Sequential(layers)
