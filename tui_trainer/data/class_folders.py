"""Find the pictures in folders of classes: ``train/cat/1.png``, or ``cat/1.png`` in a single tree.

Only names are read here, never a file. Links to files are followed, and links to the folders of
splits and classes; other links to folders are not, so that no link leads in a circle.
"""

from __future__ import annotations

import hashlib
import os
import stat
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from tui_trainer.protocol.config import MAX_CLASSES
from tui_trainer.protocol.errors import InputError, path_error, reason
from tui_trainer.text import fmt
from tui_trainer.text.fmt import plural, printable

SPLITS = {
    "train": ("train", "training"),
    "val": ("val", "valid", "validation"),
    "test": ("test", "testing"),
}
"""The names of the folders of each split, in any case."""

SUFFIXES = frozenset(
    f".{name}"
    for name in (
        *("png", "apng", "jpg", "jpeg", "jpe", "jfif", "webp", "bmp", "dib", "tif", "tiff"),
        *("gif", "pgm", "ppm", "pbm", "pnm"),
    )
)
"""The ends of the names of pictures, in any case."""

FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "DIB", "TIFF", "GIF", "PPM")
"""The formats that are read, as Pillow calls them; JPEG includes MPO."""

_NO_DATA = frozenset(
    {"__macosx", "@eadir", "lost+found", "thumbs.db", "ehthumbs.db", "desktop.ini", "icon\r"}
)
_TEXTS = frozenset(
    f".{name}"
    for name in (
        *("txt", "md", "rst", "csv", "tsv", "json", "jsonl", "xml", "yaml", "yml", "toml", "html"),
        *("htm", "pdf", "log", "ini", "db", "py", "ipynb", "sh", "bat", "pkl", "npy", "npz"),
    )
)
_NAMES_OF_TEXTS = frozenset({"readme", "license", "copying", "changelog", "authors"})

DEEPEST = 32
"""The most folders inside one another below a class."""

TEST_SHARE = 6
"""Of a single tree, one in six pictures of a class is for the test."""

FIRST = 3
"""The most names in a message; all others are counted."""


_Picture = tuple[str, str, tuple[int, int, int]]
"""The first fields of :class:`Found`."""


class Found(NamedTuple):
    """A picture in a folder.

    Attributes:
        path: The file.
        name: Its path below the folder of the data.
        version: Its size and times; they change with its content.
        label: The number of its class.
    """

    path: str
    name: str
    version: tuple[int, int, int]
    label: int


class Excluded(NamedTuple):
    """A file or folder that is left out, and the reason."""

    name: str
    why: str


@dataclass(slots=True)
class Watch:
    """What is shared with the thread that shows the progress."""

    done: int = 0
    total: int = 0
    is_over: bool = False

    def count(self, number: int = 1) -> None:
        """Count what is done.

        Raises:
            InterruptedError: If the result is not wanted any more.
        """
        self.done += number
        if self.is_over:
            raise InterruptedError("stopped")


@dataclass(slots=True)
class ClassFolders:
    """The pictures of each split, sorted by class and name.

    Attributes:
        classes: The names of the classes as torchvision's ``ImageFolder`` numbers them: sorted.
        train: The training pictures.
        val: The validation pictures; empty without a folder for them.
        test: The test pictures.
        has_test: Whether there is a folder of test pictures; otherwise they are from the tree.
        places: The folder of each split that has one, by ``train``, ``val`` and ``test``.
        excluded: What is left out.
        warnings: Further lines to show, one for each problem.
    """

    classes: tuple[str, ...] = ()
    train: list[Found] = field(default_factory=list)
    val: list[Found] = field(default_factory=list)
    test: list[Found] = field(default_factory=list)
    has_test: bool = True
    places: dict[str, Path] = field(default_factory=dict)
    excluded: list[Excluded] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)

    @property
    def pictures(self) -> list[Found]:
        """All pictures: training, validation, test."""
        return [*self.train, *self.val, *self.test]


def holds_pictures(folder: Path) -> bool:
    """Return whether there are pictures in a folder, or at most three folders below it."""
    left = [(str(folder), 3)]
    for _ in range(20_000):
        if not left:
            return False
        place, depth = left.pop()
        with suppress(OSError), os.scandir(place) as entries:
            for entry in entries:
                if _is_no_data(entry.name):
                    continue
                if not entry.is_dir():
                    if _suffix(entry.name) in SUFFIXES:
                        return True
                elif depth:
                    left.append((entry.path, depth - 1))
    return False


def holds_classes(folder: Path) -> bool:
    """Return whether two folders, or two in a folder ``train``, have pictures; never raises."""
    try:
        inner = [entry for entry in _entries(folder) if _is_class(entry)]
        trains = [entry for entry in inner if entry.name.casefold() in SPLITS["train"]]
        groups = [inner, *(filter(_is_class, _entries(Path(entry.path))) for entry in trains)]
        return any(sum(map(_has_picture, group)) > 1 for group in groups)
    except InputError:
        return False


def find_pictures(folder: Path, watch: Watch) -> ClassFolders:
    """Return the pictures in a folder.

    Raises:
        InputError: If the folder has no two classes, too many, or no test pictures.
        InterruptedError: If the watch is over.
    """
    found = ClassFolders()
    found.places = places = _split_places(folder, found)
    finder = _Finder(str(folder), found, watch)
    trees = {split: finder.classes_in(place) for split, place in places.items()}
    found.classes = tuple(sorted(name for name, pictures in trees["train"].items() if pictures))
    _check_classes(places["train"], trees["train"], found)
    labels = {name: label for label, name in enumerate(found.classes)}
    for split, tree in trees.items():
        pictures = [
            Found(*each, labels[name])
            for name in found.classes
            for each in sorted(tree.get(name, ()), key=lambda each: each[1])
        ]
        setattr(found, split, pictures)
        if split != "train":
            found.warnings += _differences(places[split].name, places["train"].name, tree, found)
    if "test" not in trees:
        _split_off_test(folder, found)
    return found


# --- splits and classes


def _split_places(folder: Path, found: ClassFolders) -> dict[str, Path]:
    """Return the folder of each split; a single tree is all for training."""
    names = [entry.name for entry in _entries(folder) if _is_class(entry)]
    named = {
        split: [name for name in names if name.casefold() in SPLITS[split]] for split in SPLITS
    }
    others = [name for name in names if not any(name in each for each in named.values())]
    holders = {
        split: [name for name in each if any(map(_is_class, _entries(folder / name)))]
        for split, each in named.items()
    }
    for each in holders.values():
        if len(each) > 1:
            both = " and ".join(map(printable, each))
            raise path_error(folder, f"{both} are folders of the same split; keep one of them")
    if not holders["train"]:
        if either := holders["test"] or holders["val"]:
            raise path_error(
                folder,
                f"{printable(either[0])} has folders of classes, but there is no folder train with"
                " them; call the folder of the training pictures train",
            )
        alike = [name for each in named.values() for name in each]
        if others and alike:
            which = fmt.listed([printable(name) for name in alike], FIRST)
            found.warnings.append(f"there is no train folder with classes: {which} is a class here")
        return {"train": folder if others or not named["train"] else folder / named["train"][0]}
    for split in ("val", "test"):
        found.warnings += [
            f"{printable(name)} has no folders of classes and is not read"
            for name in named[split]
            if not holders[split]
        ]
    if unread := [printable(name) for name in others if holds_pictures(folder / name)]:
        found.warnings.append(
            f"next to {holders['train'][0]}, {plural(len(unread), 'folder')} of pictures not read: "
            f"{fmt.listed(unread, FIRST)}"
        )
    return {split: folder / each[0] for split, each in holders.items() if each}


def _check_classes(
    place: Path, tree: Mapping[str, Sequence[_Picture]], found: ClassFolders
) -> None:
    """Check the number of classes, and describe those without pictures."""
    count = len(found.classes)
    if not tree:
        raise path_error(
            place,
            "its pictures are in no folders of classes; put those of each class into a folder with"
            " the name of the class",
        )
    if not 2 <= count <= MAX_CLASSES:
        name = f", {printable(found.classes[0])}" if count == 1 else ""
        raise path_error(
            place,
            f"{plural(count, 'class', 'es')} with pictures{name}; a dataset needs 2 to"
            f" {MAX_CLASSES:,}, a folder each",
        )
    if empty := [printable(name) for name in sorted(tree) if not tree[name]]:
        found.warnings.append(
            f"{plural(len(empty), 'class', 'es')} left out, without pictures: "
            f"{fmt.listed(empty, FIRST)}"
        )


def _differences(
    name: str, train: str, tree: Mapping[str, Sequence[_Picture]], found: ClassFolders
) -> Iterator[str]:
    """Yield the classes that a split has more or less than training has."""
    more = [each for each in sorted(tree) if tree[each] and each not in found.classes]
    less = [each for each in found.classes if not tree.get(each)]
    folded = {each.casefold() for each in less}
    case = " (names that differ by case are different classes)"
    hint = case if any(each.casefold() in folded for each in more) else ""
    if more:
        count = sum(len(tree[each]) for each in more)
        yield (
            f"{name} has {plural(len(more), 'class', 'es')} that {train} does not have; "
            f"{plural(count, 'picture')} left out: {_first(more)}{hint}"
        )
    if less:
        yield f"{plural(len(less), 'class', 'es')} without pictures in {name}: {_first(less)}"


def _split_off_test(folder: Path, found: ClassFolders) -> None:
    """Take the test pictures from those for training, by a digest of their names.

    The choice depends on each name alone: a further picture changes it for few others.
    """
    by_class: dict[int, list[Found]] = {}
    for each in found.train:
        by_class.setdefault(each.label, []).append(each)
    chosen: set[str] = set()
    for members in by_class.values():
        count = max(len(members) // TEST_SHARE, 1) if len(members) > 1 else 0
        chosen.update(each.name for each in sorted(members, key=_rank)[:count])
    if not chosen:
        raise path_error(folder, "no class has two pictures, one to train on and one for the test")
    found.test = [each for each in found.train if each.name in chosen]
    found.train = [each for each in found.train if each.name not in chosen]
    found.has_test = False
    found.warnings.append(
        f"there is no test folder: {len(found.test):,} pictures, 1 in {TEST_SHARE} of each class, "
        "are for the test and not trained on, the same ones in every run"
    )
    alone = [name for label, name in enumerate(found.classes) if len(by_class[label]) == 1]
    if alone:
        have = "has a single picture" if len(alone) == 1 else "have a single picture each"
        found.warnings.append(f"{plural(len(alone), 'class', 'es')} {have}: {_first(alone)}")


def _rank(picture: Found) -> bytes:
    name = unicodedata.normalize("NFC", picture.name.replace(os.sep, "/"))
    return hashlib.sha256(name.encode("utf-8", "surrogatepass")).digest()


def _first(names: Sequence[str]) -> str:
    return fmt.listed([printable(name) for name in names], FIRST)


# --- the pictures of a class


class _Finder:
    """Finds the pictures of classes, and notes what is left out."""

    def __init__(self, root: str, found: ClassFolders, watch: Watch) -> None:
        self._root = root
        self._found = found
        self._watch = watch
        self._seen: dict[tuple[int, int], str] = {}

    def classes_in(self, place: Path) -> dict[str, list[_Picture]]:
        """Return the pictures of each class in the folder of a split.

        Raises:
            InputError: If two of all folders are the same one, or have the same name.
        """
        real = place.resolve()
        above = {_identity(os.stat(each)) for each in (real, *real.parents)}
        found: dict[str, list[_Picture]] = {}
        for entry in _entries(place):
            name = self._name(entry.path)
            if _is_no_data(entry.name):
                continue
            if not entry.is_dir():
                if _suffix(entry.name) in SUFFIXES:
                    self._leave_out(name, "is in no folder of a class")
                continue
            here = _identity(os.stat(entry.path))
            if here in above:
                self._leave_out(name, "is a link in a circle")
                continue
            if here in self._seen:
                pair = f"{printable(self._seen[here])} and {printable(name)}"
                raise path_error(Path(self._root), f"{pair} are the same folder; remove the link")
            self._seen[here] = name
            key = unicodedata.normalize("NFC", entry.name)
            if key in found:
                raise path_error(place, f"two folders have the name {printable(key)}; rename one")
            found[key] = list(self._pictures_in(entry.path))
        return found

    def _pictures_in(self, folder: str) -> Iterator[_Picture]:
        left = [(folder, 1)]
        while left:
            place, depth = left.pop()
            try:
                with os.scandir(place) as entries:
                    listed = sorted(entries, key=lambda entry: entry.name)
            except OSError as error:
                self._leave_out(self._name(place), f"cannot be listed: {reason(error)}")
                continue
            for entry in listed:
                self._watch.count()
                if _is_no_data(entry.name):
                    continue
                try:
                    status = entry.stat()
                except OSError as error:
                    self._leave_out(self._name(entry.path), f"cannot be read: {reason(error)}")
                    continue
                if not stat.S_ISDIR(status.st_mode):
                    yield from self._picture(entry, status)
                elif entry.is_symlink():
                    self._leave_out(self._name(entry.path), "is a link to a folder below a class")
                elif depth == DEEPEST:
                    self._leave_out(self._name(entry.path), f"is more than {DEEPEST} folders deep")
                else:
                    left.append((entry.path, depth + 1))

    def _picture(self, entry: os.DirEntry[str], status: os.stat_result) -> Iterator[_Picture]:
        name = self._name(entry.path)
        if _suffix(entry.name) not in SUFFIXES:
            if not _is_text(entry.name):
                self._leave_out(name, "has no name of a picture (.png, .jpg, …)")
        elif not stat.S_ISREG(status.st_mode):
            self._leave_out(name, "is a pipe, a socket or a device")
        elif status.st_size == 0:
            self._leave_out(name, "is empty")
        else:
            version = (status.st_size, status.st_mtime_ns, status.st_ctime_ns)
            yield entry.path, name, version

    def _name(self, path: str) -> str:
        return path[len(self._root) :].lstrip(os.sep)

    def _leave_out(self, name: str, why: str) -> None:
        self._found.excluded.append(Excluded(name, why))


def _entries(folder: Path) -> list[os.DirEntry[str]]:
    """Return what is in a folder, sorted by name.

    Raises:
        InputError: If it cannot be listed.
    """
    try:
        with os.scandir(folder) as entries:
            return sorted(entries, key=lambda entry: entry.name)
    except OSError as error:
        raise path_error(
            folder, f"cannot list it: {reason(error)}; check the folder's permissions"
        ) from error


def _is_class(entry: os.DirEntry[str]) -> bool:
    return entry.is_dir() and not _is_no_data(entry.name)


def _has_picture(entry: os.DirEntry[str]) -> bool:
    try:
        return any(_suffix(each.name) in SUFFIXES for each in _entries(Path(entry.path)))
    except InputError:
        return False


def _is_no_data(name: str) -> bool:
    """Return whether a file or folder was made by a system, not by a person."""
    return name.startswith(".") or name.casefold() in _NO_DATA


def _is_text(name: str) -> bool:
    stem, suffix = os.path.splitext(name.casefold())
    return suffix in _TEXTS or stem in _NAMES_OF_TEXTS


def _suffix(name: str) -> str:
    return os.path.splitext(name)[1].casefold()


def _identity(status: os.stat_result) -> tuple[int, int]:
    return status.st_dev, status.st_ino
