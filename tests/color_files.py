"""The rendered color images as files of each kind that is read."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from tests.color_images import CLASS_NAMES, ColorImages, color_images

TRAIN, TEST = 90, 45
"""The images of each split: ten and five of each class."""

SIZE = 32


def splits() -> dict[str, ColorImages]:
    """Return the training and the test images."""
    return {"train": color_images(TRAIN, SIZE), "test": color_images(TEST, SIZE, seed=1)}


def write_arrays(path: Path, *, as_floats: bool = False, with_val: bool = False) -> Path:
    """Write an ``.npz`` file with the names of the classes; return its path."""
    arrays: dict[str, Any] = {"class_names": np.array(CLASS_NAMES)}
    for split, images in splits().items():
        pixels = (images.pixels / 255).astype(np.float32) if as_floats else images.pixels
        arrays[f"x_{split}"], arrays[f"y_{split}"] = pixels, images.labels
    if with_val:
        for name in ("x", "y"):
            arrays[f"{name}_val"] = arrays[f"{name}_test"][:27]
    np.savez(path, **arrays)
    return path


def write_class_folders(
    folder: Path, *, is_single: bool = False, mode: str = "RGB", suffix: str = ".png"
) -> Path:
    """Write a picture a file, in a folder for each class; return the folder.

    Args:
        folder: The folder.
        is_single: Without folders for the splits.
        mode: The mode of the pictures.
        suffix: Their format.
    """
    for split, images in splits().items():
        for number, (pixels, label) in enumerate(zip(images.pixels, images.labels, strict=True)):
            place = folder if is_single else folder / split
            place = place / CLASS_NAMES[label]
            place.mkdir(parents=True, exist_ok=True)
            path = place / f"{split} {number:03}{suffix}"
            Image.fromarray(pixels).convert(mode).save(path)
    return folder
