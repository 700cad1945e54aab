"""Datasets as tensors that stay on the device, their splits, and the stream of batches."""

from __future__ import annotations

import random
from array import array
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

import platformdirs
import torch
from torch import Tensor

from tui_trainer.data.augment import augment
from tui_trainer.data.idx import RawDataset, content_digest, read_folder
from tui_trainer.protocol.config import Augmentation, RunConfig
from tui_trainer.protocol.errors import InputError, path_error
from tui_trainer.protocol.events import DatasetWarning, DownloadProgress

VAL_SHARE = 12
"""One in twelve training images validates, which makes 5,000 of MNIST's 60,000 …"""

MAX_DEFAULT_VAL = 5_000
"""… and never more than this unless asked for."""

_SPLIT_SEED = "mnist-tui: train and validation"
_SAMPLE_SEED = "mnist-tui: check"


@dataclass(frozen=True, slots=True)
class Split:
    """Images (N, H, H) as uint8 with their labels (N) as int64, on the device."""

    images: Tensor
    labels: Tensor

    def __len__(self) -> int:
        return len(self.labels)

    def take(self, indices: Sequence[int]) -> Split:
        """Return a copy of the images at ``indices``."""
        chosen = torch.tensor(indices, dtype=torch.int64)
        return Split(self.images[chosen], self.labels[chosen])

    def sample(self, count: int) -> Split:
        """Return ``count`` images, or all, each class with its share, in an order of no meaning."""
        chosen = list(range(len(self)))
        if count < len(self):
            _, chosen = stratified_split(self.labels.tolist(), count)
        random.Random(_SAMPLE_SEED).shuffle(chosen)
        return self.take(chosen)

    def batches(self, size: int) -> Iterator[Split]:
        """Yield the images in parts of ``size``, the last of what is left."""
        for start in range(0, len(self), size):
            yield Split(self.images[start : start + size], self.labels[start : start + size])

    def to(self, device: torch.device) -> Split:
        """Return the same on a device."""
        return Split(self.images.to(device), self.labels.to(device))


class HeldOutTest:
    """The test set. It is handed out only by :meth:`open`, and every time is counted."""

    def __init__(self, split: Split) -> None:
        self._split = split
        self.evaluations = 0

    def __len__(self) -> int:
        return len(self._split)

    def open(self) -> Split:
        """Return the test images; one more look."""
        self.evaluations += 1
        return self._split

    def shown(self) -> Split:
        """Return the test images to show those that a counted look has judged; no look itself."""
        return self._split


@dataclass(frozen=True, slots=True)
class Data:
    """A dataset, split and ready on the device.

    ``mean`` and ``std`` are those of the training split's pixels, on a scale of 0 to 1;
    ``digesting`` is the work on :attr:`digest`, which need not hold up the first step.
    """

    name: str
    classes: int
    image_size: int
    train: Split
    val: Split
    test: HeldOutTest
    mean: float
    std: float
    digesting: Future[str] | None = None

    @property
    def digest(self) -> str:
        """A digest of the images and labels as they were read; empty where none was asked for."""
        return self.digesting.result() if self.digesting else ""

    @property
    def shape(self) -> tuple[int, int, int]:
        """Height, width and channels of an image."""
        return self.image_size, self.image_size, 1

    @property
    def fingerprint(self) -> str:
        """What tells this data from other data: name, sizes, and the statistics of its pixels."""
        sizes = f"{len(self.train)}+{len(self.val)}+{len(self.test)}"
        return f"{self.name} {sizes} mean {self.mean!r} std {self.std!r}"

    def prepare(
        self,
        images: Tensor,
        augmentation: Augmentation | None = None,
        rng: torch.Generator | None = None,
    ) -> Tensor:
        """Turn uint8 images (N, H, H) into the network's input (N, 1, H, H), normalized.

        With ``augmentation``, the images are augmented first, so that the empty border that a move
        brings in is black like the background, and not the mean grey.
        """
        pixels = images.unsqueeze(1).to(torch.float32)
        if augmentation is not None and rng is not None:
            pixels = augment(pixels, augmentation, rng)
        return pixels.mul_(1 / (255 * self.std)).sub_(self.mean / self.std)


class BatchStream:
    """The order in which an epoch's images are met: a permutation and a place in it.

    The permutation is drawn on the CPU, the same for every device, and lies on the device whole:
    an accelerator need not be waited for at each batch.
    """

    def __init__(self, size: int, rng: torch.Generator, device: torch.device) -> None:
        self._size = size
        self.rng = rng
        self._device = device
        self.order = torch.empty(0, dtype=torch.int64)
        self.cursor = 0

    def begin_epoch(self) -> None:
        """Draw the next permutation and go to its start."""
        self.order = torch.randperm(self._size, generator=self.rng).to(self._device)
        self.cursor = 0

    def resume(self, order: Tensor, cursor: int) -> None:
        """Go on in a permutation (N) of before, from a place in it."""
        self.order = order.to(self._device)
        self.cursor = cursor

    @property
    def remaining(self) -> int:
        """How many images of this epoch are still to come."""
        return len(self.order) - self.cursor

    def take(self, count: int) -> Tensor:
        """Return the next ``count`` indices, or as many as the epoch still has.

        A single image that would be left over joins the batch: of one image, batch norm behind a
        fully connected layer has no statistics.
        """
        count = _joined(count, self.remaining)
        indices = self.order[self.cursor : self.cursor + count]
        self.cursor += len(indices)
        return indices


def _joined(count: int, remaining: int) -> int:
    return remaining if 1 < count == remaining - 1 else count


def batch_sizes(count: int, images: int) -> list[int]:
    """Return the sizes of an epoch's batches, largest first: one, or two if the last differs."""
    whole, rest = divmod(images, count)
    if not whole:
        return [images]
    if rest == 1 and count > 1:
        return [count + 1, count] if whole > 1 else [count + 1]
    return [count, rest] if rest else [count]


def load(
    config: RunConfig, device: torch.device
) -> Generator[DownloadProgress | DatasetWarning, None, Data]:
    """Read the run's dataset and return it; yields the progress of a download, and what is odd.

    Raises:
        InputError: If the files are missing or damaged, or the split's size does not fit.
    """
    raw: RawDataset
    if config.data_dir is not None:
        from tui_trainer.data.dataset_warnings import dataset_warnings

        folder = _expanded(config.data_dir)
        raw = read_folder(folder, name=folder.name or str(folder), classes=config.classes)
        for warning in dataset_warnings(raw):
            yield DatasetWarning(folder=str(folder), message=warning)
    elif config.dataset == "mnist":
        with resources.as_file(resources.files("tui_trainer") / "datasets" / "mnist") as folder:
            raw = read_folder(folder, name="mnist")
    else:
        from tui_trainer.data.downloads import fetch

        cache = platformdirs.user_cache_path("mnist-tui") / "datasets"
        raw = yield from fetch(config.dataset, cache)
    return assemble(raw, config, device)


def assemble(raw: RawDataset, config: RunConfig, device: torch.device) -> Data:
    """Split a dataset and put it on the device.

    Raises:
        InputError: If the training or validation split would be larger than the files allow.
    """
    total = len(raw.train_labels)
    val_size = config.val_size
    if val_size is None:
        val_size = min(MAX_DEFAULT_VAL, total // VAL_SHARE)
    if val_size >= total:
        raise InputError(
            f"--val-size {val_size:,}: {raw.name} has {total:,} training images; "
            "leave at least one of them to train on"
        )
    train_indices, val_indices = stratified_split(raw.train_labels, val_size)
    if config.train_size is not None and config.train_size > len(train_indices):
        raise InputError(
            f"--train-size {config.train_size:,}: only {len(train_indices):,} images of "
            f"{raw.name} are left to train on beside {val_size:,} for validation"
        )
    if config.train_size is not None and config.train_size < len(train_indices):
        labels = [raw.train_labels[index] for index in train_indices]
        _, chosen = stratified_split(labels, config.train_size)
        train_indices = [train_indices[index] for index in chosen]
    source = _tensors(raw.train_images, raw.train_labels, raw.size)
    test = _tensors(raw.test_images, raw.test_labels, raw.size)
    train = source.take(train_indices)
    mean, std = pixel_statistics(train.images)
    return Data(
        name=raw.name,
        classes=raw.classes,
        image_size=raw.size,
        train=train.to(device),
        val=source.take(val_indices).to(device),
        test=HeldOutTest(test.to(device)),
        mean=mean,
        std=std,
        digesting=_in_background(content_digest, raw),
    )


def _in_background(work: Callable[[RawDataset], str], raw: RawDataset) -> Future[str]:
    """Begin work on a thread of its own; hashing leaves the interpreter to others."""
    pool = ThreadPoolExecutor(1)
    future = pool.submit(work, raw)
    pool.shutdown(wait=False)
    return future


def stratified_split(labels: Sequence[int], count: int) -> tuple[list[int], list[int]]:
    """Set ``count`` of the indices apart, so that each class keeps its share of both parts.

    The split depends on the labels alone, not on a run's seed: every run of a dataset is judged on
    the same images. Shares that do not come out even are settled by the largest remainder.

    Returns:
        The indices that stay and the ones set apart, each in ascending order.
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


def pixel_statistics(images: Tensor) -> tuple[float, float]:
    """Return mean and standard deviation of uint8 pixels on the CPU, on a scale of 0 to 1.

    They come from the histogram of the 256 grey levels, exact in double precision and without a
    copy of the images as floats. Images of one single grey get a deviation of 1, not 0.
    """
    counts = torch.bincount(images.flatten(), minlength=256).to(torch.float64)
    levels = torch.arange(256, dtype=torch.float64) / 255
    total = counts.sum()
    mean = float((counts * levels).sum() / total)
    variance = float((counts * (levels - mean) ** 2).sum() / total)
    return mean, variance**0.5 or 1.0


def _expanded(folder: str) -> Path:
    try:
        return Path(folder).expanduser()
    except RuntimeError as error:
        raise path_error(Path(folder), "no such user's home folder; give the whole path") from error


def _tensors(images: bytearray, labels: array[int], size: int) -> Split:
    pixels = torch.frombuffer(images, dtype=torch.uint8).view(-1, size, size)
    return Split(pixels, torch.tensor(labels, dtype=torch.int64))
