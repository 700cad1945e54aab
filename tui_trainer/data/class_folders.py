"""Find the pictures in folders of classes: ``train/cat/1.png``, or ``cat/1.png`` in a single tree.

Here is decided which folders are splits and classes, and which pictures are for the test.
"""

from __future__ import annotations

import hashlib
import os
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from pathlib import Path

from tui_trainer.data.found_pictures import (
    Excluded,
    Finder,
    Found,
    Listed,
    Watch,
    entries_of,
    has_picture,
    holds_pictures,
    is_class,
)
from tui_trainer.protocol.config import MAX_CLASSES
from tui_trainer.protocol.errors import InputError, path_error
from tui_trainer.text import fmt
from tui_trainer.text.fmt import plural, printable

SPLITS = {
    "train": ("train", "training"),
    "val": ("val", "valid", "validation"),
    "test": ("test", "testing"),
}
"""The names of the folders of each split, in any case."""

TEST_SHARE = 6
"""Of a single tree, one in six pictures of a class is for the test."""

FIRST = 3
"""The most names in a message; all others are counted."""


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


def holds_classes(folder: Path) -> bool:
    """Return whether two folders, or two in a folder ``train``, have pictures; never raises."""
    try:
        inner = [entry for entry in entries_of(folder) if is_class(entry)]
        trains = [entry for entry in inner if entry.name.casefold() in SPLITS["train"]]
        groups = [inner, *(filter(is_class, entries_of(Path(entry.path))) for entry in trains)]
        return any(sum(map(has_picture, group)) > 1 for group in groups)
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
    finder = Finder(str(folder), found.excluded, watch)
    trees = {split: finder.classes_in(place) for split, place in places.items()}
    found.classes = tuple(sorted(name for name, pictures in trees["train"].items() if pictures))
    _check_classes(places["train"], trees["train"], found)
    if len(places) == 1:
        found.warnings += _splits_as_classes(trees["train"])
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
    names = [entry.name for entry in entries_of(folder) if is_class(entry)]
    named = {
        split: [name for name in names if name.casefold() in SPLITS[split]] for split in SPLITS
    }
    others = [name for name in names if not any(name in each for each in named.values())]
    holders = {
        split: [name for name in each if any(map(is_class, entries_of(folder / name)))]
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


def _check_classes(place: Path, tree: Mapping[str, Sequence[Listed]], found: ClassFolders) -> None:
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


def _splits_as_classes(tree: Mapping[str, Sequence[Listed]]) -> Iterator[str]:
    """Yield a warning if two classes have the same folders: ``seg_train/cat``, ``seg_test/cat``."""
    inner = {name: _folders_in(pictures) for name, pictures in tree.items()}
    # Most classes have no folders, and there can be a thousand of them.
    for one, other in combinations(sorted(name for name in inner if len(inner[name]) > 1), 2):
        both = inner[one] & inner[other]
        if len(both) >= 2 and len(both) >= len(inner[one] | inner[other]) / 2:
            yield (
                f"{printable(one)} and {printable(other)} are classes here, and have the same"
                f" folders: {_first(sorted(both))}; if these are the classes, call the folders of"
                " the splits train and test"
            )
            return


def _folders_in(pictures: Sequence[Listed]) -> set[str]:
    """Return the folders of a class; those below a single one that has all of its pictures."""
    paths = [name.split(os.sep)[1:-1] for _, name, _ in pictures]
    while paths and all(paths) and len({path[0] for path in paths}) == 1:
        paths = [path[1:] for path in paths]
    return {path[0] for path in paths if path}


def _differences(
    name: str, train: str, tree: Mapping[str, Sequence[Listed]], found: ClassFolders
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
