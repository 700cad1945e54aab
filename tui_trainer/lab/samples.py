"""Few images, drawn anew at will: as many as can be looked at while a run waits."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.nn import functional

from tui_trainer.lab.context import SEED, Context
from tui_trainer.models.rng import preserve_rng_state, seed_all
from tui_trainer.models.tensors import to_dense_float
from tui_trainer.protocol.layers import FLOAT_BYTES, LayerRow, totals

WORK = 3e9
"""Multiply-adds, and what stands for them, that a look may take: a few tenths of a second."""

ACTIVATION_WORK = 50
"""How many multiply-adds it takes as long to write and read a number of a map, on a CPU."""

BACKWARD = 3
"""A pass forward and back takes as long as so many forward."""


def affordable(layers: Sequence[LayerRow], passes: float, *, least: int, most: int) -> int:
    """Return how many images can be looked at, by the layer table and not by the clock.

    Args:
        layers: The network's table.
        passes: How often the network is run forward on each image.
        least: As many in any case.
        most: Never more.
    """
    model = totals(layers)
    cost = model.multiply_adds + ACTIVATION_WORK * model.activation_bytes / FLOAT_BYTES
    return int(min(most, max(least, WORK / max(1.0, passes * cost))))


def drawn(context: Context, count: int, draw: int) -> tuple[Tensor, Tensor]:
    """Return training images as the network gets them (N, 1, H, H), and their labels (N).

    They are not augmented, and none comes twice.

    Args:
        context: Where they come from.
        count: How many; all of them if there are not so many.
        draw: Which draw: the same number gives the same images.
    """
    train = context.data.train
    rng = torch.Generator().manual_seed(SEED + draw)
    places = torch.randperm(len(train), generator=rng)[:count].to(train.labels.device)
    return context.data.prepare(train.images[places]), train.labels[places]


def flat_gradient(model: nn.Module, inputs: Tensor, labels: Tensor) -> Tensor:
    """Return the gradient of the mean loss by all parameters, one after another."""
    loss = functional.cross_entropy(model(inputs), labels)
    parameters = [p for p in model.parameters() if p.requires_grad]
    found = torch.autograd.grad(loss, parameters, allow_unused=True)
    pairs = zip(found, parameters, strict=True)
    return torch.cat(
        [to_dense_float(torch.zeros_like(p) if g is None else g).flatten() for g, p in pairs]
    )


@contextmanager
def seeded_rng(device: torch.device, seed: int) -> Iterator[None]:
    """Draw what a network draws, such as its dropout, from a seed, and put the state back."""
    with preserve_rng_state(device):
        seed_all(seed)
        yield
