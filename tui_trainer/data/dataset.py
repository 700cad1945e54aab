"""Datasets as tensors on the device, their splits, and the order of batches."""

from __future__ import annotations

import functools
import random
from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.nn.functional import interpolate

from tui_trainer.data.augment import augment
from tui_trainer.models.input_spec import ImageShape, InputSize, InputSpec
from tui_trainer.protocol.config import Augmentation

if TYPE_CHECKING:
    from tui_trainer.data.residency import Residency

_SPLIT_SEED = "mnist-tui: train and validation"
_SAMPLE_SEED = "mnist-tui: check"


@dataclass(frozen=True, slots=True)
class Split:
    """Images (N, H, H) or (N, 3, H, H) as uint8, and labels (N) as int64, on the device.

    Those of a training loop are its inputs (N, ...), see ``data/recorded_inputs.py``.
    """

    images: Tensor
    labels: Tensor

    def __len__(self) -> int:
        return len(self.labels)

    def take(self, indices: Sequence[int]) -> Split:
        """Return a copy of the images at ``indices``."""
        chosen = torch.tensor(indices, dtype=torch.int64)
        return Split(self.images[chosen], self.labels[chosen])

    def sample(self, count: int) -> Split:
        """Return a stratified sample of ``count`` images, or all, in a fixed random order."""
        chosen = list(range(len(self)))
        if count < len(self):
            _, chosen = stratified_split(self.labels.tolist(), count)
        random.Random(_SAMPLE_SEED).shuffle(chosen)
        return self.take(chosen)

    def batches(self, size: int) -> Iterator[Split]:
        """Yield batches of ``size`` images; the last may be smaller."""
        for start in range(0, len(self), size):
            yield Split(self.images[start : start + size], self.labels[start : start + size])

    def to(self, device: torch.device) -> Split:
        """Return the split on a device."""
        return Split(self.images.to(device), self.labels.to(device))


class HeldOutTest:
    """The held-out test set: only :meth:`open` returns it for evaluation, and counts each one."""

    def __init__(self, split: Split) -> None:
        self._split = split
        self.evaluations = 0

    def __len__(self) -> int:
        return len(self._split)

    def open(self) -> Split:
        """Return the test split for an evaluation, and count it."""
        self.evaluations += 1
        return self._split

    def shown(self) -> Split:
        """Return the test split to show images of a counted evaluation; not counted itself."""
        return self._split


@dataclass(frozen=True, slots=True)
class Data:
    """A dataset, split, on the device.

    ``mean`` and ``std`` are of the pixels of the training split, a number for each channel, on a
    scale of 0 to 1; ``digesting`` computes :attr:`digest` in the background, so that it does not
    delay training. ``class_names`` is empty if classes have only numbers.
    ``residency`` is None for data that a training loop recorded. ``fit`` is how pictures
    of other sizes were brought to this one, empty for images of one size.
    """

    name: str
    classes: int
    image_size: int
    train: Split
    val: Split
    test: HeldOutTest
    mean: tuple[float, ...]
    std: tuple[float, ...]
    digesting: Future[str] | None = None
    channels: int = 1
    class_names: tuple[str, ...] = ()
    residency: Residency | None = None
    fit: str = ""

    @property
    def digest(self) -> str:
        """The digest of the images and labels as read; empty without ``digesting``."""
        return self.digesting.result() if self.digesting else ""

    @property
    def shape(self) -> tuple[int, int, int]:
        """Height, width and channels of an image."""
        return self.image_size, self.image_size, self.channels

    @property
    def input_size(self) -> InputSize:
        """The input of the model."""
        if self.channels == 1:
            return self.image_size
        return InputSpec((self.channels, self.image_size, self.image_size))

    @property
    def description(self) -> dict[str, Any]:
        """The fields of :class:`tui_trainer.protocol.events.RunStarted` about the data."""
        return {
            "dataset": self.name,
            "classes": self.classes,
            "class_names": self.class_names,
            "image_size": self.image_size,
            "channels": self.channels,
            "train_size": len(self.train),
            "val_size": len(self.val),
            "test_size": len(self.test),
            "mean": self.mean,
            "std": self.std,
            "image_bytes": self.residency.size if self.residency else 0,
            "image_readers": self.residency.readers if self.residency else 0,
        }

    @property
    def metadata(self) -> dict[str, Any]:
        """The input of the model and its classes, for the metadata of a checkpoint."""
        found: dict[str, Any] = {"classes": self.classes, "image_size": self.image_size}
        if isinstance(self.input_size, InputSpec):
            found["input"] = self.input_size.plain
        if self.class_names:
            found["class_names"] = list(self.class_names)
        if self.fit:
            found["fit"] = self.fit
        return found

    @property
    def example(self) -> ImageShape | InputSpec:
        """One input of the model, for its layer table: height, width and channels of an image."""
        return self.shape

    @property
    def values(self) -> int:
        """The number of values of an example."""
        return self.channels * self.image_size**2

    @property
    def black(self) -> Tensor:
        """The values (channels, 1, 1) of a black pixel in the input of the model."""
        return self._prepared_gray(0)

    @property
    def white(self) -> Tensor:
        """The values (channels, 1, 1) of a white pixel in the input of the model."""
        return self._prepared_gray(255)

    def _prepared_gray(self, level: int) -> Tensor:
        shape = (1, 1, 1) if self.channels == 1 else (1, self.channels, 1, 1)
        device = self.train.labels.device
        return self.prepare(torch.full(shape, level, dtype=torch.uint8, device=device))[0]

    @property
    def fingerprint(self) -> str:
        """An identification of the data: name, sizes, and statistics of the pixels."""
        sizes = f"{len(self.train)}+{len(self.val)}+{len(self.test)}"
        mean, std = (each[0] if len(each) == 1 else each for each in (self.mean, self.std))
        return f"{self.name} {sizes} mean {mean!r} std {std!r}"

    def prepare(
        self,
        images: Tensor,
        augmentation: Augmentation | None = None,
        rng: torch.Generator | None = None,
        size: int | None = None,
        part: tuple[int, slice] | None = None,
    ) -> Tensor:
        """Turn uint8 images (N, H, H) or (N, C, H, H) into the model's input (N, C, H, H).

        They are normalized by the mean and the standard deviation of each channel.

        With ``augmentation``, the images are augmented before normalization, so that the border
        that a transform fills in is black like the background, not the mean gray. With ``size``,
        they are resized to that many pixels: in the same pass as the augmentation, if there is any.
        With ``part``, they are a part of a batch, see :func:`augment`.
        """
        pixels = (images.unsqueeze(1) if images.dim() == 3 else images).to(torch.float32)
        if augmentation is not None and rng is not None:
            fill = tuple(255 * mean for mean in self.mean)
            pixels = augment(pixels, augmentation, rng, size, part, fill)
        elif size is not None:
            pixels = interpolate(pixels, size=(size, size), mode="bilinear", antialias=True)
        if self.channels == 1:
            return pixels.mul_(1 / (255 * self.std[0])).sub_(self.mean[0] / self.std[0])
        factor, offset = channel_scale(self.mean, self.std, pixels.device)
        return pixels.mul_(factor).sub_(offset)

    def pictures(self, images: Tensor) -> Tensor:
        """Return images as grays (N, H, W) or colors (N, 3, H, W) from 0 to 255, to draw them."""
        return images


@functools.lru_cache(maxsize=8)
def channel_scale(
    mean: tuple[float, ...], std: tuple[float, ...], device: torch.device
) -> tuple[Tensor, Tensor]:
    """Return the factor and the offset (C, 1, 1) that normalize pixels from 0 to 255."""
    factor = torch.tensor([1 / (255 * each) for each in std], device=device)
    offset = torch.tensor([m / s for m, s in zip(mean, std, strict=True)], device=device)
    return factor.view(-1, 1, 1), offset.view(-1, 1, 1)


class BatchStream:
    """The order of an epoch's images: a permutation and a position in it.

    The permutation is drawn on the CPU, so that it is the same for every device, and copied to the
    device as a whole, so that a batch needs no synchronization.
    """

    def __init__(self, size: int, rng: torch.Generator, device: torch.device) -> None:
        self._size = size
        self.rng = rng
        self._device = device
        self.order = torch.empty(0, dtype=torch.int64)
        self.cursor = 0

    def begin_epoch(self) -> None:
        """Draw the next permutation and start at its beginning."""
        self.order = torch.randperm(self._size, generator=self.rng).to(self._device)
        self.cursor = 0

    def resume(self, order: Tensor, cursor: int) -> None:
        """Continue a saved permutation (N) at a position in it."""
        self.order = order.to(self._device)
        self.cursor = cursor

    @property
    def remaining(self) -> int:
        """The number of images of this epoch that are left."""
        return len(self.order) - self.cursor

    def take(self, count: int) -> Tensor:
        """Return the next ``count`` indices, or as many as the epoch has left.

        A single remaining image joins the batch: with one image, batch norm after a fully connected
        layer has no statistics.
        """
        count = _joined(count, self.remaining)
        indices = self.order[self.cursor : self.cursor + count]
        self.cursor += len(indices)
        return indices


def _joined(count: int, remaining: int) -> int:
    return remaining if 1 < count == remaining - 1 else count


def batch_sizes(count: int, images: int) -> list[int]:
    """Return the different batch sizes of an epoch, largest first: one, or two."""
    whole, rest = divmod(images, count)
    if not whole:
        return [images]
    if rest == 1 and count > 1:
        return [count + 1, count] if whole > 1 else [count + 1]
    return [count, rest] if rest else [count]


def stratified_split(labels: Sequence[int], count: int) -> tuple[list[int], list[int]]:
    """Split the indices into two parts, ``count`` in the second, with the same class proportions.

    The split depends on the labels alone, not on the seed of a run: every run on a dataset is
    evaluated on the same images. The largest remainder method rounds the class sizes.

    Returns:
        The indices of both parts, each in ascending order.
    """
    by_class: dict[int, list[int]] = {}
    for index, label in enumerate(labels):
        by_class.setdefault(label, []).append(index)
    shares = {label: len(members) * count / len(labels) for label, members in by_class.items()}
    quotas = {label: int(share) for label, share in shares.items()}
    by_remainder = sorted(shares, key=lambda label: (quotas[label] - shares[label], label))
    for label in by_remainder[: count - sum(quotas.values())]:
        quotas[label] += 1
    rng = random.Random(_SPLIT_SEED)
    apart: set[int] = set()
    for label in sorted(by_class):
        apart.update(rng.sample(by_class[label], quotas[label]))
    return [index for index in range(len(labels)) if index not in apart], sorted(apart)
