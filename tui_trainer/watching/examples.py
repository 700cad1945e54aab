"""Which examples a loop trains on and evaluates: fingerprints, and the indices of its loaders."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.utils.data import Dataset, Subset

from tui_trainer.watching.loaders import order_of

MOST_VALUES = 1_024
"""Values of an example that its fingerprint is made of."""

OF_A_BATCH = 64
"""Examples of a batch whose fingerprints are kept …"""

MOST = 32_768
"""… and the most of training, and of validation."""

EVERY = 4
"""One training batch of so many is kept after the first ones …"""

FIRST = 16
"""… which all are."""


@torch.no_grad()
def fingerprints(inputs: Tensor) -> Tensor:
    """Return a number for each example (N, ...), equal for equal examples, on their device.

    It is exact and does not depend on the batch: a sum of integers modulo 2⁶⁴. A constant example
    gets 0.
    """
    flat = inputs.detach()[:OF_A_BATCH].reshape(min(OF_A_BATCH, len(inputs)), -1)
    stride = max(1, flat.shape[1] // MOST_VALUES)
    flat = flat[:, ::stride]
    # Two reductions take a tenth of the time of comparing each value with the first.
    if flat.is_complex():
        is_constant = (flat == flat[:, :1]).all(dim=1)
    else:
        is_constant = flat.amin(dim=1) == flat.amax(dim=1)
    if flat.is_floating_point():
        flat = flat.to(torch.float32).contiguous().view(torch.int32)
    places = torch.arange(1, flat.shape[1] + 1, device=flat.device, dtype=torch.int64)
    factors = places * 81_006 + 1
    # In place: new memory for each result takes longer than the arithmetic.
    mixed = flat.to(torch.int64, copy=True).mul_(2_654_435_761).add_(12_345).mul_(factors)
    found = mixed.bitwise_xor_(mixed >> 29).mul_(factors).sum(dim=1)
    return torch.where(is_constant, torch.zeros_like(found), found)


@torch.no_grad()
def are_mixed(batch: Tensor, inputs: Tensor) -> bool:
    """Whether a model's inputs are the values of a batch, but with the examples mixed up.

    The sums of all values and of their squares are the same, and the sums of the examples are not,
    in any order.
    """
    if batch.numel() != inputs.numel() or len(batch) != len(inputs) or len(batch) < 4:
        return False
    if not (batch.is_floating_point() and inputs.is_floating_point()):
        return False
    one, other = (t.detach().double().cpu().reshape(len(t), -1) for t in (batch, inputs))
    for power in (1, 2):
        both = (one**power).sum(), (other**power).sum()
        if not torch.isclose(*both, rtol=1e-9):
            return False
    sums, others = ((t * t).sum(dim=1).sort().values for t in (one, other))
    return not torch.allclose(sums, others, rtol=1e-6)


@torch.no_grad()
def are_changed(batch: Tensor, inputs: Tensor) -> bool:
    """Whether a model's inputs have other values than the batch, example by example."""
    if batch.numel() != inputs.numel() or len(batch) != len(inputs) or not len(batch):
        return True
    one, other = (t.detach().double().cpu().reshape(len(t), -1) for t in (batch, inputs))
    return not torch.allclose((one * one).sum(dim=1), (other * other).sum(dim=1), rtol=1e-4)


class Examples:
    """Compares the examples of training with those of validation, and of two epochs.

    Fingerprints stay on the device until the end of an epoch.
    """

    def __init__(self) -> None:
        self._training: list[Tensor] = []
        self._validation: list[Tensor] = []
        self._seen: set[int] = set()
        self._validated: set[int] = set()
        self._first: Tensor | None = None
        self._batches = 0
        self._epoch = 0
        self.repeats_order = False

    def begin_epoch(self) -> None:
        """Begin an epoch of training."""
        self._epoch += 1
        self._batches = 0

    def train(self, inputs: Tensor) -> None:
        """Take the inputs of a training batch."""
        number, self._batches = self._batches, self._batches + 1
        if self._epoch > 1 and number == 0 and self._first is not None:
            now = fingerprints(inputs)
            same = now.shape == self._first.shape and len(now) > 1
            self.repeats_order = same and bool((now == self._first).all()) and bool(now.any())
        elif self._epoch <= 1 and len(self._seen) + OF_A_BATCH * len(self._training) < MOST:
            self._keep(number, inputs)

    def _keep(self, number: int, inputs: Tensor) -> None:
        if number < FIRST or number % EVERY == 0:
            found = fingerprints(inputs)
            self._training.append(found)
            self._first = found if number == 0 else self._first

    def validate(self, inputs: Tensor) -> None:
        """Take the inputs of a validation batch."""
        if len(self._validated) + OF_A_BATCH * len(self._validation) < MOST:
            self._validation.append(fingerprints(inputs))

    def compared(self) -> tuple[int, int, int]:
        """Return how many validation examples are training examples, and the numbers of both."""
        for tensors, known in (
            (self._training, self._seen),
            (self._validation, self._validated),
        ):
            if tensors:
                known.update(torch.cat([t.cpu() for t in tensors]).tolist())
                known.discard(0)
                tensors.clear()
        return len(self._seen & self._validated), len(self._validated), len(self._seen)

    def forget_validation(self) -> None:
        """Drop the validation examples: they were none, or are compared."""
        self._validation.clear()
        self._validated.clear()


def sampler_name(loader: Any) -> str:
    """Return the class of a loader's sampler; empty if it has none."""
    batch_sampler = getattr(loader, "batch_sampler", None)
    if batch_sampler is not None and type(batch_sampler).__name__ != "BatchSampler":
        return type(batch_sampler).__name__
    sampler = order_of(loader)
    return "" if sampler is None else type(sampler).__name__


def overlap(training: Any, validation: Any) -> tuple[int, int] | None:
    """Return how many validation examples are training examples, by their indices, and of how many.

    None if the two loaders do not use the same dataset, or do not show what they take of it.
    """
    one, other = _taken(training), _taken(validation)
    if one is None or other is None or not _is_same(one[0], other[0]):
        return None
    mine, theirs = one[1], other[1]
    return len(mine & theirs), len(theirs)


def _taken(loader: Any) -> tuple[Any, set[int]] | None:
    """Return the dataset behind a loader, and the indices that it takes of it."""
    dataset = getattr(loader, "dataset", None)
    sampler = order_of(loader)
    kind = type(sampler).__name__
    if not isinstance(dataset, Dataset):
        return None
    try:
        if kind == "SubsetRandomSampler":
            places = [int(i) for i in sampler.indices]
        elif kind in ("RandomSampler", "SequentialSampler", "DistributedSampler"):
            places = list(range(len(dataset)))  # type: ignore[arg-type]
        else:
            return None
        while isinstance(dataset, Subset):
            places = [int(dataset.indices[i]) for i in places]
            dataset = dataset.dataset
    except (TypeError, IndexError, ValueError):
        return None
    return dataset, set(places)


def _is_same(one: Any, other: Any) -> bool:
    """Whether two datasets hold the same examples: one object, or the same tensors or arrays."""
    if one is other:
        return True
    tensors, others = getattr(one, "tensors", None), getattr(other, "tensors", None)
    if tensors and others:
        return tensors[0] is others[0]
    if type(one) is not type(other):
        return False
    names = [name for name in ("root", "train", "split", "data_dir") if hasattr(one, name)]
    return "root" in names and all(getattr(one, n) == getattr(other, n) for n in names)
