"""Small models for experiments, built from a plan."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from functools import cache
from typing import NamedTuple

import torch
from torch import nn

from tui_trainer.anatomy.table import layer_table
from tui_trainer.models import zoo
from tui_trainer.models.input_spec import ImageShape
from tui_trainer.models.rng import preserve_rng_state
from tui_trainer.protocol.layers import LayerRow


class Conv(NamedTuple):
    """A padded convolution, batch norm and ReLU."""

    kernels: int
    side: int = 3


POOL = "pool"
"""A 2×2 max pooling in a plan."""

Plan = Sequence[Conv | str]


def stack(
    plan: Plan,
    classes: int,
    *,
    channels: int = 1,
    norm: bool = True,
    last_side: int | None = None,
) -> nn.Sequential:
    """Build a model from a plan, with global average pooling and a fully connected layer.

    Args:
        plan: The convolutions and poolings.
        classes: The number of logits per image (N, channels, H, H).
        channels: The number of channels of an image.
        norm: Whether to use batch norm; without it, the convolutions have a bias.
        last_side: The side of the last maps, to flatten them instead of averaging.
    """
    layers: list[nn.Module] = []
    for stage in plan:
        if not isinstance(stage, Conv):
            layers.append(nn.MaxPool2d(2))
            continue
        kernels, side = stage
        layers.append(nn.Conv2d(channels, kernels, side, padding=side // 2, bias=not norm))
        if norm:
            layers.append(nn.BatchNorm2d(kernels))
        layers.append(nn.ReLU(inplace=True))
        channels = kernels
    if last_side is None:
        layers.append(nn.AdaptiveAvgPool2d(1))
    features = channels * (last_side or 1) ** 2
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(features, classes))


def zoo_model(name: str, image_size: int, classes: int, channels: int = 1) -> nn.Module:
    """Build a model of the zoo."""
    return zoo.build(name, image_size=image_size, classes=classes, channels=channels)


@cache
def layers_of(
    build: Callable[..., nn.Module], shape: ImageShape, *args: Hashable
) -> tuple[LayerRow, ...]:
    """Return the layer table of the model that ``build`` makes for images; traced only once.

    Args:
        build: Builds the model.
        shape: Height, width and channels of an image.
        args: The arguments of ``build``.
    """
    with preserve_rng_state(torch.device("cpu")):
        return layer_table(build(*args), shape)
