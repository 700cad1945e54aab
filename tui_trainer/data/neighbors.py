"""What the images say about their labels: identical images, and the labels of nearest neighbors.

A label that contradicts a unanimous neighborhood is probably wrong, and so are labels that are
mixed even at the core of a class; labels that neighbors do not share at all are shuffled. After
C. G. Northcutt, L. Jiang, I. L. Chuang, "Confident Learning", JAIR 70, 2021, with neighbors in
place of a trained model: the data are examined before the first step.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.nn import functional

from tui_trainer.data.assembling import pixel_statistics
from tui_trainer.data.dataset import Data, Split
from tui_trainer.protocol.probed import DataProbed, NeighborLabels

QUERIES, REFERENCES = 1_000, 8_000
"""Images whose neighbors are searched, and training images that are searched."""

VAL_REFERENCES = 4_000
"""Validation images that are searched."""

NEIGHBORS, UNANIMOUS = 10, 9
"""Neighbors of an image, and how many of them must share a label to be called unanimous."""

CORE, MIN_CORE = 4, 8
"""One in so many images of a class is its core, if there are as many images as that."""

CLOSE = 0.5
"""The nearest image is a near-duplicate if it is closer than this share of the next one's distance.
Where distances have m dimensions, 0.5 ** m of the images have such a neighbor by accident: E. Facco
and others, "Estimating the intrinsic dimension of datasets by a minimal neighborhood information",
Scientific Reports 7, 2017."""

SHIFTS = (-1, 1)
"""Shifts of labels against images that are tried."""

FEATURES = 196
"""Images are pooled to about so many numbers: neighbors stay the same, in less time."""

RIDGE = 1e-3
"""The penalty of the linear classifier, times the number of images."""

LARGE = 56
"""The rows and columns of large images that are read: four for each pooled pixel."""

CHUNK, WORD = 2**22, 8
"""Pixels that are processed at a time, and those in one 64-bit word."""

ALIGNED = 2**23
"""Pixels of each split's images that are compared but for a translation."""


@torch.no_grad()
def probe_data(data: Data) -> DataProbed:
    """Examine the images and labels of the training and validation splits.

    Which images are sampled depends on their number alone.
    """
    train, val = _on_cpu(data.train), _on_cpu(data.val)
    keys, val_keys = _hashes(train.images), _hashes(val.images)
    is_shared = torch.isin(val_keys, keys)
    relabeled, pair = _relabeled(keys, train.labels)
    references = _sampled(train, REFERENCES, data.classes, linear=True)
    val_references = _sampled(val, VAL_REFERENCES, data.classes)
    return DataProbed(
        train_counts=_counts(train.labels, data.classes),
        val_counts=_counts(val.labels, data.classes),
        shared_images=int(is_shared.sum()),
        moved_images=_moved(train, val, is_shared),
        relabeled_images=relabeled,
        relabeled_pair=pair,
        blank_images=_blank(train.images),
        val_blank_images=_blank(val.images),
        train_pixels=_pixels(train),
        val_pixels=_pixels(val),
        neighbors=_compare(references, references),
        val_neighbors=_compare(references, val_references),
        val_within=_compare(val_references, val_references),
    )


@dataclass(frozen=True, slots=True)
class _Sample:
    """Some images of a split.

    ``features`` (N, F) are unit vectors, ``indices`` (N) the images' places in the split, and
    ``every_label`` the labels of the whole split. ``inverse`` (F + 1, F + 1) and ``weights``
    (F + 1, classes) are those of a linear classifier: ridge regression of the one-hot labels.
    """

    features: Tensor
    labels: Tensor
    indices: Tensor
    every_label: Tensor
    classes: int
    inverse: Tensor | None = None
    weights: Tensor | None = None


def _sampled(split: Split, count: int, classes: int, *, linear: bool = False) -> _Sample:
    indices = _spread(len(split), count)
    features, labels = _features(split.images[indices]), split.labels[indices]
    sample = _Sample(features, labels, indices, split.labels, classes)
    if not linear or not len(labels):
        return sample
    inputs = _with_bias(features)
    targets = functional.one_hot(labels, classes).float()
    penalty = RIDGE * len(labels) * torch.eye(inputs.shape[1])
    inverse = torch.linalg.inv(inputs.t() @ inputs + penalty)
    return replace(sample, inverse=inverse, weights=inverse @ (inputs.t() @ targets))


def _on_cpu(split: Split) -> Split:
    return split.to(torch.device("cpu"))


def _spread(total: int, count: int) -> Tensor:
    """Return at most so many indices, evenly spread over a split."""
    return torch.linspace(0, max(0, total - 1), min(count, total)).round().long()


def _pixels(split: Split) -> tuple[float, float] | None:
    """Return mean and standard deviation of a sample's pixels, all channels together."""
    chosen = _subsampled(split.images[_spread(len(split), QUERIES)])
    if not chosen.numel():
        return None
    (mean,), (std,) = pixel_statistics(chosen.reshape(-1, *chosen.shape[-2:]))
    return mean, std


def _counts(labels: Tensor, classes: int) -> tuple[int, ...]:
    return tuple(torch.bincount(labels, minlength=classes).tolist())


def _blank(images: Tensor) -> int:
    """Return how many images have only equal pixels."""
    flat = (chunk.flatten(1) for chunk in _chunks(images))
    return sum(int((each.amax(dim=1) == each.amin(dim=1)).sum()) for each in flat)


def _hashes(images: Tensor) -> Tensor:
    """Return a 64-bit hash of each image's pixels, computed eight pixels at a time."""
    values = math.prod(images.shape[1:])
    padding = -values % WORD
    rng = torch.Generator().manual_seed(0)
    factors = torch.randint(-(2**62), 2**62, ((values + padding) // WORD,), generator=rng)
    parts = []
    for chunk in _chunks(images):
        flat = chunk.flatten(1)
        padded = functional.pad(flat, (0, padding)) if padding else flat
        words = padded.contiguous().view(torch.int64)
        parts.append(((words ^ (words >> 29)) * (factors * 2 + 1)).sum(dim=1))
    return torch.cat(parts) if parts else torch.empty(0, dtype=torch.int64)


def _moved(train: Split, val: Split, is_shared: Tensor) -> int:
    """Return how many sampled validation images are training images, but for a translation."""
    limit = max(1, ALIGNED // max(1, math.prod(train.images.shape[1:])))
    chosen = _spread(len(val), min(QUERIES, limit))
    keys = _hashes(_aligned(train.images[_spread(len(train), min(REFERENCES, limit))]))
    found = torch.isin(_hashes(_aligned(val.images[chosen])), keys)
    return int((found & ~is_shared[chosen]).sum())


def _aligned(images: Tensor) -> Tensor:
    """Return images (N, …, H, W) translated so that their content begins at the top left.

    The background is the color of the first pixel.
    """
    height, width = images.shape[-2:]
    if not images.numel():
        return images
    planes = images.view(len(images), -1, height, width)
    content = (planes != planes[..., :1, :1]).any(1)
    top = content.any(2).byte().argmax(1)
    left = content.any(1).byte().argmax(1)
    rows = (torch.arange(height) + top[:, None]) % height
    columns = (torch.arange(width) + left[:, None]) % width
    places = (rows[:, :, None] * width + columns[:, None, :]).flatten(1)
    return planes.flatten(2).gather(2, places[:, None].expand(-1, planes.shape[1], -1))


def _relabeled(keys: Tensor, labels: Tensor) -> tuple[int, tuple[int, int, int] | None]:
    """Return how many training images have an identical one with another label, and of which."""
    if not len(keys):
        return 0, None
    _, group = torch.unique(keys, return_inverse=True)
    lowest = torch.full((int(group.max()) + 1,), 2**62)
    highest = -lowest
    lowest.scatter_reduce_(0, group, labels, "amin")
    highest.scatter_reduce_(0, group, labels, "amax")
    differs = lowest != highest
    if not bool(differs.any()):
        return 0, None
    found, counts = torch.unique(
        torch.stack([lowest[differs], highest[differs]], 1), dim=0, return_counts=True
    )
    commonest = int(counts.argmax())
    first, second = found[commonest].tolist()
    return int(differs[group].sum()), (first, second, int(counts[commonest]))


def _features(images: Tensor) -> Tensor:
    """Return the images (N, …, H, W) as unit vectors, pooled and without their mean."""
    channels = math.prod(images.shape[1:-2])
    side = max(1, round((FEATURES / channels) ** 0.5))
    parts = []
    for whole in _chunks(images):
        chunk = _subsampled(whole)
        pixels = chunk.reshape(len(chunk), channels, *chunk.shape[-2:]).float()
        if max(pixels.shape[-2:]) > side:
            pixels = functional.adaptive_avg_pool2d(pixels, side)
        flat = pixels.flatten(1)
        parts.append(functional.normalize(flat - flat.mean(dim=1, keepdim=True), dim=1))
    return torch.cat(parts) if parts else torch.empty(0, 1)


def _subsampled(images: Tensor) -> Tensor:
    """Return large images (N, …, H, W) with fewer rows and columns."""
    stride = max(1, min(images.shape[-2:]) // LARGE)
    return images[..., ::stride, ::stride]


def _chunks(images: Tensor) -> Iterator[Tensor]:
    """Yield a few images at a time; they may be read from a file."""
    size = _chunk(images)
    for start in range(0, len(images) if math.prod(images.shape[1:]) else 0, size):
        yield images[start : start + size]


def _chunk(images: Tensor) -> int:
    """Return how many images to process at a time, to limit memory."""
    return max(1, CHUNK // max(1, math.prod(images.shape[1:])))


def _compare(references: _Sample, sample: _Sample) -> NeighborLabels | None:
    """Compare labels with those of the nearest references; None if there are too few."""
    if len(references.labels) <= NEIGHBORS or not len(sample.labels):
        return None
    classes = references.classes
    chosen = _spread(len(sample.labels), QUERIES)
    features, labels = sample.features[chosen], sample.labels[chosen]
    similar = features @ references.features.t()
    if sample is references:
        similar[torch.arange(len(chosen)), chosen] = -2.0
    similarity, nearest = similar.topk(NEIGHBORS, dim=1)
    voted = functional.one_hot(references.labels[nearest], classes)
    votes = voted.sum(dim=1)
    most, majority = votes.max(dim=1)
    unanimous = most >= UNANIMOUS
    contradicted = unanimous & (majority != labels)
    pairs = _pairs(labels[contradicted], majority[contradicted])
    distance = (2 - 2 * similarity).clamp(min=0).sqrt()
    shift, shift_agreeing = _shifted(references, sample, chosen, nearest)
    predicted = _linear(references, features, chosen if sample is references else None)
    return NeighborLabels(
        images=len(labels),
        references=len(references.labels),
        agreeing=int((majority == labels).sum()),
        unanimous=int(unanimous.sum()),
        contradicted=int(contradicted.sum()),
        largest_pair=max((count for *_, count in pairs), default=0),
        contradictions=pairs,
        votes=_table(labels, votes, classes),
        core_votes=_core_votes(labels, voted),
        near_duplicates=int((distance[:, 0] < CLOSE * distance[:, 1]).sum()),
        shift=shift,
        shift_agreeing=shift_agreeing,
        linear_agreeing=None if predicted is None else int((predicted == labels).sum()),
    )


def _pairs(labels: Tensor, others: Tensor) -> tuple[tuple[int, int, int], ...]:
    """Return each pair of labels with how often it occurs."""
    found, counts = torch.unique(torch.stack([labels, others], 1), dim=0, return_counts=True)
    return tuple((a, b, n) for (a, b), n in zip(found.tolist(), counts.tolist(), strict=True))


def _table(labels: Tensor, votes: Tensor, classes: int) -> tuple[tuple[int, ...], ...]:
    """Return the sum of the votes (N, classes) of each label's images."""
    table = torch.zeros(classes, classes, dtype=torch.int64).index_add_(0, labels, votes)
    return tuple(tuple(row) for row in table.tolist())


def _core_votes(labels: Tensor, voted: Tensor) -> tuple[tuple[int, ...], ...]:
    """Return the votes (N, neighbors, classes) at the core of each class.

    Every second neighbor chooses the core, and the others vote; then the two halves are exchanged.
    """
    halves = voted[:, 0::2].sum(dim=1), voted[:, 1::2].sum(dim=1)
    classes = voted.shape[2]
    table = torch.zeros(classes, classes, dtype=torch.int64)
    for label in range(classes):
        members = (labels == label).nonzero().flatten()
        if len(members) < MIN_CORE:
            continue
        for choosing, voting in (halves, halves[::-1]):
            core = choosing[members, label].topk(len(members) // CORE).indices
            table[label] += voting[members[core]].sum(dim=0)
    return tuple(tuple(row) for row in table.tolist())


def _shifted(
    references: _Sample, sample: _Sample, chosen: Tensor, nearest: Tensor
) -> tuple[int, int]:
    """Return the best shift of the labels, and how many images agree with their neighbors then."""
    agreeing = {}
    for shift in SHIFTS:
        labels = sample.every_label.roll(shift)[sample.indices[chosen]]
        others = references.every_label.roll(shift if sample is references else 0)
        votes = functional.one_hot(others[references.indices[nearest]], references.classes)
        agreeing[shift] = int((votes.sum(dim=1).argmax(dim=1) == labels).sum())
    best = max(SHIFTS, key=lambda shift: agreeing[shift])
    return best, agreeing[best]


def _linear(references: _Sample, features: Tensor, places: Tensor | None) -> Tensor | None:
    """Return the classes that the linear classifier predicts for some features (Q, F).

    Where they are those of references, at ``places``, each prediction is that without the image
    itself, from the diagonal of the hat matrix: D. M. Allen, "The relationship between variable
    selection and data augmentation and a method for prediction", Technometrics 16, 1974.
    """
    if references.inverse is None or references.weights is None:
        return None
    inputs = _with_bias(features)
    fitted = inputs @ references.weights
    if places is not None:
        leverage = ((inputs @ references.inverse) * inputs).sum(dim=1, keepdim=True)
        targets = functional.one_hot(references.labels[places], references.classes)
        fitted = fitted - leverage / (1 - leverage) * (targets - fitted)
    return fitted.argmax(dim=1)


def _with_bias(features: Tensor) -> Tensor:
    return functional.pad(features, (0, 1), value=1.0)
