"""The networks: a name, a sentence, and the factory that builds it.

Listing them costs nothing: a family's module, and torch with it, is imported when one is built.
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
    """A network of the registry.

    Attributes:
        factory: Where it is built, as ``module:function``. The function takes ``image_size``
            (pixels), ``classes`` and ``dropout`` (0 to 1) by keyword and returns a network that
            maps (N, 1, image_size, image_size) to scores (N, classes).
        summary: What it is, in a sentence.
        dropout: Its usual share of hidden features, or None where it has no dropout layer.
    """

    factory: str
    summary: str
    dropout: float | None = None


REGISTRY: Mapping[str, Entry] = {
    "era-s6": Entry(
        "tui_trainer.zoo.era_s6:era_s6",
        "the course's network: two blocks, two transition layers, batch norm throughout",
    ),
    "era-s6-dropout": Entry(
        "tui_trainer.zoo.era_s6:era_s6_dropout",
        "the same with dropout after every 3×3 convolution but the last",
        dropout=0.05,
    ),
    "era-s6-plain": Entry(
        "tui_trainer.zoo.era_s6:era_s6_plain",
        "the same without batch norm, to see what it is good for",
    ),
    "small": Entry(
        "tui_trainer.zoo.small:small",
        "the same budget, several times as fast: it pools after each of its first convolutions",
    ),
    "tiny": Entry(
        "tui_trainer.zoo.small:tiny",
        "a quarter of the budget: depthwise separable convolutions",
    ),
    "mlp": Entry(
        "tui_trainer.zoo.mlp:mlp",
        "fully connected, for comparison: the same budget spent without convolutions",
    ),
}


def build(name: str, *, image_size: int, classes: int, dropout: float | None = None) -> nn.Module:
    """Build a network with fresh weights, drawn from torch's global generator.

    Args:
        name: A name of :data:`REGISTRY`.
        image_size: Side of the square input, in pixels, 8 to 128.
        classes: Number of scores, 2 to 1,000.
        dropout: Share of features its dropout layers hide; None for the network's own.

    Raises:
        KeyError: If the registry has no such name.
    """
    entry = REGISTRY[name]
    module, _, function = entry.factory.partition(":")
    factory = getattr(importlib.import_module(module), function)
    share = dropout if dropout is not None else (entry.dropout or 0.0)
    network: nn.Module = factory(image_size=image_size, classes=classes, dropout=share)
    return network
