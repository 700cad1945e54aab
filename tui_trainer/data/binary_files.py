"""Read the binary files of CIFAR-10, CIFAR-100 and STL-10.

A record of CIFAR-10 is a label and 3,072 bytes: the red, green and blue plane of an image, each
row-major; one of CIFAR-100 has the label of the superclass before it (A. Krizhevsky, "Learning
Multiple Layers of Features from Tiny Images", 2009). STL-10's files hold images or labels alone,
labels 1 to 10, planes column-major (A. Coates, H. Lee, A. Y. Ng, "An Analysis of Single-Layer
Networks in Unsupervised Feature Learning", AISTATS 2011).
"""

from __future__ import annotations

import os
from array import array
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tui_trainer.data.idx import RawDataset, build_dataset
from tui_trainer.data.idx_file import MAX_BYTES, Part, opened
from tui_trainer.data.image_store import ImageStore, version_of
from tui_trainer.protocol.errors import InputError, path_error
from tui_trainer.text import fmt
from tui_trainer.text.fmt import plural

Bytes = NDArray[np.uint8]

MAX_NAMES_BYTES = 1 << 16
"""The most bytes of a file of class names that are read."""

PICKLES = (
    "these are CIFAR's Python files (pickles); reading such a file can run code that is in it. Use"
    " --dataset {name}, which downloads the binary files, or unpack {archive} there"
)


@dataclass(frozen=True, slots=True)
class BinaryFormat:
    """The files of a dataset.

    Attributes:
        name: The name of the dataset, as in ``--dataset``.
        folder: The folder in its archive.
        archive: The name of its archive.
        train: The files of the training images, in order.
        test: The file of the test images.
        names_file: The file of the class names, a line each; may be missing.
        class_names: The names as published.
        size: Height and width of an image in pixels.
        label_bytes: The bytes before each image; the last is the label. 0: labels are in
            separate files, ``_y`` in place of ``_X``.
        python_folder: The folder in the archive of the same dataset as pickles.
        pickles: The files in it.
    """

    name: str
    folder: str
    archive: str
    train: tuple[str, ...]
    test: str
    names_file: str
    class_names: tuple[str, ...] = field(repr=False)
    size: int = 32
    label_bytes: int = 1
    python_folder: str = ""
    pickles: tuple[str, ...] = ()

    @property
    def images(self) -> tuple[str, ...]:
        """The files with images."""
        return (*self.train, self.test)

    @property
    def files(self) -> tuple[str, ...]:
        """All files that are read, without that of the class names."""
        if self.label_bytes:
            return self.images
        return tuple(file for name in self.images for file in (name, labels_of(name)))


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


CIFAR10 = BinaryFormat(
    "cifar10",
    "cifar-10-batches-bin",
    "cifar-10-binary.tar.gz",
    tuple(f"data_batch_{number}.bin" for number in range(1, 6)),
    "test_batch.bin",
    "batches.meta.txt",
    _words("airplane automobile bird cat deer dog frog horse ship truck"),
    python_folder="cifar-10-batches-py",
    pickles=("data_batch_1", "test_batch"),
)
CIFAR100 = BinaryFormat(
    "cifar100",
    "cifar-100-binary",
    "cifar-100-binary.tar.gz",
    ("train.bin",),
    "test.bin",
    "fine_label_names.txt",
    _words(
        """
        apple aquarium_fish baby bear beaver bed bee beetle bicycle bottle bowl boy bridge bus
        butterfly camel can castle caterpillar cattle chair chimpanzee clock cloud cockroach couch
        crab crocodile cup dinosaur dolphin elephant flatfish forest fox girl hamster house kangaroo
        keyboard lamp lawn_mower leopard lion lizard lobster man maple_tree motorcycle mountain
        mouse mushroom oak_tree orange orchid otter palm_tree pear pickup_truck pine_tree plain
        plate poppy porcupine possum rabbit raccoon ray road rocket rose sea seal shark shrew skunk
        skyscraper snail snake spider squirrel streetcar sunflower sweet_pepper table tank telephone
        television tiger tractor train trout tulip turtle wardrobe whale willow_tree wolf woman worm
        """
    ),
    label_bytes=2,
    python_folder="cifar-100-python",
    pickles=("train", "test", "meta"),
)
STL10 = BinaryFormat(
    "stl10",
    "stl10_binary",
    "stl10_binary.tar.gz",
    ("train_X.bin",),
    "test_X.bin",
    "class_names.txt",
    _words("airplane bird car cat deer dog horse monkey ship truck"),
    size=96,
    label_bytes=0,
)
BINARY_FORMATS = (CIFAR10, CIFAR100, STL10)


def labels_of(images: str) -> str:
    """Return the name of the file with the labels of a file with images alone."""
    return images.replace("_X", "_y")


def holds_binary_files(folder: Path) -> bool:
    """Return whether a folder has files of one of the formats, or pickles of the same datasets."""
    return any(True for _ in formats_in(folder)) or _pickled(folder) is not None


def read_binary_folder(
    folder: Path, *, name: str, store: ImageStore, classes: int | None = None
) -> RawDataset:
    """Read the dataset in a folder of binary files, or in the folder in it that its archive has.

    Args:
        folder: The folder.
        name: The name of the dataset.
        store: Keeps the images.
        classes: The number of classes; None takes that of the dataset.

    Raises:
        InputError: If the folder has none, or several, or if a file cannot be read or is damaged.
    """
    found = list(formats_in(folder))
    if len(found) > 1:
        names = " and ".join(f"{kind.name} ({fmt.printable(place)})" for kind, place in found)
        raise path_error(folder, f"has {names}; name a folder that holds one")
    if not found:
        kind = _pickled(folder) or CIFAR10
        raise path_error(folder, PICKLES.format(name=kind.name, archive=kind.archive))
    return read_binary_files(*found[0], name=name, store=store, classes=classes)


def read_binary_files(
    kind: BinaryFormat, place: Path, *, name: str, store: ImageStore, classes: int | None = None
) -> RawDataset:
    """Read the files of a format in a folder.

    Raises:
        InputError: If a file is missing, cannot be read or is damaged.
    """
    present = set(_listed(place))
    if missing := [each for each in kind.files if each not in present]:
        advice = f"add what is missing, it is in {kind.archive}"
        raise path_error(place, f"{fmt.listed(missing, 8)} not found; {advice}")
    names = kind.class_names
    if kind.names_file in present:
        names = _read_names(place / kind.names_file, len(names))
    if classes not in (None, len(names)):
        raise InputError(f"--classes {classes}: {kind.name} has {len(names)} classes; leave it out")
    readers = [
        _Reader(kind, tuple(place / each for each in files)) for files in (kind.train, (kind.test,))
    ]
    resident = store.fits(sum(reader.size for reader in readers))
    train, test = (
        reader.part(store, which, resident=resident)
        for reader, which in zip(readers, ("train", "test"), strict=True)
    )
    return build_dataset(name, train, test, classes=classes, class_names=names)


def formats_in(folder: Path) -> Iterator[tuple[BinaryFormat, Path]]:
    """Yield the formats whose files a folder, or the folder of their archive in it, has."""
    for kind in BINARY_FORMATS:
        for place in (folder, folder / kind.folder):
            if not set(_listed(place)).isdisjoint(kind.images):
                yield kind, place


def _pickled(folder: Path) -> BinaryFormat | None:
    """Return the format of which a folder has the pickles."""
    for kind in BINARY_FORMATS:
        for place in (folder, folder / kind.python_folder):
            files = [place / each for each in kind.pickles]
            if files and all(os.path.isfile(file) for file in files):
                return kind
    return None


def _listed(folder: Path) -> list[str]:
    try:
        return os.listdir(folder)
    except (OSError, ValueError):
        return []


def _read_names(path: Path, classes: int) -> tuple[str, ...]:
    with opened(path) as stream:
        text = stream.read(MAX_NAMES_BYTES).decode("utf-8", "replace")
    names = [line.strip() for line in text.strip().splitlines()]
    if len(names) != classes:
        raise path_error(
            path, f"names {plural(len(names), 'class', 'es')}, not {classes}; get the file again"
        )
    return tuple(names)


class _Reader:
    """Reads the images and labels of a split.

    Raises:
        InputError: From the constructor, if a file cannot be read or has the wrong size.
    """

    def __init__(self, kind: BinaryFormat, files: tuple[Path, ...]) -> None:
        self._kind, self._files = kind, files
        self._area = 3 * kind.size**2
        self._counts = [_rows(file, kind.label_bytes + self._area) for file in files]

    @property
    def size(self) -> int:
        """The bytes of all images."""
        return sum(self._counts) * self._area

    def part(self, store: ImageStore, which: str, *, resident: bool) -> Part:
        """Read the split."""
        labels, labels_file = self._labels()
        version = " ".join(version_of(file) for file in self._files)
        pixels = store.decoded(
            *(self._files[0].absolute(), version, which, self.size, self._write), resident=resident
        )
        return Part(
            *(pixels, array("i", labels), self._kind.size, self._files[0], labels_file), channels=3
        )

    def _labels(self) -> tuple[list[int], Path]:
        first, place = self._files[0], self._kind.label_bytes - 1
        if place >= 0:
            found = [
                _read(file, self._kind.label_bytes + self._area)[:, place] for file in self._files
            ]
            return np.concatenate(found).tolist(), first
        path = first.with_name(labels_of(first.name))
        labels = _read(path, 1)
        if len(labels) != self._counts[0]:
            counts = f"{plural(len(labels), 'label')} for {plural(self._counts[0], 'image')}"
            raise path_error(
                path, f"{counts} in {fmt.printable(first)}; use files that belong together"
            )
        return labels[:, 0].tolist(), path

    def _write(self, view: memoryview) -> None:
        """Write all images, plane by plane."""
        side, labels = self._kind.size, self._kind.label_bytes
        images = np.frombuffer(view, np.uint8).reshape(-1, 3, side, side)
        start = 0
        for file, count in zip(self._files, self._counts, strict=True):
            rows = _read(file, labels + self._area)
            if len(rows) != count:
                raise path_error(file, "the file changed while it was being read; try again")
            planes = rows[:, labels:].reshape(-1, 3, side, side)
            images[start : start + count] = planes if labels else planes.swapaxes(2, 3)
            start += count


def _rows(path: Path, length: int) -> int:
    """Return the number of rows of ``length`` bytes in a file."""
    with opened(path):
        size = path.stat().st_size
    if size > MAX_BYTES:
        raise path_error(path, f"more than {MAX_BYTES:,} bytes; get the file again")
    if not size:
        raise path_error(path, "the file is empty; get it again")
    if size % length:
        what = "labels" if length == 1 else f"images, {length:,} bytes each"
        raise path_error(
            path, f"{size:,} bytes are not a whole number of {what}; get the file again"
        )
    return size // length


def _read(path: Path, length: int) -> Bytes:
    """Return the content of a file as rows of ``length`` bytes."""
    count = _rows(path, length)
    with opened(path) as stream:
        content = stream.read(count * length)
    if len(content) < count * length:
        raise path_error(path, "the file changed while it was being read; try again")
    return np.frombuffer(content, np.uint8).reshape(count, length)
