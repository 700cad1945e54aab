"""Folders of pictures: what is a class, which picture is in which split, what is left out."""

from __future__ import annotations

import os
import random
import shutil
import unicodedata
from pathlib import Path
from typing import Literal

import pytest

from tests.data.pictures import picture, write_tree
from tui_trainer.data.class_folders import ClassFolders, find_pictures
from tui_trainer.data.found_pictures import Watch, holds_pictures
from tui_trainer.protocol.errors import InputError


def found_in(folder: Path) -> ClassFolders:
    return find_pictures(folder, Watch())


def error_of(folder: Path) -> str:
    with pytest.raises(InputError) as caught:
        found_in(folder)
    message = str(caught.value)
    assert message.isprintable()
    return message


def names(found: ClassFolders, split: str) -> list[str]:
    return [each.name for each in getattr(found, split)]


def left_out(found: ClassFolders) -> dict[str, str]:
    return {each.name: each.why for each in found.excluded}


@pytest.mark.parametrize(
    "splits",
    [
        ("train", "val", "test"),
        ("Train", "valid", "testing"),
        ("training", "validation", "TEST"),
    ],
)
def test_the_splits_by_their_usual_names(tmp_path: Path, splits: tuple[str, ...]) -> None:
    write_tree(tmp_path, splits, each=2)
    found = found_in(tmp_path)

    assert found.classes == ("cat", "dog")
    for split, folder in zip(("train", "val", "test"), splits, strict=True):
        expected = [f"{folder}/{name}/{i}.png" for name in ("cat", "dog") for i in (0, 1)]
        assert names(found, split) == expected
        assert [each.label for each in getattr(found, split)] == [0, 0, 1, 1]
    assert (found.warnings, found.excluded, found.has_test) == ([], [], True)


def test_classes_are_numbered_as_torchvision_numbers_them(tmp_path: Path) -> None:
    from tui_trainer.models.torchvision_compat import import_torchvision

    classes = ["10", "2", "Zebra", "ant", "ångström", "数字", "🙂", "a b"]
    write_tree(tmp_path / "train", (".",), classes, each=1)
    write_tree(tmp_path / "test", (".",), classes, each=1)
    theirs = import_torchvision().datasets.ImageFolder(str(tmp_path / "train"))
    found = found_in(tmp_path)

    assert list(found.classes) == theirs.classes
    assert [(each.path, each.label) for each in found.train] == theirs.samples


def test_a_single_tree_is_split_by_names_alone(tmp_path: Path) -> None:
    classes = ("a", "b", "c")
    write_tree(tmp_path / "one", (".",), classes, each=30)
    found = found_in(tmp_path / "one")

    assert [sum(each.label == label for each in found.test) for label in range(3)] == [5, 5, 5]
    assert len(found.train) == 75
    assert not set(names(found, "train")) & set(names(found, "test"))
    assert found.warnings == [
        "there is no test folder: 15 pictures, 1 in 6 of each class, are for the test and not "
        "trained on, the same ones in every run"
    ]
    # The same names, written in another order with other contents.
    order = [(name, number) for name in classes for number in range(30)]
    random.Random(3).shuffle(order)
    for name, number in order:
        (tmp_path / "two" / name).mkdir(parents=True, exist_ok=True)
        picture(1, number + 7).save(tmp_path / "two" / name / f"{number}.png")
    assert names(found_in(tmp_path / "two"), "test") == names(found, "test")
    # One more picture moves at most one picture of its class to the other side.
    shutil.copy(tmp_path / "two" / "a" / "0.png", tmp_path / "two" / "a" / "new.png")
    more = set(names(found_in(tmp_path / "two"), "test"))
    assert len(more ^ set(names(found, "test"))) <= 2


def test_a_class_of_one_picture_stays_in_training(tmp_path: Path) -> None:
    write_tree(tmp_path, (".",), ("a", "b"), each=6)
    (tmp_path / "lonely").mkdir()
    picture().save(tmp_path / "lonely" / "1.png")
    found = found_in(tmp_path)

    assert "lonely/1.png" in names(found, "train")
    assert found.warnings[1:] == ["1 class has a single picture: lonely"]


def test_a_class_may_be_called_train(tmp_path: Path) -> None:
    write_tree(tmp_path, (".",), ("bus", "car", "train"), each=3)
    found = found_in(tmp_path)

    assert found.classes == ("bus", "car", "train")
    assert found.warnings[0] == "there is no train folder with classes: train is a class here"


def test_what_systems_and_people_leave_in_folders_is_no_data(tmp_path: Path) -> None:
    write_tree(tmp_path, each=2)
    cat = tmp_path / "train" / "cat"
    for name in (".DS_Store", "Thumbs.db", "desktop.ini", "README", "README.md", "labels.csv"):
        (cat / name).write_text("text")
        (tmp_path / "train" / name).write_text("text")
    for name in ("__MACOSX", ".git", "@eaDir"):
        (tmp_path / "train" / name).mkdir()
        shutil.copy(cat / "0.png", tmp_path / "train" / name / "0.png")
    shutil.copy(cat / "0.png", cat / "._0.png")
    found = found_in(tmp_path)

    assert (found.classes, len(found.train), found.excluded) == (("cat", "dog"), 4, [])


def test_pictures_in_nested_folders_belong_to_the_class(tmp_path: Path) -> None:
    write_tree(tmp_path, each=1)
    inner = tmp_path / "train" / "cat" / "2024" / "may"
    inner.mkdir(parents=True)
    picture().save(inner / "x.JPG")
    found = found_in(tmp_path)

    assert names(found, "train")[:2] == ["train/cat/0.png", "train/cat/2024/may/x.JPG"]


def test_each_thing_that_is_left_out_has_a_reason(tmp_path: Path) -> None:
    write_tree(tmp_path, each=2)
    cat = tmp_path / "train" / "cat"
    (cat / "empty.png").touch()
    (cat / "photo.heic").write_bytes(b"x")
    (cat / "broken.png").symlink_to(cat / "nowhere.png")
    (cat / "self.png").symlink_to(cat / "self.png")
    (cat / "dogs").symlink_to(tmp_path / "train" / "dog")
    os.mkfifo(cat / "pipe.png")
    (cat / "device.png").symlink_to("/dev/zero")
    (tmp_path / "train" / "loop").symlink_to(tmp_path)
    (tmp_path / "train" / "dot").symlink_to(".")
    shutil.copy(cat / "0.png", tmp_path / "train" / "loose.png")
    deep = cat.joinpath(*["d"] * 40)
    deep.mkdir(parents=True)

    found = found_in(tmp_path)

    assert found.classes == ("cat", "dog")
    assert left_out(found) == {
        "train/cat/empty.png": "is empty",
        "train/cat/photo.heic": "has no name of a picture (.png, .jpg, …)",
        "train/cat/broken.png": "cannot be read: No such file or directory",
        "train/cat/self.png": "cannot be read: Too many levels of symbolic links",
        "train/cat/dogs": "is a link to a folder below a class",
        "train/cat/pipe.png": "is a pipe, a socket or a device",
        "train/cat/device.png": "is a pipe, a socket or a device",
        "train/loop": "is a link in a circle",
        "train/dot": "is a link in a circle",
        "train/loose.png": "is in no folder of a class",
        "train/cat/" + "/".join(["d"] * 32): "is more than 32 folders deep",
    }


def test_links_to_files_and_to_folders_of_classes_are_followed(tmp_path: Path) -> None:
    write_tree(tmp_path / "store", each=2)
    data = tmp_path / "data"
    (data / "train" / "bird").mkdir(parents=True)
    (data / "train" / "cat").symlink_to(tmp_path / "store" / "train" / "cat")
    (data / "train" / "bird" / "x.png").symlink_to(tmp_path / "store" / "train" / "dog" / "0.png")
    (data / "test").symlink_to(tmp_path / "store" / "test")
    found = found_in(data)

    assert names(found, "train") == ["train/bird/x.png", "train/cat/0.png", "train/cat/1.png"]
    assert names(found, "test") == ["test/cat/0.png", "test/cat/1.png"]


def test_links_that_lead_nowhere_are_left_out(tmp_path: Path) -> None:
    write_tree(tmp_path, each=2)
    (tmp_path / "around").symlink_to("around")
    for name, target in {"around": "around", "moved": "/no/such/folder"}.items():
        (tmp_path / "train" / name).symlink_to(target)
        (tmp_path / "train" / "cat" / name).symlink_to(target)
    found = found_in(tmp_path)

    assert found.classes == ("cat", "dog")
    why = left_out(found)
    assert why["train/around"] == why["train/moved"] == "is a link that leads nowhere"
    assert why["train/cat/around"].startswith("cannot be read: ")
    assert why["train/cat/moved"].startswith("cannot be read: ")
    assert len(why) == 4


@pytest.mark.parametrize("splits", [("seg_train", "seg_test"), ("a/a", "b/b"), ("x/y/z", "w")])
def test_splits_that_are_taken_for_classes_are_named(
    tmp_path: Path, splits: tuple[str, str]
) -> None:
    write_tree(tmp_path, splits)
    write_tree(tmp_path / "unsorted", ["."], ["."])
    one, other = sorted(split.partition("/")[0] for split in splits)

    assert found_in(tmp_path).warnings[0] == (
        f"{one} and {other} are classes here, and have the same folders: cat, dog; if these are"
        " the classes, call the folders of the splits train and test"
    )


def test_folders_inside_of_classes_are_no_splits(tmp_path: Path) -> None:
    write_tree(tmp_path, ["."], ["cat/indoors", "cat/garden", "dog/garden", "dog/street/day"])

    assert not [each for each in found_in(tmp_path).warnings if "are classes here" in each]


@pytest.mark.parametrize("link", ["train/kitty", "test"])
def test_the_same_folder_twice_is_refused(tmp_path: Path, link: str) -> None:
    write_tree(tmp_path, ("train",), each=2)
    target = "cat" if link == "train/kitty" else "train"
    (tmp_path / link).symlink_to(target)

    assert "are the same folder; remove the link" in error_of(tmp_path)


def test_classes_that_the_splits_do_not_share(tmp_path: Path) -> None:
    write_tree(tmp_path, ("train",), ("ant", "bee", "Cat"), each=2)
    write_tree(tmp_path, ("test",), ("ant", "cat", "dog"), each=3)
    write_tree(tmp_path, ("val",), ("ant", "bee", "Cat"), each=1)
    found = found_in(tmp_path)

    assert found.classes == ("Cat", "ant", "bee")
    assert {each.label for each in found.test} == {1}
    assert found.warnings == [
        "test has 2 classes that train does not have; 6 pictures left out: cat, dog (names that "
        "differ by case are different classes)",
        "2 classes without pictures in test: Cat, bee",
    ]


def test_names_in_two_unicode_forms_are_one_class(tmp_path: Path) -> None:
    forms: tuple[tuple[str, Literal["NFC", "NFD"]], ...] = (("train", "NFC"), ("test", "NFD"))
    for split, form in forms:
        classes = [unicodedata.normalize(form, name) for name in ("café", "thé")]
        write_tree(tmp_path, (split,), classes, each=2)
    found = found_in(tmp_path)

    assert (len(found.train), len(found.test), found.warnings) == (4, 4, [])


def test_empty_classes_are_left_out(tmp_path: Path) -> None:
    write_tree(tmp_path, each=2)
    for name in ("b", "e\nf", "\u202edrawkcab"):
        (tmp_path / "train" / name).mkdir()
    found = found_in(tmp_path)

    assert found.classes == ("cat", "dog")
    assert found.warnings == ["3 classes left out, without pictures: b, 'e\\nf', '\\u202edrawkcab'"]


def test_undecodable_and_odd_names(tmp_path: Path) -> None:
    write_tree(tmp_path, ("train", "test"), ("a\nb", "c\x1b[31m", "\u202ex"), each=1)
    raw = os.fsencode(tmp_path / "train")
    os.mkdir(raw + b"/\xff\xfe")
    shutil.copy(tmp_path / "train" / "a\nb" / "0.png", raw.decode() + "/a\nb/new\nline.png")
    with open(raw + b"/\xff\xfe/\xff.png", "wb") as file:
        file.write((tmp_path / "train" / "a\nb" / "0.png").read_bytes())
    found = found_in(tmp_path)

    assert len(found.classes) == 4
    assert len(found.train) == 5
    assert all(line.isprintable() for line in found.warnings)


LINES = {
    "one class": "1 class with pictures, cat; a dataset needs 2 to 1,000, a folder each",
    "no folders": "its pictures are in no folders of classes; put those of each class into a "
    "folder with the name of the class",
    "loose train": "its pictures are in no folders of classes; put those of each class into a "
    "folder with the name of the class",
    "3,000 classes": "3,000 classes with pictures; a dataset needs 2 to 1,000, a folder each",
    "two trains": "train and training are folders of the same split; keep one of them",
    "no train": "test has folders of classes, but there is no folder train with them; call the "
    "folder of the training pictures train",
    "one each": "no class has two pictures, one to train on and one for the test",
    "all empty": "0 classes with pictures; a dataset needs 2 to 1,000, a folder each",
}


@pytest.mark.parametrize("case", LINES)
def test_unusable_folders_get_one_line(tmp_path: Path, case: str) -> None:
    folder = tmp_path
    match case:
        case "one class":
            folder = write_tree(tmp_path, ("train", "test"), ("cat",)) / "train"
        case "no folders":
            picture().save(tmp_path / "1.png")
        case "loose train":
            (tmp_path / "train").mkdir()
            picture().save(tmp_path / "train" / "1.png")
            folder = tmp_path / "train"
        case "3,000 classes":
            picture().save(tmp_path / "one.png")
            for number in range(3_000):
                (tmp_path / "all" / f"{number}").mkdir(parents=True)
                os.link(tmp_path / "one.png", tmp_path / "all" / f"{number}" / "1.png")
            folder = tmp_path / "all"
        case "two trains":
            write_tree(tmp_path, ("train", "training", "test"))
        case "no train":
            write_tree(tmp_path, ("test",))
        case "one each":
            write_tree(tmp_path, (".",), each=1)
        case "all empty":
            for name in ("a", "b"):
                (tmp_path / name).mkdir()

    where = tmp_path if case == "loose train" else folder
    assert error_of(where) == f"{folder}: {LINES[case]}"


def test_the_same_split_under_two_names_of_a_split_is_not_read(tmp_path: Path) -> None:
    write_tree(tmp_path, ("train", "test", "extra"), each=1)
    (tmp_path / "val").mkdir()
    picture().save(tmp_path / "val" / "unlabeled.png")
    (tmp_path / "docs").mkdir()

    assert found_in(tmp_path).warnings == [
        "val has no folders of classes and is not read",
        "next to train, 1 folder of pictures not read: extra",
    ]


def test_folders_with_and_without_pictures(tmp_path: Path) -> None:
    assert not holds_pictures(tmp_path)
    (tmp_path / "a" / "b" / "c").mkdir(parents=True)
    (tmp_path / "notes.txt").touch()
    assert not holds_pictures(tmp_path)
    (tmp_path / "a" / "b" / "c" / "x.PNG").touch()
    assert holds_pictures(tmp_path)
    assert not holds_pictures(tmp_path / "nowhere")


def test_the_search_ends_when_nobody_waits_for_it(tmp_path: Path) -> None:
    write_tree(tmp_path)
    with pytest.raises(InterruptedError):
        find_pictures(tmp_path, Watch(is_over=True))
