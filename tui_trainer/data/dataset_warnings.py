"""Warnings about the content of a dataset from a folder; it can be trained on all the same."""

from __future__ import annotations

from functools import cache
from importlib import resources

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from tui_trainer.data.idx import RawDataset
from tui_trainer.data.idx_file import read_part
from tui_trainer.protocol.class_names import class_name
from tui_trainer.text import fmt

SAMPLE = 1_000
"""The number of images that are compared with MNIST's."""

ALIKE, MARGIN = 0.6, 0.2
"""Images are transposed MNIST digits if, transposed back, so large a share is nearest to the mean
of its class, and so much more than as they are."""

LIGHT_PAPER = 0.6
"""A mean gray above this means dark ink on light paper."""

NAMED = 5
"""The most classes that are named; further ones are counted."""


AS_IDX_FILES = "start the names of its files with emnist-"
"""How to transpose images in IDX files back."""


def dataset_warnings(raw: RawDataset, *, to_transpose: str = AS_IDX_FILES) -> list[str]:
    """Return the warnings to show before training on a dataset, one line each.

    Those about ink and about digits are for images of one channel: a color image has no ink.

    Args:
        raw: The dataset.
        to_transpose: How to transpose its images back.
    """
    seen = set(raw.train_labels[: raw.train_total - raw.val_total])
    warnings = [_missing_classes(raw, seen)] if len(seen) < raw.classes else []
    if raw.channels > 1:
        return warnings
    labels = torch.tensor(raw.train_labels[:SAMPLE])
    count = len(labels) * raw.size**2
    # A copy of the sample alone: the images may be in a mapped file, which torch cannot wrap.
    pixels = torch.tensor(np.frombuffer(raw.train_images, np.uint8, count))
    images = pixels.view(-1, raw.size, raw.size).to(torch.float32)
    if float(images.mean()) > LIGHT_PAPER * 255:
        warnings.append(
            "its images are dark on light, unlike MNIST's: augmentation fills with black;"
            " invert them (255 minus each byte)"
        )
        images = 255 - images
    if raw.classes == 10 and raw.size == 28 and _are_transposed(images, labels):
        warnings.append(
            "its digits are transposed, rows and columns swapped, as in EMNIST's files;"
            f" to transpose them back, {to_transpose}"
        )
    return warnings


def _missing_classes(raw: RawDataset, seen: set[int]) -> str:
    missing = sorted(set(range(raw.classes)) - seen)
    names = fmt.listed([class_name(raw.class_names, label) for label in missing], NAMED)
    which = f"class {names} has" if len(missing) == 1 else f"classes {names} have"
    return f"{which} no training images, of {raw.classes:,} classes; the others are trained"


def _are_transposed(images: Tensor, labels: Tensor) -> bool:
    """Return whether images (N, 28, 28) are digits with rows and columns swapped."""
    means, center = _mean_digits()

    def accuracy_of(inputs: Tensor) -> float:
        nearest = ((inputs.flatten(1) - center) @ means.T).argmax(dim=1)
        return float((nearest == labels).float().mean())

    upright, transposed = accuracy_of(images), accuracy_of(images.transpose(1, 2))
    return transposed >= max(ALIKE, upright + MARGIN)


@cache
def _mean_digits() -> tuple[Tensor, Tensor]:
    """Return the direction of each mean digit of MNIST from the mean of all, and that mean."""
    with resources.as_file(resources.files("tui_trainer") / "datasets" / "mnist") as folder:
        known = read_part(*(next(folder.glob(f"t10k-{kind}*")) for kind in ("images", "labels")))
    digits = torch.frombuffer(known.images, dtype=torch.uint8).view(-1, 28 * 28)
    classes = torch.tensor(known.labels)
    means = torch.stack([digits[classes == each].float().mean(dim=0) for each in range(10)])
    center = means.mean(dim=0)
    return functional.normalize(means - center, dim=1), center
