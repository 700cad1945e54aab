"""The files of a run's data folder, for its program."""

from __future__ import annotations

import gzip
from pathlib import Path

from tui_trainer.cli.moved_paths import check_data_path
from tui_trainer.data.binary_files import formats_in
from tui_trainer.data.class_folders import find_pictures
from tui_trainer.data.found_pictures import Watch
from tui_trainer.data.idx import find_files, holds_idx_files, label_range
from tui_trainer.data.idx_file import read_part
from tui_trainer.data.npz_files import (
    BOOLEANS,
    CHANNELS,
    ROUNDED,
    UNIT,
    find_arrays,
    holds_arrays,
    is_archive,
    scale_of,
)
from tui_trainer.export.source_code.recipe import (
    AnyFiles,
    ArrayFiles,
    BinaryFiles,
    DataFiles,
    PictureFolders,
)
from tui_trainer.protocol.config import RunConfig


def data_files(config: RunConfig, classes: int) -> tuple[AnyFiles, bool]:
    """Return the files of the folder of data, and whether it has validation images.

    Raises:
        InputError: If they cannot be read.
    """
    check_data_path(config)
    folder = Path(config.data_dir or "").expanduser()
    if not is_archive(folder):
        if holds_idx_files(folder):
            return _idx_files(folder, config.classes), False
        if (found := next(formats_in(folder), None)) is not None:
            kind, place = found
            inner = place.relative_to(folder).as_posix()
            prefix = "" if inner == "." else f"{inner}/"
            train = tuple(prefix + name for name in kind.train)
            first = 0 if kind.label_bytes else 1
            files = BinaryFiles(train, prefix + kind.test, kind.size, kind.label_bytes, first)
            return files, False
    if holds_arrays(folder):
        return _arrays(folder, classes)
    return _picture_folders(folder, config.fit)


def _idx_files(folder: Path, classes: int | None) -> DataFiles:
    files = find_files(folder)
    roles = [(s, k) for s in ("train", "test") for k in ("images", "labels")]
    paths = [files[role] for role in roles]
    train, test = read_part(*paths[:2]), read_part(*paths[2:])
    _, first = label_range(train, test, classes)
    names = [path.relative_to(folder).as_posix() for path in paths]
    (_, image_dimensions), (kind, label_dimensions) = _header(paths[0]), _header(paths[1])
    return DataFiles(
        names=(names[0], names[1], names[2], names[3]),
        first_label=first,
        is_transposed=paths[0].name.lower().startswith("emnist-"),
        has_wide_labels=kind not in (0x08, 0x09),
        has_label_columns=label_dimensions > 1,
        has_channels=image_dimensions > 3,
    )


def _header(path: Path) -> tuple[int, int]:
    """Return the type of the numbers in an IDX file, and the number of dimensions."""
    with gzip.open(path) if path.suffix.lower() == ".gz" else path.open("rb") as file:
        _, _, kind, dimensions = file.read(4)
    return kind, dimensions


_SCALED = {
    BOOLEANS: "images * np.uint8(255)",
    UNIT: "np.rint(images.astype(np.float64) * 255).astype(np.uint8)",
    ROUNDED: "np.rint(images).astype(np.uint8)",
}


def _arrays(place: Path, classes: int) -> tuple[ArrayFiles, bool]:
    arrays, where = find_arrays(place)
    images, labels = arrays["x_train"], arrays["y_train"]
    shape = images.shape
    scaled = _SCALED.get(scale_of(images), "")
    if not scaled and images.dtype.itemsize > 1:
        scaled = "images.astype(np.uint8)"
    is_one_hot = len(labels.shape) == 2 and labels.shape[1] > 1
    first = 0
    if not is_one_hot:
        train, test = (arrays[name].whole() for name in ("y_train", "y_test"))
        # As label_range has it.
        first = int(train.min() == 1 and test.min() >= 1 and train.max() == classes)
    archive = None if where.is_dir() else ("" if place == where else where.name)
    files = ArrayFiles(
        archive=archive,
        names={role: each.name for role, each in arrays.items()},
        is_last=len(shape) == 4 and shape[1] not in CHANNELS,
        scaled=scaled,
        is_one_hot=is_one_hot,
        first_label=first,
    )
    return files, "x_val" in arrays


def _picture_folders(folder: Path, fit: str) -> tuple[PictureFolders, bool]:
    found = find_pictures(folder, Watch())
    splits = {
        split: "" if place == folder else place.relative_to(folder).as_posix()
        for split, place in found.places.items()
    }
    return PictureFolders(found.classes, splits, fit), bool(found.val)
