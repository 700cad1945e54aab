"""The course's network as its code has it, oddities included.

Its table (:mod:`tui_trainer.models.zoo.era_s6`) describes another network than its code builds: the
first 1×1 convolution is padded, the second has its ReLU before the batch norm, the last
convolution is not strided, and the average pool covers only a part of the map. The course's
log-softmax is left out: it is in the cross-entropy.
"""

from __future__ import annotations

from collections import OrderedDict

from torch import nn


def era_s6_as_run(*, image_size: int, classes: int, dropout: float = 0.0) -> nn.Sequential:
    """Build the course's network as it ran: 19,568 parameters for 28×28 images and 10 classes.

    Takes (N, 1, image_size, image_size), gives scores (N, classes). Of the last map, 5×5 for
    28×28 images, only the top left 3×3 are averaged; sizes that the course did not train on keep
    that proportion.
    """
    layers: OrderedDict[str, nn.Module] = OrderedDict()

    def convolve(name: str, inputs: int, width: int, kernel: int, padding: int) -> None:
        layers[name] = nn.Conv2d(inputs, width, kernel, padding=padding, bias=False)
        layers[f"{name}_norm"] = nn.BatchNorm2d(width)
        layers[f"{name}_relu"] = nn.ReLU(inplace=True)

    convolve("conv1", 1, 16, 3, 1)
    convolve("conv2", 16, 32, 3, 1)
    convolve("shrink1", 32, 16, 1, 1)
    layers["pool1"] = nn.MaxPool2d(2)
    convolve("conv3", 16, 16, 3, 1)
    convolve("conv4", 16, 64, 3, 1)
    layers["shrink2"] = nn.Conv2d(64, 16, 1, bias=False)
    layers["shrink2_relu"] = nn.ReLU(inplace=True)
    layers["shrink2_norm"] = nn.BatchNorm2d(16)
    layers["pool2"] = nn.MaxPool2d(2)
    side = (image_size + 2) // 2 // 2
    # On images of fewer than 10 pixels the map is smaller than the kernel: only then is it padded.
    padding = 0 if side >= 3 else 1
    layers["scores"] = nn.Conv2d(16, classes, 3, padding=padding, bias=False)
    layers["scores_relu"] = nn.ReLU(inplace=True)
    # The smallest kernel that fits into the map only once: 3 of 5.
    layers["average"] = nn.AvgPool2d((side + 2 * padding - 2) // 2 + 1)
    layers["output"] = nn.Flatten()
    return nn.Sequential(layers)
