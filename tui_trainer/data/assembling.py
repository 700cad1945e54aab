"""Split a dataset, and move it to the device or leave it where it is read from."""

from __future__ import annotations

import functools
from array import array
from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from tui_trainer.data.dataset import Data, HeldOutTest, Split, stratified_split
from tui_trainer.data.idx import RawDataset, content_digest
from tui_trainer.data.idx_file import Pixels
from tui_trainer.data.image_store import is_mapped
from tui_trainer.data.mapped_images import CHUNK, MappedImages, as_mapped
from tui_trainer.data.residency import residency_of
from tui_trainer.protocol.class_names import clean_names
from tui_trainer.protocol.config import RunConfig
from tui_trainer.protocol.errors import InputError

VAL_SHARE = 12
"""One in twelve training images is for validation, 5,000 of MNIST's 60,000 …"""

MAX_DEFAULT_VAL = 5_000
"""… and by default never more than this."""


def assemble(raw: RawDataset, config: RunConfig, device: torch.device) -> Data:
    """Split a dataset and move it to the device.

    Raises:
        InputError: If the dataset has too few images for the training or validation split.
    """
    reach = config.augmentation.pad_shift
    if reach >= raw.size:
        raise InputError(
            f"--pad-shift {reach}: the images of {raw.name} have {raw.size} pixels, and their "
            f"border is mirrored; at most {raw.size - 1}"
        )
    train_indices, val_indices = split_indices(raw, config)
    residency = residency_of(raw, config.memory_share, device)
    on_device = functools.partial(_on_device, device=device, resident=residency.resident)
    source = _tensors(raw.train_images, raw.train_labels, raw)
    test = _tensors(raw.test_images, raw.test_labels, raw)
    train = source.take(train_indices)
    mean, std = pixel_statistics(train.images)
    return Data(
        name=raw.name,
        classes=raw.classes,
        image_size=raw.size,
        train=on_device(train),
        val=on_device(source.take(val_indices)),
        test=HeldOutTest(on_device(test)),
        mean=mean,
        std=std,
        digesting=_in_background(content_digest, raw),
        channels=raw.channels,
        class_names=clean_names(raw.class_names),
        fit=raw.fit,
        residency=residency,
    )


def _on_device(split: Split, *, device: torch.device, resident: bool) -> Split:
    """Return a split whose images are on a device, or are read to it when they are needed."""
    images = split.images
    if isinstance(images, MappedImages) and resident:
        copy, start = torch.empty(images.shape, dtype=images.dtype, device=device), 0
        for chunk in images.chunks():
            copy[start : start + len(chunk)] = chunk.to(device)
            start += len(chunk)
        return Split(copy, split.labels.to(device))
    if not isinstance(images, MappedImages) and not resident:
        images = as_mapped(images.contiguous().view(-1).numpy().data, images.shape[1:], device)
    return Split(images, split.labels).to(device)


def split_indices(raw: RawDataset, config: RunConfig) -> tuple[list[int], list[int]]:
    """Return the indices of the training and of the validation images, each in ascending order.

    Raises:
        InputError: If the dataset has too few images for one of them.
    """
    total = len(raw.train_labels)
    val_size = config.val_size
    if raw.val_total:
        if val_size is not None:
            raise InputError(
                f"--val-size {val_size:,}: {raw.name} has its own {raw.val_total:,} validation "
                "images; leave it out"
            )
        val_size = raw.val_total
    elif val_size is None:
        val_size = min(MAX_DEFAULT_VAL, total // VAL_SHARE)
    if val_size >= total:
        raise InputError(
            f"--val-size {val_size:,}: {raw.name} has {total:,} training images; "
            "leave at least one of them to train on"
        )
    if raw.val_total:
        indices = list(range(total))
        train_indices, val_indices = indices[:-val_size], indices[-val_size:]
    else:
        train_indices, val_indices = stratified_split(raw.train_labels, val_size)
    if config.train_size is not None and config.train_size > len(train_indices):
        raise InputError(
            f"--train-size {config.train_size:,}: {raw.name} has only {len(train_indices):,} images"
            f" left to train on, next to {val_size:,} for validation"
        )
    if config.train_size is not None and config.train_size < len(train_indices):
        labels = [raw.train_labels[index] for index in train_indices]
        _, chosen = stratified_split(labels, config.train_size)
        train_indices = [train_indices[index] for index in chosen]
    return train_indices, val_indices


def _in_background(work: Callable[[RawDataset], str], raw: RawDataset) -> Future[str]:
    """Start work on a new thread; hashing releases the interpreter lock."""
    pool = ThreadPoolExecutor(1)
    future = pool.submit(work, raw)
    pool.shutdown(wait=False)
    return future


def pixel_statistics(images: Tensor) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Return mean and standard deviation of uint8 pixels on the CPU, on a scale of 0 to 1.

    Computed from the histogram of the 256 levels: exact in double precision, without a float copy
    of the images. A channel of a single level gets a standard deviation of 1, not 0.

    Args:
        images: Shape (N, H, W), or (N, C, H, W) for numbers of each channel.
    """
    chunks: Iterable[Tensor] = [images]
    if isinstance(images, MappedImages):
        chunks = images.chunks()
    elif images.dim() > 3:
        chunks = torch.split(images, max(1, CHUNK // max(1, images[:1].numel())))
    counts = torch.zeros(1, 256, dtype=torch.float64)
    for chunk in chunks:
        if images.dim() == 3:
            counts = counts + _histogram(chunk.flatten())
        else:
            counts = counts + torch.stack([_plane_histogram(each) for each in chunk.unbind(1)])
    found = [_statistics(each) for each in counts]
    return tuple(mean for mean, _ in found), tuple(std for _, std in found)


def _plane_histogram(planes: Tensor) -> Tensor:
    """Return the histogram of planes (N, H, W) of photographs.

    Pillow counts bytes five times as fast as torch, which makes integers of 64 bits of them first.
    """
    rows = np.ascontiguousarray(planes.numpy()).reshape(len(planes), -1)
    if not rows.size:
        return torch.zeros(256, dtype=torch.float64)
    return torch.tensor(Image.fromarray(rows).histogram(), dtype=torch.float64)


def _histogram(pixels: Tensor) -> Tensor:
    """Return how often each of the 256 levels occurs, as numbers in double precision."""
    words = pixels[: len(pixels) // 8 * 8].view(torch.int64)
    # Four of five pixels are black: leaving them out in words of eight halves the time.
    inked = torch.cat((words[words != 0].view(torch.uint8), pixels[8 * len(words) :]))
    counts = torch.bincount(inked, minlength=256).to(torch.float64)
    counts[0] += len(pixels) - len(inked)
    return counts


def _statistics(counts: Tensor) -> tuple[float, float]:
    """Return mean and standard deviation of levels that occur so often."""
    levels = torch.arange(256, dtype=torch.float64) / 255
    total = counts.sum()
    mean = float((counts * levels).sum() / total)
    variance = float((counts * (levels - mean) ** 2).sum() / total)
    return mean, variance**0.5 or 1.0


def _tensors(images: Pixels, labels: array[int], raw: RawDataset) -> Split:
    pixels: Tensor
    if is_mapped(images):
        pixels = as_mapped(images, raw.image_shape, torch.device("cpu"))
    else:
        pixels = torch.frombuffer(images, dtype=torch.uint8).view(-1, *raw.image_shape)
    return Split(pixels, torch.tensor(labels, dtype=torch.int64))
