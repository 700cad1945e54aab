"""What the images say about their labels: identical images, and the labels of nearest neighbors.

A label that contradicts a unanimous neighborhood is probably wrong; two classes that share their
neighborhoods have mixed labels; labels that neighbors do not share at all are shuffled. After
C. G. Northcutt, L. Jiang, I. L. Chuang, "Confident Learning", JAIR 70, 2021, with neighbors in
place of a trained model: the data are examined before the first step.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from tui_trainer.data.dataset import Data, Split
from tui_trainer.protocol.probed import DataProbed, NeighborLabels

QUERIES, REFERENCES = 1_000, 8_000
"""Images whose neighbors are searched, and training images that are searched."""

NEIGHBORS, UNANIMOUS = 10, 9
"""Neighbors of an image, and how many of them must share a label to be called unanimous."""

SIDE = 14
"""Images are pooled to at most so many pixels a side: neighbors stay the same, in a quarter of the
time."""

CHUNK = 4_096
"""Images that are hashed at a time."""


@torch.no_grad()
def probe_data(data: Data) -> DataProbed:
    """Examine the labels of the training and validation images.

    Which images are sampled depends on their number alone. On one thread it takes 0.2 s.
    """
    train, val = _on_cpu(data.train), _on_cpu(data.val)
    references = _spread(train, REFERENCES)
    keys, val_keys = _hashes(train.images), _hashes(val.images)
    return DataProbed(
        train_counts=_counts(train.labels, data.classes),
        val_counts=_counts(val.labels, data.classes),
        shared_images=int(torch.isin(val_keys, keys).sum()),
        relabeled_images=_relabeled(keys, train.labels),
        blank_images=int((train.images.flatten(1) == train.images.flatten(1)[:, :1]).all(1).sum()),
        neighbors=_neighbors(references, references, data.classes, themselves=True),
        val_neighbors=_neighbors(references, val, data.classes) if len(val) else None,
    )


def _on_cpu(split: Split) -> Split:
    return split.to(torch.device("cpu"))


def _spread(split: Split, count: int) -> Split:
    """Return so many images, evenly spread over a split."""
    indices = torch.linspace(0, max(0, len(split) - 1), min(count, len(split))).round().long()
    return Split(split.images[indices], split.labels[indices])


def _counts(labels: Tensor, classes: int) -> tuple[int, ...]:
    return tuple(torch.bincount(labels, minlength=classes).tolist())


def _hashes(images: Tensor) -> Tensor:
    """Return a 64-bit hash of each image's pixels."""
    rng = torch.Generator().manual_seed(0)
    factors = torch.randint(-(2**62), 2**62, (images[:1].numel() or 1,), generator=rng) * 2 + 1
    parts = [
        (images[start : start + CHUNK].flatten(1).long() * factors).sum(dim=1)
        for start in range(0, len(images), CHUNK)
    ]
    return torch.cat(parts) if parts else torch.empty(0, dtype=torch.int64)


def _relabeled(keys: Tensor, labels: Tensor) -> int:
    """Return how many training images have an identical one with another label."""
    _, group = torch.unique(keys, return_inverse=True)
    lowest = torch.full((int(group.max()) + 1,), 2**62)
    highest = -lowest
    lowest.scatter_reduce_(0, group, labels, "amin")
    highest.scatter_reduce_(0, group, labels, "amax")
    return int((lowest != highest)[group].sum())


def _features(images: Tensor) -> Tensor:
    """Return the images (N, H, H) as unit vectors, pooled and without their mean."""
    pixels = images.unsqueeze(1).float()
    if pixels.shape[-1] > SIDE:
        pixels = functional.adaptive_avg_pool2d(pixels, SIDE)
    flat = pixels.flatten(1)
    return functional.normalize(flat - flat.mean(dim=1, keepdim=True), dim=1)


def _neighbors(
    references: Split, queries: Split, classes: int, *, themselves: bool = False
) -> NeighborLabels | None:
    """Compare labels with those of the nearest training images; None if there are too few."""
    if len(references) <= NEIGHBORS:
        return None
    indices = torch.linspace(0, len(queries) - 1, min(QUERIES, len(queries))).round().long()
    similar = _features(queries.images[indices]) @ _features(references.images).t()
    if themselves:
        similar[torch.arange(len(indices)), indices] = -2.0
    nearest = references.labels[similar.topk(NEIGHBORS, dim=1).indices]
    labels = queries.labels[indices]
    votes = functional.one_hot(nearest, classes).sum(dim=1)
    most, majority = votes.max(dim=1)
    unanimous = most >= UNANIMOUS
    table = torch.zeros(classes, classes, dtype=torch.int64).index_add_(0, labels, votes)
    contradicted = unanimous & (majority != labels)
    pairs = torch.bincount(
        labels[contradicted] * classes + majority[contradicted], minlength=classes**2
    )
    return NeighborLabels(
        images=len(labels),
        agreeing=int((majority == labels).sum()),
        unanimous=int(unanimous.sum()),
        contradicted=int(contradicted.sum()),
        largest_pair=int(pairs.max()),
        votes=tuple(tuple(row) for row in table.tolist()),
    )
