"""The formats that a folder of data can have, in the order in which they are recognized.

To add one: a :class:`FolderFormat` in :data:`FORMATS`.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Generator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from tui_trainer.data.binary_files import holds_binary_files, read_binary_folder
from tui_trainer.data.class_folders import holds_classes
from tui_trainer.data.found_pictures import entries_of, holds_pictures, is_class
from tui_trainer.data.idx import RawDataset, files_in, holds_idx_files, read_folder
from tui_trainer.data.image_store import store_for
from tui_trainer.data.matlab_file import holds_svhn, read_svhn
from tui_trainer.data.npz_files import holds_arrays, is_archive, read_arrays_of
from tui_trainer.protocol.config import SETTINGS, RunConfig
from tui_trainer.protocol.errors import InputError, path_error
from tui_trainer.protocol.events import DatasetWarning, DecodeProgress, DownloadProgress
from tui_trainer.protocol.settings import option_of
from tui_trainer.text.fmt import printable

Reading = Generator[DownloadProgress | DecodeProgress | DatasetWarning, None, RawDataset]
"""Progress and warnings, then the dataset."""

OF_PICTURES = ("image_size", "fit", "channels")
"""The settings of a folder of pictures of any size."""


ARCHIVES = (".zip", ".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz", ".7z", ".rar")
"""The ends of the names of archives that hold whole folders."""

DEEPEST, MOST = 3, 100
"""How far, and in how many folders of one depth, data are looked for below a folder without."""

NOT_READ = (
    "it also has folders of pictures, which are not read; to train on them, give them a folder"
    " without other data. It is read as"
)
"""The warning about two kinds of data in one folder."""


@dataclass(frozen=True, slots=True)
class FolderFormat:
    """A format of a folder.

    Attributes:
        what: What the folder holds, for messages.
        recognizes: Whether a folder has the format, by its names; never raises. A folder with a
            part of it has the format: ``read`` says what is missing.
        read: Read the dataset in the folder.
        is_of_pictures: Whether it takes the settings of :data:`OF_PICTURES`.
        is_file: Whether a place is a file with the whole dataset, by its name.
    """

    what: str
    recognizes: Callable[[Path], bool]
    read: Callable[[Path, RunConfig], Reading]
    is_of_pictures: bool = False
    is_file: Callable[[Path], bool] = lambda place: False


def read_data_folder(folder: Path, config: RunConfig) -> Reading:
    """Read the dataset in a folder, in the first of :data:`FORMATS` that it has.

    Raises:
        InputError: If there is no such folder, if it has none of the formats, or if its files are
            unusable.
    """
    if not any(each.is_file(folder) for each in FORMATS):
        unpack = "unpack it, and " if folder.name.casefold().endswith(ARCHIVES) else ""
        files_in(folder, f"{unpack}name the folder of the files, or an .npz file")
    for each in FORMATS:
        if each.recognizes(folder):
            if not each.is_of_pictures:
                refuse_picture_settings(config, each.what)
                if holds_classes(folder):
                    yield DatasetWarning(folder=str(folder), message=f"{NOT_READ}: {each.what}")
            try:
                return (yield from each.read(folder, config))
            except InputError as error:
                if not each.is_of_pictures:
                    raise
                raise InputError(f"{error}{_below(folder)}") from error
    known = "; ".join(each.what for each in FORMATS)
    raise path_error(folder, f"holds no data to train on; looked for: {known}{_below(folder)}")


def _below(folder: Path) -> str:
    """Return which folder below has data, for a message: archives often have one more around it."""
    if holds_classes(folder):
        return ""
    places = [folder]
    for _ in range(DEEPEST):
        places = [Path(entry.path) for place in places for entry in _folders_in(place)][:MOST]
        data = [place for place in places if _has_data(place)]
        if data:
            return f"; {printable(str(data[0]))} has data: name it instead"
    packed = [each.name for each in entries_of(folder) if each.name.casefold().endswith(ARCHIVES)]
    return f"; unpack {printable(packed[0])}, and name its folder" if packed else ""


def _folders_in(place: Path) -> list[os.DirEntry[str]]:
    with suppress(InputError):
        return list(filter(is_class, entries_of(place)))
    return []


def _has_data(place: Path) -> bool:
    return holds_classes(place) or any(
        each.recognizes(place) for each in FORMATS if not each.is_of_pictures
    )


def refuse_picture_settings(config: RunConfig, what: str) -> None:
    """Refuse settings that data of one size do not take.

    Raises:
        InputError: If one of :data:`OF_PICTURES` is set.
    """
    for name in OF_PICTURES:
        value = getattr(config, name)
        if value != SETTINGS[name].default:
            raise InputError(
                f"{option_of(name)} {value}: is for folders of pictures; the images of {what} "
                "have one size and depth; leave it out"
            )


def _read_idx(folder: Path, config: RunConfig) -> Reading:
    from tui_trainer.data.dataset_warnings import dataset_warnings

    raw = read_folder(folder, name=folder.name or str(folder), classes=config.classes)
    for warning in dataset_warnings(raw):
        yield DatasetWarning(folder=str(folder), message=warning)
    return raw


def _read_arrays(place: Path, config: RunConfig) -> Reading:
    from tui_trainer.data.dataset_warnings import dataset_warnings

    store, name = store_for(config.memory_share), place.stem or str(place)
    found = read_arrays_of(place, name=name, store=store, classes=config.classes)
    by_hand = "save x_train.swapaxes(1, 2)"
    for warning in (*found.notes, *dataset_warnings(found.raw, to_transpose=by_hand)):
        yield DatasetWarning(folder=str(place), message=warning)
    return found.raw


def _read_binary(folder: Path, config: RunConfig) -> Reading:
    from tui_trainer.data.dataset_warnings import dataset_warnings

    read = read_svhn if holds_svhn(folder) else read_binary_folder
    store, name = store_for(config.memory_share), folder.name or str(folder)
    raw = read(folder, name=name, store=store, classes=config.classes)
    for warning in dataset_warnings(raw):
        yield DatasetWarning(folder=str(folder), message=warning)
    return raw


def _read_pictures(folder: Path, config: RunConfig) -> Reading:
    from tui_trainer.data.picture_folder import read_class_folders

    return read_class_folders(folder, config)


FORMATS = (
    FolderFormat("MNIST-format IDX files (train-images-idx3-ubyte, …)", holds_idx_files, _read_idx),
    FolderFormat(
        "files of CIFAR-10, CIFAR-100 (data_batch_1.bin, train.bin, …), STL-10 or SVHN",
        lambda folder: holds_binary_files(folder) or holds_svhn(folder),
        _read_binary,
    ),
    FolderFormat(
        "NumPy arrays in an .npz file, or .npy files (x_train, y_train, x_test, y_test)",
        holds_arrays,
        _read_arrays,
        is_file=is_archive,
    ),
    FolderFormat(
        "pictures in a folder for each class (train/CLASS/*, or CLASS/*)",
        holds_pictures,
        _read_pictures,
        is_of_pictures=True,
    ),
)
"""The formats, in the order in which they are looked for."""
