"""A fully connected network, to compare the convolutional ones with."""

from __future__ import annotations

from collections import OrderedDict

from torch import nn

HIDDEN = 24
"""Units of the hidden layer: as many as keep the whole under 20,000 parameters at 28×28."""


def mlp(*, image_size: int, classes: int, dropout: float = 0.0) -> nn.Sequential:
    """Build one hidden layer of 24 units: 19,090 parameters for 28×28 images and 10 classes.

    Takes (N, 1, image_size, image_size), gives scores (N, classes).
    """
    return nn.Sequential(
        OrderedDict(
            flatten=nn.Flatten(),
            hidden=nn.Linear(image_size * image_size, HIDDEN),
            hidden_relu=nn.ReLU(),
            scores=nn.Linear(HIDDEN, classes),
        )
    )
