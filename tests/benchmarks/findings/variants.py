"""The datasets of the suite: MNIST and variants of it, written as folders of IDX files."""

from __future__ import annotations

import os
import struct
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional

from tui_trainer.data.idx import read_folder

EMBEDDED = "mnist"
_SOURCE = Path(__file__).parents[3] / "tui_trainer" / "datasets" / "mnist"

Part = tuple[Tensor, Tensor]
"""Images (N, H, H) as uint8, and their labels (N)."""


@dataclass(frozen=True, slots=True)
class Variant:
    """A dataset derived from MNIST.

    Attributes:
        about: A short description.
        change: Derives its training or test images and labels from MNIST's.
    """

    about: str
    change: Callable[[Tensor, Tensor], Part]


def _shrunken(images: Tensor, labels: Tensor) -> Part:
    halved = functional.avg_pool2d(images.unsqueeze(1).to(torch.float32), 2)
    return halved.squeeze(1).round().to(torch.uint8), labels


def _inverted(images: Tensor, labels: Tensor) -> Part:
    return 255 - images, labels


def _five(images: Tensor, labels: Tensor) -> Part:
    kept = labels < 5
    return images[kept], labels[kept]


def _upside_down(images: Tensor, labels: Tensor) -> Part:
    return images.transpose(1, 2).flip(1), labels


VARIANTS: Mapping[str, Variant] = {
    "mnist-14": Variant("each 2×2 pixels averaged to one: 14×14 images", _shrunken),
    "mnist-inverted": Variant("black ink on white paper", _inverted),
    "mnist-five": Variant("only the digits 0 to 4", _five),
    "mnist-turned": Variant("every digit rotated by 90°", _upside_down),
}


def is_available(variant: str, root: Path) -> bool:
    """Return whether there is a dataset, or it can be made."""
    return variant == EMBEDDED or variant in VARIANTS or (root / variant).is_dir()


def folder_of(variant: str, root: Path) -> Path | None:
    """Return the folder of a variant, written if it is missing; None for the original MNIST.

    A folder of another name may be there already.

    Raises:
        KeyError: If there is no such variant.
    """
    if variant == EMBEDDED:
        return None
    folder = root / variant
    if not folder.is_dir():
        _write(VARIANTS[variant], folder)
    return folder


def _write(variant: Variant, folder: Path) -> None:
    """Write a variant's four files; another process may be doing the same."""
    raw = read_folder(_SOURCE, name=EMBEDDED)
    folder.parent.mkdir(parents=True, exist_ok=True)
    place = Path(tempfile.mkdtemp(prefix=".making-", dir=folder.parent))
    for start, pixels, numbers in (
        ("train", raw.train_images, raw.train_labels),
        ("t10k", raw.test_images, raw.test_labels),
    ):
        images = torch.frombuffer(pixels, dtype=torch.uint8).view(-1, raw.size, raw.size)
        images, labels = variant.change(images, torch.tensor(numbers, dtype=torch.uint8))
        count, side = len(labels), images.shape[1]
        header = struct.pack(">BBBB3I", 0, 0, 8, 3, count, side, side)
        content = header + images.contiguous().numpy().tobytes()
        (place / f"{start}-images-idx3-ubyte").write_bytes(content)
        header = struct.pack(">BBBBI", 0, 0, 8, 1, count)
        (place / f"{start}-labels-idx1-ubyte").write_bytes(header + labels.numpy().tobytes())
    try:
        os.replace(place, folder)
    except OSError:  # the other process was first: its files are the same
        if not folder.is_dir():
            raise
