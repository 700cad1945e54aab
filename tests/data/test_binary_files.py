from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import pytest

from tests.data.binary_files import make_images, write_binary
from tui_trainer.data.binary_files import (
    BINARY_FORMATS,
    CIFAR10,
    CIFAR100,
    STL10,
    BinaryFormat,
    holds_binary_files,
    read_binary_folder,
)
from tui_trainer.data.idx import RawDataset, content_digest
from tui_trainer.data.image_store import ImageStore, is_mapped
from tui_trainer.protocol.errors import InputError


def read(folder: Path, classes: int | None = None, most: int | None = None) -> RawDataset:
    store = ImageStore(folder.parent / "decoded", most)
    return read_binary_folder(folder, name="tiny", store=store, classes=classes)


def complaint(folder: Path, classes: int | None = None) -> str:
    """Return the message about a folder that must be refused: one line."""
    with pytest.raises(InputError) as caught:
        read(folder, classes)
    text = str(caught.value)
    assert text.isprintable()
    return text


@pytest.fixture
def cifar(tmp_path: Path) -> Path:
    return write_binary(tmp_path / "data", CIFAR10)


@pytest.mark.parametrize("kind", BINARY_FORMATS, ids=lambda kind: kind.name)
@pytest.mark.parametrize("inside", [False, True], ids=["itself", "inside"])
def test_each_format_is_read(kind: BinaryFormat, inside: bool, tmp_path: Path) -> None:
    folder = tmp_path / "data"
    write_binary(folder / kind.folder if inside else folder, kind)

    assert holds_binary_files(folder)
    raw = read(folder)

    parts = [
        make_images(12, size=kind.size, classes=len(kind.class_names), seed=number)
        for number in range(len(kind.images))
    ]
    assert bytes(raw.train_images) == b"".join(images for images, _ in parts[:-1])
    assert list(raw.train_labels) == [label for _, labels in parts[:-1] for label in labels]
    assert (bytes(raw.test_images), list(raw.test_labels)) == parts[-1]
    assert (raw.size, raw.channels) == (kind.size, 3)
    assert raw.class_names == kind.class_names
    assert raw.classes == len(kind.class_names)


@pytest.mark.parametrize("kind", BINARY_FORMATS, ids=lambda kind: kind.name)
def test_images_in_a_mapped_file_are_the_same(kind: BinaryFormat, tmp_path: Path) -> None:
    folder = write_binary(tmp_path / "data", kind)

    resident, apart = read(folder), read(folder, most=1_000)

    assert not is_mapped(resident.train_images)
    assert is_mapped(apart.train_images)
    assert is_mapped(apart.test_images)
    assert content_digest(apart) == content_digest(resident)


def test_the_published_names_stand_in_for_a_missing_file(tmp_path: Path) -> None:
    assert read(write_binary(tmp_path, CIFAR100, names=False)).class_names == CIFAR100.class_names
    assert len(set(CIFAR100.class_names)) == 100


def test_names_of_the_file_are_used(cifar: Path) -> None:
    (cifar / CIFAR10.names_file).write_text(
        "\n".join(["zéro", "un", "deux", "trois", "四", "五", "六", "七", "八", "九"])
    )

    assert read(cifar).class_names[3:5] == ("trois", "四")


def test_a_file_with_other_names_is_refused(cifar: Path) -> None:
    (cifar / CIFAR10.names_file).write_text("cat\ndog\n")

    assert "batches.meta.txt: names 2 classes, not 10; get the file again" in complaint(cifar)


@pytest.mark.parametrize("kind", BINARY_FORMATS, ids=lambda kind: kind.name)
def test_a_missing_file_is_named(kind: BinaryFormat, tmp_path: Path) -> None:
    folder = write_binary(tmp_path, kind)
    (folder / kind.files[-1]).unlink()

    text = complaint(folder)

    assert f"{kind.files[-1]} not found" in text
    assert kind.archive in text


def test_two_datasets_in_one_folder(tmp_path: Path) -> None:
    for kind in (CIFAR10, CIFAR100):
        write_binary(tmp_path / kind.folder, kind)

    text = complaint(tmp_path)

    assert "cifar10" in text
    assert "cifar100" in text
    assert "name a folder that holds one" in text


@pytest.mark.parametrize(
    ("edit", "expected"),
    [
        (lambda content: content[:-1], "not a whole number of images, 3,073 bytes each"),
        (lambda content: b"", "the file is empty"),
        (lambda content: b"\xff" + content[1:], "label 255 occurs 1 time, outside 0 to 9"),
    ],
    ids=["cut", "empty", "label"],
)
def test_a_damaged_file_is_refused(cifar: Path, edit: object, expected: str) -> None:
    path = cifar / "data_batch_1.bin"
    path.write_bytes(edit(path.read_bytes()))  # type: ignore[operator]

    text = complaint(cifar)

    assert "data_batch_1.bin" in text
    assert expected in text


def test_labels_that_do_not_fit_their_images(tmp_path: Path) -> None:
    folder = write_binary(tmp_path, STL10)
    (folder / "train_y.bin").write_bytes(b"\1\2\3")

    assert "train_y.bin: 3 labels for 12 images in" in complaint(folder)


def test_another_number_of_classes_is_refused(cifar: Path) -> None:
    assert read(cifar, 10).classes == 10
    assert complaint(cifar, 12) == "--classes 12: cifar10 has 10 classes; leave it out"


class Runs:
    """Creates a file when it is read from a pickle."""

    def __init__(self, path: str) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return open, (self.path, "w")


@pytest.mark.parametrize("inside", [False, True], ids=["itself", "inside"])
@pytest.mark.parametrize("kind", [CIFAR10, CIFAR100], ids=lambda kind: kind.name)
def test_pickles_are_refused_unread(kind: BinaryFormat, inside: bool, tmp_path: Path) -> None:
    folder = tmp_path / "data"
    place = folder / kind.python_folder if inside else folder
    place.mkdir(parents=True)
    for name in kind.pickles:
        (place / name).write_bytes(pickle.dumps(Runs(str(tmp_path / "executed"))))

    assert holds_binary_files(folder)
    text = complaint(folder)

    assert "can run code" in text
    assert f"--dataset {kind.name}" in text
    assert kind.archive in text
    assert not (tmp_path / "executed").exists()


def test_binary_files_are_read_next_to_pickles(cifar: Path) -> None:
    for name in CIFAR10.pickles:
        (cifar / name).write_bytes(b"\x80")

    assert read(cifar).train_total == 60


def test_other_folders_are_not_taken_for_it(tmp_path: Path) -> None:
    assert not holds_binary_files(tmp_path)
    assert not holds_binary_files(tmp_path / "nowhere")
    (tmp_path / "train").mkdir()
    (tmp_path / "test").mkdir()
    (tmp_path / "meta").mkdir()
    assert not holds_binary_files(tmp_path)


def test_a_changed_file_is_decoded_again(cifar: Path) -> None:
    first = read(cifar, most=0)
    path = cifar / "data_batch_2.bin"
    content = bytearray(path.read_bytes())
    content[100] ^= 255
    path.write_bytes(content)

    second = read(cifar, most=0)

    assert content_digest(first) != content_digest(second)
    assert content_digest(second) == content_digest(read(cifar))
    assert len(list((cifar.parent / "decoded").iterdir())) == 2
