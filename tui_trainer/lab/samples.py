"""Small samples of images: as many as are affordable while a run waits."""

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
"""The budget in multiply-adds and their equivalents: a few tenths of a second."""

ACTIVATION_WORK = 50
"""The multiply-adds that take as long as writing and reading one activation, on a CPU."""

BACKWARD = 3
"""A forward and backward pass takes as long as this many forward passes."""


def affordable(layers: Sequence[LayerRow], passes: float, *, least: int, most: int) -> int:
    """Return how many images are affordable, by the layer table and not by the clock.

    Args:
        layers: The layer table of the model.
        passes: The number of forward passes per image.
        least: The lower bound of the result.
        most: The upper bound of the result.
    """
    model = totals(layers)
    cost = model.multiply_adds + ACTIVATION_WORK * model.activation_bytes / FLOAT_BYTES
    return int(min(most, max(least, WORK / max(1.0, passes * cost))))


def drawn(context: Context, count: int, draw: int) -> tuple[Tensor, Tensor]:
    """Return a random sample of training images as model input (N, 1, H, H), and labels (N).

    The sample is without replacement and without augmentation.

    Args:
        context: The context.
        count: The size of the sample; at most all images.
        draw: The number of the draw: the same number gives the same images.
    """
    train = context.data.train
    rng = torch.Generator().manual_seed(SEED + draw)
    places = torch.randperm(len(train), generator=rng)[:count].to(train.labels.device)
    return context.data.prepare(train.images[places]), train.labels[places]


def flat_gradient(model: nn.Module, inputs: Tensor, labels: Tensor) -> Tensor:
    """Return the gradient of the mean loss with respect to all parameters, flattened."""
    loss = functional.cross_entropy(model(inputs), labels)
    parameters = [p for p in model.parameters() if p.requires_grad]
    found = torch.autograd.grad(loss, parameters, allow_unused=True)
    pairs = zip(found, parameters, strict=True)
    return torch.cat(
        [to_dense_float(torch.zeros_like(p) if g is None else g).flatten() for g, p in pairs]
    )


@contextmanager
def seeded_rng(device: torch.device, seed: int) -> Iterator[None]:
    """Seed the rngs that a model uses, for example for dropout, and restore their states."""
    with preserve_rng_state(device):
        seed_all(seed)
        yield
