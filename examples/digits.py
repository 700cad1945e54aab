"""MNIST for the examples: torchvision's from a folder, or the digits in the package mnist-tui."""

from __future__ import annotations

import gzip
from importlib import resources
from typing import Any

import torch
from torch.utils.data import Dataset, TensorDataset

MEAN, STD = 0.1307, 0.3081
"""Of the pixels of MNIST's training images, from 0 to 1."""


def mnist(folder: str | None, *, train: bool) -> Dataset[Any]:
    """Return the training or the test set, with normalized images (1, 28, 28).

    Args:
        folder: Where torchvision keeps MNIST or downloads it to; None for the packaged digits.
        train: Whether it is the training set.
    """
    if folder is not None:
        from torchvision import datasets, transforms

        steps = [transforms.ToTensor(), transforms.Normalize((MEAN,), (STD,))]
        return datasets.MNIST(folder, train, transforms.Compose(steps), download=True)
    part = "train" if train else "t10k"
    images = _read(f"{part}-images-idx3-ubyte.gz", header=16).view(-1, 1, 28, 28)
    labels = _read(f"{part}-labels-idx1-ubyte.gz", header=8)
    return TensorDataset((images / 255 - MEAN) / STD, labels.long())


def _read(name: str, header: int) -> torch.Tensor:
    packed = resources.files("tui_trainer") / "datasets" / "mnist" / name
    content = bytearray(gzip.decompress(packed.read_bytes()))
    return torch.frombuffer(content, dtype=torch.uint8, offset=header)
