"""Read a dataset of NumPy arrays: an ``.npz`` archive, or a folder with one or with ``.npy`` files.

Its arrays are ``x_train``, ``y_train``, ``x_test`` and ``y_test``, perhaps ``x_val`` and ``y_val``,
and ``class_names``. Images are bytes, or numbers that are turned into bytes by :func:`scale_of`.
"""

from __future__ import annotations

import math
import os
import sys
from array import array
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tui_trainer.data.idx import RawDataset, build_dataset
from tui_trainer.data.idx_file import MIN_SIZE, Part
from tui_trainer.data.image_store import ImageStore, version_of
from tui_trainer.data.npy_array import (
    NpyArray,
    array_names,
    read_array,
    read_arrays,
    shape_text,
)
from tui_trainer.protocol.config import MAX_CLASSES, MAX_IMAGE_SIZE
from tui_trainer.protocol.errors import path_error
from tui_trainer.text import fmt
from tui_trainer.text.fmt import plural, printable

SPLITS = ("train", "val", "test")
NAMES = "class_names"
SHAPES = "(N, H, W), (N, H, W, 1 or 3) or (N, 1 or 3, H, W)"
CHANNELS = (1, 3)

_VERSION = "planes 1"
"""How images are decoded; with another way, files in the cache are decoded again."""

Items = NDArray[Any]


@dataclass(frozen=True, slots=True)
class Dataset:
    """A dataset of arrays as read.

    Attributes:
        raw: The dataset.
        notes: How its numbers were turned into bytes, a line each.
    """

    raw: RawDataset
    notes: tuple[str, ...] = ()


def is_archive(place: Path) -> bool:
    """Return whether a place is an ``.npz`` file, by its name."""
    return place.suffix.lower() == ".npz" and os.path.isfile(place)


def holds_arrays(place: Path) -> bool:
    """Return whether a place is an ``.npz`` file, or a folder with one or with ``x_train.npy``."""
    return is_archive(place) or bool(_archives(place)) or "x_train.npy" in _listed(place)


def read_arrays_of(
    place: Path, *, name: str, store: ImageStore, classes: int | None = None
) -> Dataset:
    """Read a dataset of arrays.

    Args:
        place: The archive, or the folder.
        name: The name of the dataset.
        store: Keeps the images.
        classes: The number of classes; None takes that of ``class_names`` or of the labels.

    Raises:
        InputError: If arrays are missing, damaged, or no images with labels.
    """
    arrays, where = find_arrays(place)
    images = {split: _Images.of(arrays[f"x_{split}"]) for split in SPLITS if f"x_{split}" in arrays}
    _check_alike(images)
    labels = {split: _labels(arrays[f"y_{split}"], len(each)) for split, each in images.items()}
    names = _names(arrays[NAMES]) if NAMES in arrays else ()
    if names and classes not in (None, len(names)):
        raise path_error(
            where, f"--classes {classes}, but {NAMES} has {len(names)} names; leave it out"
        )
    scales = {split: scale_of(each.array) for split, each in images.items()}
    if len(set(scales.values())) > 1:
        found = ", ".join(
            f"x_{split} {_RULES[scale].partition(':')[0]}" for split, scale in scales.items()
        )
        raise path_error(where, f"images of different scales ({found}); save them in one")
    source = _Source(where, images, scales["train"])
    resident = store.fits(sum(each.size for each in images.values()))
    for each in images.values():
        if each.array.is_fortran and not resident:
            raise each.array.error(
                "too large for the memory in Fortran order; save it in C order"
                " (numpy.ascontiguousarray)"
            )
    parts = []
    together: tuple[tuple[str, ...], ...] = (("train", "val"), ("test",))
    for splits in together:
        chosen = [split for split in splits if split in images]
        pixels = source.pixels(chosen, store, resident=resident)
        numbers = array("i", [label for split in chosen for label in labels[split]])
        size, channels = images["train"].side, images["train"].channels
        parts.append(Part(pixels, numbers, size, where, where, channels))
    raw = build_dataset(
        name,
        *parts,
        classes=classes,
        class_names=names,
        val_total=len(images["val"]) if "val" in images else 0,
    )
    rule = scales["train"]
    return Dataset(raw, () if rule == BYTES else (f"its images hold {_RULES[rule]}",))


# --- find the arrays


def find_arrays(place: Path) -> tuple[dict[str, NpyArray], Path]:
    """Return the arrays of a dataset by their role, and the file or the folder with them."""
    if os.path.isdir(place):
        archives = _archives(place)
        if len(archives) > 1:
            names = fmt.listed([printable(Path(path.name)) for path in archives])
            raise path_error(place, f"more than one .npz file there ({names}); name one of them")
        if not archives:
            files = {Path(each).stem: place / each for each in _listed(place) if _is_npy(each)}
            roles = _roles(files, place)
            return {role: read_array(files[name]) for role, name in roles.items()}, place
        place = archives[0]
    roles = _roles(array_names(place), place)
    arrays = read_arrays(place, set(roles.values()).__contains__)
    return {role: arrays[name] for role, name in roles.items()}, place


def _roles(names: Iterable[str], where: Path) -> dict[str, str]:
    """Return the name of each array of a dataset; those of MedMNIST have other names."""
    known = {name.lower(): name for name in names}
    roles: dict[str, str] = {}
    for split in SPLITS:
        for role, other in ((f"x_{split}", f"{split}_images"), (f"y_{split}", f"{split}_labels")):
            for name in (role, other):
                if name in known:
                    roles.setdefault(role, known[name])
    if NAMES in known:
        roles[NAMES] = known[NAMES]
    wanted = [f"{x}_{split}" for split in SPLITS for x in "xy"]
    if not {"x_val", "y_val"} & set(roles):
        wanted = [each for each in wanted if not each.endswith("_val")]
    if missing := [each for each in wanted if each not in roles]:
        have = fmt.listed([printable(each) for each in names], 8) or "nothing"
        raise path_error(
            where, f"{', '.join(missing)} not found; it has {have}; add what is missing"
        )
    return roles


def _archives(folder: Path) -> list[Path]:
    return [folder / each for each in _listed(folder) if each.lower().endswith(".npz")]


def _is_npy(name: str) -> bool:
    return name.lower().endswith(".npy")


def _listed(folder: Path) -> list[str]:
    try:
        return sorted(each for each in os.listdir(folder) if not each.startswith("."))
    except (OSError, ValueError):
        return []


# --- images


@dataclass(frozen=True, slots=True)
class _Images:
    """The images of a split.

    Attributes:
        array: Their array.
        side: Height and width of an image.
        channels: The channels of an image.
        is_last: Whether the channels are the last axis.
    """

    array: NpyArray
    side: int
    channels: int
    is_last: bool

    @classmethod
    def of(cls, items: NpyArray) -> _Images:
        """Return images in an array.

        Raises:
            InputError: If its shape is not that of images.
        """
        shape = items.shape
        is_last = len(shape) == 4 and shape[1] not in CHANNELS
        sides = shape[1:3] if len(shape) == 3 or is_last else shape[2:]
        channels = 1 if len(shape) == 3 else shape[3 if is_last else 1] if len(shape) == 4 else 0
        if channels not in CHANNELS or items.dtype.kind not in "biuf":
            kind = "text" if items.dtype.kind in "US" else shape_text(shape)
            raise items.error(f"{kind}; needs numbers, shape {SHAPES}")
        if sides[0] != sides[1] or not MIN_SIZE <= sides[0] <= MAX_IMAGE_SIZE:
            raise items.error(
                f"images of {sides[0]:,}×{sides[1]:,} pixels; needs square images of {MIN_SIZE} to"
                f" {MAX_IMAGE_SIZE} pixels a side"
            )
        return cls(items, sides[0], channels, is_last)

    def __len__(self) -> int:
        return self.array.shape[0]

    @property
    def size(self) -> int:
        """The bytes of all images."""
        return len(self) * self.channels * self.side**2

    def planes(self, part: Items) -> Items:
        """Return images (N, channels, side, side)."""
        if part.ndim == 3:
            return part[:, None]
        return part.transpose(0, 3, 1, 2) if self.is_last else part


def _check_alike(images: Mapping[str, _Images]) -> None:
    """Check that the splits have images of the same size."""
    first = images["train"]
    for each in images.values():
        if (each.side, each.channels) != (first.side, first.channels):
            sizes = [
                f"{x.side}×{x.side} pixels, {plural(x.channels, 'channel')}" for x in (each, first)
            ]
            raise each.array.error(
                f"images of {sizes[0]}, those for training {sizes[1]}; make them alike"
            )


BYTES, BOOLEANS, UNIT, ROUNDED = 0, 1, 255, 2
_RULES = {
    BYTES: "integers from 0 to 255",
    BOOLEANS: "booleans: true becomes 255",
    UNIT: "numbers from 0 to 1: they are multiplied by 255 and rounded to bytes",
    ROUNDED: "numbers from 0 to 255: they are rounded to bytes",
}


def scale_of(items: NpyArray) -> int:
    """Return how the numbers of an array are turned into bytes.

    Bytes are taken as they are, and so are other integers from 0 to 255. True is 255. Floats from
    0 to 1 are multiplied by 255, those from 0 to 255 are not; both are rounded.

    Raises:
        InputError: If numbers are negative, above 255 or not finite.
    """
    kind = items.dtype.kind
    if kind == "b":
        return BOOLEANS
    if kind == "u" and items.dtype.itemsize == 1:
        return BYTES
    low, high = math.inf, -math.inf
    for part in items.chunks():
        if not np.isfinite(part).all():
            raise items.error("holds numbers that are not finite (NaN, infinity); replace them")
        if part.size:
            low, high = min(low, float(part.min())), max(high, float(part.max()))
    if low < 0 or high > 255:
        advice = "undo the normalization" if kind == "f" else "scale them"
        raise items.error(
            f"holds numbers from {low:.4g} to {high:.4g}; needs 0 to 255, or 0 to 1: {advice},"
            " or save the pixels as uint8"
        )
    if kind != "f":
        return BYTES
    return UNIT if high <= 1 else ROUNDED


@dataclass(frozen=True, slots=True)
class _Source:
    """Writes the images of splits, plane by plane."""

    where: Path
    images: Mapping[str, _Images]
    scale: int

    def pixels(self, splits: list[str], store: ImageStore, *, resident: bool) -> Any:
        """Return the images of some splits, one after the other."""
        chosen = [self.images[split] for split in splits]
        files = sorted({each.array.path for each in chosen})
        version = " ".join([_VERSION, str(self.scale), *(version_of(path) for path in files)])
        return store.decoded(
            self.where.absolute(),
            version,
            splits[0],
            sum(each.size for each in chosen),
            lambda view: self._write(chosen, view),
            resident=resident,
        )

    def _write(self, images: list[_Images], view: memoryview) -> None:
        side, channels = images[0].side, images[0].channels
        target = np.frombuffer(view, np.uint8).reshape(-1, channels, side, side)
        start = 0
        for each in images:
            for part in each.array.chunks():
                target[start : start + len(part)] = each.planes(self._as_bytes(part))
                start += len(part)

    def _as_bytes(self, part: Items) -> Items:
        if self.scale == BOOLEANS:
            return part.astype(np.uint8) * np.uint8(255)
        if part.dtype.kind != "f":
            return part.astype(np.uint8, copy=False)
        scaled = part.astype(np.float64) * (255 if self.scale == UNIT else 1)
        return np.rint(scaled).astype(np.uint8)


# --- labels


def _labels(items: NpyArray, total: int) -> list[int]:
    """Return the labels of ``total`` images: numbers, a column of them, or one-hot rows."""
    shape = items.shape
    if items.dtype.kind not in "biuf" or len(shape) not in (1, 2) or 0 in shape[1:]:
        kind = "text" if items.dtype.kind in "US" else f"labels of shape {shape_text(shape)}"
        raise items.error(
            f"{kind}; needs the number of each image's class, shape (N,) or one-hot (N, classes),"
            f" and their names as {NAMES}"
        )
    if shape[0] != total:
        raise items.error(
            f"{shape[0]:,} labels for {total:,} images; save those that belong together"
        )
    columns = shape[1] if len(shape) == 2 else 1
    if columns > MAX_CLASSES:
        raise items.error(f"{columns:,} columns; at most {MAX_CLASSES:,} classes")
    found: list[int] = []
    for part in items.chunks():
        if columns == 1:
            found += _whole_numbers(items, part.reshape(-1)).tolist()
            continue
        if not (((part == 0) | (part == 1)).all() and (part.sum(axis=1) == 1).all()):
            raise items.error(
                f"rows of {columns} numbers that are not one-hot (one 1, otherwise 0); needs one"
                " class for each image"
            )
        found += part.argmax(axis=1).tolist()
    return found


def _whole_numbers(items: NpyArray, part: Items) -> Items:
    whole = part if part.dtype.kind in "biu" else np.rint(part)
    # Compared as they are: unsigned 64-bit integers do not fit into signed ones.
    inside = (whole == part) & (part >= -(2**31)) & (part < 2**31)
    if not inside.all():
        odd = part[~inside][0]
        raise items.error(f"label {odd} is no class; number the classes from 0")
    return whole.astype(np.int64)


def _names(items: NpyArray) -> tuple[str, ...]:
    """Return class names: an array of text."""
    if items.dtype.kind not in "US" or len(items.shape) != 1:
        kind = "no text" if items.dtype.kind not in "US" else f"shape {shape_text(items.shape)}"
        raise items.error(f"{kind}; save the names of the classes as a list of text")
    if not 2 <= items.shape[0] <= MAX_CLASSES:
        raise items.error(f"{items.shape[0]:,} names; a dataset needs 2 to {MAX_CLASSES:,} classes")
    text = items.whole()
    if text.dtype.kind == "S":
        return tuple(each.decode("utf-8", "replace") for each in text.tolist())
    # NumPy does not check them, and a str of other numbers breaks Python.
    if (text.view(f"{text.dtype.str[0]}u4") > sys.maxunicode).any():
        raise items.error("numbers that are no characters; get the file again")
    return tuple(str(each) for each in text.tolist())
