"""Find, read and check a dataset of four files in MNIST's format."""

from __future__ import annotations

import hashlib
import os
import re
import stat
import sys
from array import array
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

from tui_trainer.data.idx_file import Part, Pixels, read_part
from tui_trainer.protocol.class_names import clean_names
from tui_trainer.protocol.config import MAX_CLASSES
from tui_trainer.protocol.errors import InputError, path_error, reason
from tui_trainer.text.fmt import plural, printable

_ROLES = {
    ("train", "images"): "train-images-idx3-ubyte",
    ("train", "labels"): "train-labels-idx1-ubyte",
    ("test", "images"): "t10k-images-idx3-ubyte",
    ("test", "labels"): "t10k-labels-idx1-ubyte",
}
_FILE_NAME = re.compile(
    r"(?P<prefix>(?:.*[-_.])?)(?P<split>train|t10k|test)[-_]"
    r"(?P<kind>images|labels)[-_.]idx[0-9]-[^.]+(?:\.gz)?",
    re.IGNORECASE,
)

Role = tuple[str, str]
"""``train`` or ``test``, then ``images`` or ``labels``."""

COMMON, FEW = 10, 0.1
"""Labels may skip a class, without being damaged, if each label occurs at least so often, and at
least this share of the median."""


@dataclass(frozen=True, slots=True)
class RawDataset:
    """Training and test images with their labels, as plain buffers that torch can wrap.

    Attributes:
        name: The name of the dataset.
        size: Height and width of an image in pixels.
        classes: The number of classes; labels are 0 to ``classes - 1``.
        train_images: Values 0 to 255, row-major: (train_total, size, size) unsigned bytes, or
            (train_total, channels, size, size) with several channels: red, green, blue.
        train_labels: One label per image, 32-bit integers (typecode ``i``).
        test_images: As ``train_images``.
        test_labels: As ``train_labels``.
        channels: The channels of an image, 1 or 3.
        class_names: The names of the classes; empty if they have only numbers.
        val_total: How many of the training images, the last ones, the dataset has for validation;
            0 if it leaves the choice to us.
        fit: How pictures of other sizes were brought to this one, see
            :data:`tui_trainer.protocol.config.FITS`; empty for images of one size.
    """

    name: str
    size: int
    classes: int
    # Kept out of the repr: it would be megabytes of text in every traceback.
    train_images: Pixels = field(repr=False)
    train_labels: array[int] = field(repr=False)
    test_images: Pixels = field(repr=False)
    test_labels: array[int] = field(repr=False)
    channels: int = field(default=1, repr=False)
    class_names: tuple[str, ...] = field(default=(), repr=False)
    val_total: int = field(default=0, repr=False)
    fit: str = field(default="", repr=False)

    @property
    def image_shape(self) -> tuple[int, ...]:
        """The shape of an image: (size, size), or (channels, size, size) with several channels."""
        return (self.size, self.size) if self.channels == 1 else (self.channels, *[self.size] * 2)

    @property
    def train_total(self) -> int:
        """The number of training images."""
        return len(self.train_labels)

    @property
    def test_total(self) -> int:
        """The number of test images."""
        return len(self.test_labels)


def content_digest(raw: RawDataset) -> str:
    """Return a SHA-256 digest of a dataset's images, labels and sizes, as 64 hexadecimal digits.

    It does not depend on the name, the folder, the file names or the compression: two datasets with
    the same digest train the same model.
    """
    digest = hashlib.sha256()
    sizes = f"{raw.size} {raw.classes} {raw.train_total} {raw.test_total}"
    if raw.channels > 1:
        sizes += f" {raw.channels} channels"
    if raw.val_total:
        sizes += f" {raw.val_total} for validation"
    digest.update(sizes.encode())
    for labels, images in (
        (raw.train_labels, raw.train_images),
        (raw.test_labels, raw.test_images),
    ):
        if sys.byteorder == "big":
            labels = array("i", labels)
            labels.byteswap()
        digest.update(labels)
        digest.update(images)
    return digest.hexdigest()


def read_folder(folder: Path, *, name: str, classes: int | None = None) -> RawDataset:
    """Read the dataset in a folder.

    The four files may be gzipped, and are in the folder itself, in its ``raw`` or in the ``raw`` of
    a subfolder (torchvision's layout). They have the names of MNIST's files, with ``-`` or ``.``
    before ``idx``, ``t10k`` or ``test``, in any case, with any common prefix. Of a plain and a
    gzipped file, the plain one is read. Images from EMNIST's files (prefix ``emnist-``), which are
    stored transposed, are returned upright.

    Args:
        folder: The folder.
        name: The name of the dataset.
        classes: The number of classes; None infers it from the highest training label, if labels
            that never occur do not indicate damage. Labels that start at 1 are shifted to start at
            0, unless they fit ``classes`` unchanged.

    Raises:
        InputError: If the folder has no dataset, or more than one, or if a file cannot be read, is
            damaged or is not an IDX file. No content raises any other error.
    """
    files = find_files(folder)
    train = read_part(files["train", "images"], files["train", "labels"])
    test = read_part(files["test", "images"], files["test", "labels"])
    return build_dataset(name, train, test, classes=classes)


def build_dataset(
    name: str,
    train: Part,
    test: Part,
    *,
    classes: int | None,
    class_names: Sequence[str] = (),
    val_total: int = 0,
) -> RawDataset:
    """Build a dataset from its two splits, after checking that they fit and their labels are valid.

    Args:
        name: The name of the dataset.
        train: The training split; at least 2 images, without those for validation.
        test: The test split; at least 1 image.
        classes: As for :func:`read_folder`.
        class_names: The names of the classes, as the dataset has them; empty without names.
        val_total: How many images at the end of ``train`` the dataset has for validation.

    Raises:
        InputError: If they do not fit; the message names the file.
    """
    for part, what, least in ((train, "training image", 2), (test, "test image", 1)):
        total = len(part.labels) - (val_total if part is train else 0)
        if total < least:
            have = plural(total, what)
            raise path_error(part.images_file, f"{have}; at least {least} needed")
    if train.size != test.size:
        sizes = f"{test.size}×{test.size} pixels, the training images {train.size}×{train.size}"
        raise path_error(
            test.images_file, f"the test images have {sizes}; use files of one dataset"
        )
    total, first = label_range(train, test, len(class_names) or classes)
    return RawDataset(
        name=name,
        size=train.size,
        classes=total,
        train_images=train.images,
        train_labels=array("i", (label - first for label in train.labels)),
        test_images=test.images,
        test_labels=array("i", (label - first for label in test.labels)),
        channels=train.channels,
        class_names=clean_names(class_names),
        val_total=val_total,
    )


# --- find the files


def find_files(folder: Path) -> dict[Role, Path]:
    """Return the file of each role of the one dataset in ``folder``.

    :func:`read_folder` describes where they may be and which names they may have.

    Raises:
        InputError: If the folder cannot be read, or has no dataset, or more than one.
    """
    found: dict[tuple[Path, str], dict[Role, list[Path]]] = {}
    for place in _places(folder):
        for path, match in _idx_files(place):
            split = "train" if match["split"].lower() == "train" else "test"
            roles = found.setdefault((place, match["prefix"]), {})
            role = (split, match["kind"].lower())
            roles.setdefault(role, []).append(path)
    if not found:
        names = f"{', '.join(_ROLES.values())}, each also with .gz or a prefix"
        raise path_error(
            folder, f"no MNIST-format files there; looked for {names}, also in raw and */raw"
        )
    complete = [key for key, roles in found.items() if len(roles) == len(_ROLES)]
    if len(complete) > 1:
        names = ", ".join(printable(place / f"{prefix}*") for place, prefix in complete)
        raise path_error(
            folder, f"more than one dataset there ({names}); name a folder that holds one"
        )
    place, prefix = complete[0] if complete else max(found, key=lambda key: len(found[key]))
    roles = found[place, prefix]
    if missing := [printable(prefix + name) for role, name in _ROLES.items() if role not in roles]:
        raise path_error(
            place, f"{', '.join(missing)} not found (plain or .gz); add what is missing"
        )
    return {role: _pick(paths) for role, paths in roles.items()}


def holds_idx_files(folder: Path) -> bool:
    """Return whether a folder has files with the names of MNIST's, or some of them."""
    try:
        return any(True for place in _places(folder) for _ in _idx_files(place))
    except InputError:
        return False


def _idx_files(place: Path) -> Iterator[tuple[Path, re.Match[str]]]:
    for path in _listed(place):
        match = _FILE_NAME.fullmatch(path.name)
        # A hidden file is not data: macOS writes "._NAME" next to every NAME.
        if match is not None and not path.name.startswith("."):
            yield path, match


def _places(folder: Path) -> list[Path]:
    """Return the folders in which the files may be."""
    inner = [folder / "raw", *(path / "raw" for path in files_in(folder))]
    return [folder, *(path for path in inner if os.path.isdir(path))]


def files_in(folder: Path, advice: str = "name the folder of the files") -> list[Path]:
    """Return what is in a data folder, sorted; ``advice`` is for something that is no folder.

    Raises:
        InputError: If it cannot be listed.
    """
    try:
        is_folder = stat.S_ISDIR(folder.stat().st_mode)
    except FileNotFoundError as error:
        raise path_error(folder, "no such folder; check the path") from error
    except (OSError, ValueError) as error:
        raise path_error(folder, f"{reason(error)}; check the path") from error
    if not is_folder:
        raise path_error(folder, f"not a folder; {advice}")
    return _listed(folder)


def _listed(folder: Path) -> list[Path]:
    try:
        return sorted(folder.iterdir())
    except OSError as error:
        why = reason(error)
        raise path_error(
            folder, f"cannot list it: {why}; check the folder's permissions"
        ) from error


def _pick(paths: list[Path]) -> Path:
    """Return the file of a role: a file before a folder, a plain one before its .gz."""
    # Some unpackers create a folder with the name of the file that they put into it.
    files = [path for path in paths if os.path.isfile(path)] or paths
    chosen = [
        path for path in files if path.suffix.lower() != ".gz" or path.with_suffix("") not in files
    ]
    if len(chosen) > 1:
        names = ", ".join(printable(Path(path.name)) for path in chosen)
        raise path_error(chosen[0].parent, f"{names} have the same role; move all but one away")
    return chosen[0]


# --- check the labels


def label_range(train: Part, test: Part, classes: int | None) -> tuple[int, int]:
    """Return the number of classes and the label of the first class."""
    seen, seen_in_test = Counter(train.labels), Counter(test.labels)
    highest = max(seen)
    from_one = min(seen) == 1 and min(seen_in_test) >= 1
    # With a given number of classes, labels from 1 fit unchanged unless the last is one too many.
    first = 1 if from_one and classes in (None, highest) else 0
    if classes is None:
        _refuse_gaps(seen, first, train.labels_file)
    total = highest + 1 - first if classes is None else classes
    if not 2 <= total <= MAX_CLASSES:
        have = plural(total, "class", "es")
        raise path_error(train.labels_file, f"{have}; a dataset needs 2 to {MAX_CLASSES:,}")
    last = first + total - 1
    for counts, part in ((seen, train), (seen_in_test, test)):
        outside = [label for label in counts if not first <= label <= last]
        if outside:
            wild = f"label {min(outside)} occurs {plural(counts[min(outside)], 'time')}"
            advice = "get the file again" if classes is None else "check --classes"
            raise path_error(
                part.labels_file,
                f"{wild}, outside {first} to {last}, the {total:,} classes; {advice}",
            )
    return total, first


def _refuse_gaps(seen: Counter[int], first: int, path: Path) -> None:
    """Refuse training labels with gaps as damaged: one corrupted byte looks like that.

    If all labels are frequent and more than half of the classes occur, the data just lacks a class.
    """
    missing = first
    while missing in seen:
        missing += 1
    wild = min((label for label in seen if label < 0 or label > missing), default=None)
    if wild is None:
        return
    if wild > 0 and _is_hole(seen):
        return
    why = "labels start at 0" if wild < 0 else f"label {missing} never does"
    hint = ""
    if min(seen) >= 0 and max(seen) < MAX_CLASSES:
        hint = f", or give --classes {max(seen) + 1} if the data really lacks a class"
    times = plural(seen[wild], "time")
    raise path_error(path, f"label {wild} occurs {times}, but {why}; get the file again{hint}")


def _is_hole(seen: Counter[int]) -> bool:
    """Return whether labels skip classes on purpose, as those of Sign Language MNIST do."""
    least = max(COMMON, FEW * median(seen.values()))
    return min(seen.values()) >= least and min(seen) >= 0 and max(seen) < 2 * len(seen)
