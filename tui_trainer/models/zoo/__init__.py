"""The model zoo: name, summary and factory of each model.

Listing it imports no torch: the module of a model is imported when the model is built.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True, slots=True)
class Entry:
    """A model of the registry.

    Attributes:
        factory: Its factory, as ``module:function``. The function takes ``image_size`` (pixels),
            ``classes``, ``dropout`` (0 to 1) and ``channels`` by keyword and returns a model that
            maps (N, channels, image_size, image_size) to logits (N, classes).
        summary: A description in a sentence.
        dropout: The default of its dropout probability; None without a dropout layer.
    """

    factory: str
    summary: str
    dropout: float | None = None


REGISTRY: Mapping[str, Entry] = {
    "mlp": Entry(
        "tui_trainer.models.zoo.story:mlp",
        "fully connected, for comparison: the same budget without convolutions",
    ),
    "conv-fc": Entry(
        "tui_trainer.models.zoo.story:conv_fc",
        "two convolutions, then fully connected layers with nine tenths of the budget",
    ),
    "conv-gap": Entry(
        "tui_trainer.models.zoo.story:conv_gap",
        "global average pooling instead of fully connected layers, and more convolutions",
    ),
    "squeeze": Entry(
        "tui_trainer.models.zoo.story:squeeze",
        "squeeze and expand: channels grow within a block, a 1×1 convolution reduces them",
    ),
    "squeeze-norm": Entry(
        "tui_trainer.models.zoo.story:squeeze_norm",
        "squeeze with batch norm after every convolution but the last",
    ),
    "squeeze-dropout": Entry(
        "tui_trainer.models.zoo.story:squeeze_dropout",
        "squeeze-norm with dropout after each block",
        dropout=0.05,
    ),
    "under-8k": Entry(
        "tui_trainer.models.zoo.story:under_8k",
        "squeeze-norm with fewer channels: under 8,000 parameters",
    ),
    "pico": Entry(
        "tui_trainer.models.zoo.small:pico",
        "559 parameters, in nano's way: the last convolution has a map for each class",
    ),
    "nano": Entry(
        "tui_trainer.models.zoo.small:nano",
        "under 1,000 parameters: depthwise separable convolutions without padding, SiLU",
    ),
    "micro": Entry(
        "tui_trainer.models.zoo.small:micro",
        "under 3,700 parameters, in the same way: pooled once, after its second convolution",
    ),
    "tiny": Entry(
        "tui_trainer.models.zoo.small:tiny",
        "a quarter of the budget: depthwise separable convolutions",
    ),
    "small": Entry(
        "tui_trainer.models.zoo.small:small",
        "the budget of era-s6, several times as fast: pools after its first two convolutions",
    ),
    "pool-early": Entry(
        "tui_trainer.models.zoo.small:pool_early",
        "six convolutions, pooled after the first two: quick, and each sees much of the image",
    ),
    "pool-late": Entry(
        "tui_trainer.models.zoo.small:pool_late",
        "pool-early's twin, pooled before the last two: many more multiply-adds",
    ),
    "era-s6-as-run": Entry(
        "tui_trainer.models.zoo.era_s6:era_s6_as_run",
        "the course's network as in its code: a padded 1×1, an average over part of the map",
    ),
    "era-s6": Entry(
        "tui_trainer.models.zoo.era_s6:era_s6",
        "the course's network: two blocks, two transition layers, batch norm throughout",
    ),
    "era-s6-dropout": Entry(
        "tui_trainer.models.zoo.era_s6:era_s6_dropout",
        "era-s6 with dropout after every 3×3 convolution but the last",
        dropout=0.05,
    ),
    "era-s6-plain": Entry(
        "tui_trainer.models.zoo.era_s6:era_s6_plain",
        "era-s6 without batch norm, for comparison",
    ),
    "norm-batch": Entry(
        "tui_trainer.models.zoo.color:norm_batch",
        "under 50,000 parameters, for color images; batch norm after every convolution",
    ),
    "norm-group": Entry(
        "tui_trainer.models.zoo.color:norm_group",
        "norm-batch with group norm: each image by itself, four groups of its channels",
    ),
    "norm-layer": Entry(
        "tui_trainer.models.zoo.color:norm_layer",
        "norm-batch with layer norm: each image by itself, all its channels together",
    ),
    "dilated": Entry(
        "tui_trainer.models.zoo.color:dilated",
        "strided, depthwise separable and dilated convolutions, no max pooling",
    ),
    "residual": Entry(
        "tui_trainer.models.zoo.color:residual",
        "a small residual network: what two convolutions compute is added to their input",
    ),
}
"""In the order of the course."""


def build(
    name: str,
    *,
    image_size: int,
    classes: int,
    dropout: float | None = None,
    channels: int = 1,
) -> nn.Module:
    """Build a model; torch's global rng draws its initial weights.

    Args:
        name: A name of :data:`REGISTRY`.
        image_size: Side of the square input, in pixels, 8 to 128.
        classes: Number of classes, 2 to 1,000.
        dropout: Probability of its dropout layers; None for the default of the model.
        channels: Channels of the images: 1 for gray, 3 for color.

    Raises:
        KeyError: If the registry has no such name.
    """
    entry = REGISTRY[name]
    module, _, function = entry.factory.partition(":")
    factory = getattr(importlib.import_module(module), function)
    share = dropout if dropout is not None else (entry.dropout or 0.0)
    model: nn.Module = factory(
        image_size=image_size, classes=classes, dropout=share, channels=channels
    )
    return model
