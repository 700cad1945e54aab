from __future__ import annotations

import errno
import gzip
import os
import random
import shutil
import struct
import tracemalloc
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest

from tests.data.idx_files import (
    FLOAT,
    INT,
    SHORT,
    idx_bytes,
    label_bytes,
    make_part,
    write_dataset,
    write_file,
)
from tui_trainer.data.idx import RawDataset, content_digest, read_folder
from tui_trainer.data.idx_file import MAX_BYTES
from tui_trainer.protocol.errors import InputError

EMBEDDED = Path(__file__).parents[2] / "tui_trainer" / "datasets" / "mnist"
TRAIN_IMAGES = "train-images-idx3-ubyte"
TRAIN_LABELS = "train-labels-idx1-ubyte"
TEST_IMAGES = "t10k-images-idx3-ubyte"
TEST_LABELS = "t10k-labels-idx1-ubyte"


def read(folder: Path, classes: int | None = None) -> RawDataset:
    return read_folder(folder, name="tiny", classes=classes)


def complaint(folder: Path, classes: int | None = None) -> str:
    """Return the message about a folder that must be refused: one line."""
    with pytest.raises(InputError) as caught:
        read(folder, classes)
    text = str(caught.value)
    assert text.isprintable()
    return text


@pytest.fixture
def plain(tmp_path: Path) -> Path:
    """A valid dataset of 8×8 pixels, not gzipped."""
    return write_dataset(tmp_path / "data", size=8, gzip=False)


@pytest.fixture
def packed(tmp_path: Path) -> Path:
    """The same, gzipped."""
    return write_dataset(tmp_path / "data", size=8)


# --- the dataset in the package


def test_the_embedded_mnist_is_whole() -> None:
    data = read_folder(EMBEDDED, name="mnist")

    assert (data.name, data.size, data.classes) == ("mnist", 28, 10)
    assert (data.train_total, data.test_total) == (60_000, 10_000)
    assert len(data.train_images) == 60_000 * 28 * 28
    assert len(data.test_images) == 10_000 * 28 * 28
    train, test = Counter(data.train_labels), Counter(data.test_labels)
    assert [train[k] for k in range(10)] == [
        *(5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949)
    ]
    assert [test[k] for k in range(10)] == [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]
    assert list(data.train_labels[:5]) == [5, 0, 4, 1, 9]
    # The published mean of the training pixels is 0.1307.
    assert sum(data.train_images) / len(data.train_images) / 255 == pytest.approx(0.1307, abs=5e-5)


def test_torch_wraps_the_buffers_without_a_copy(plain: Path) -> None:
    torch = pytest.importorskip("torch")
    data = read(plain)

    images = torch.frombuffer(data.train_images, dtype=torch.uint8).view(-1, 8, 8)
    labels = torch.frombuffer(data.train_labels, dtype=torch.int32)

    assert images.shape[0] == labels.shape[0] == data.train_total
    images[0, 0, 0] = 77
    assert data.train_images[0] == 77


def test_a_dataset_does_not_print_its_pixels(plain: Path) -> None:
    assert repr(read(plain)) == "RawDataset(name='tiny', size=8, classes=10)"


# --- the same data elsewhere


def test_the_digest_ignores_names_places_and_compression(tmp_path: Path) -> None:
    write_dataset(tmp_path / "here", size=8)
    write_dataset(tmp_path / "there", size=8, gzip=False, prefix="my-", flat=False)
    here = read_folder(tmp_path / "here", name="here")
    there = read_folder(tmp_path / "there", name="there")

    assert len(content_digest(here)) == 64
    assert content_digest(here) == content_digest(there)


def change_byte(data: RawDataset) -> None:
    data.test_images[-1] ^= 1


def change_label(data: RawDataset) -> None:
    data.train_labels[0] = (data.train_labels[0] + 1) % data.classes


def change_order(data: RawDataset) -> None:
    data.train_labels.reverse()


@pytest.mark.parametrize("change", [change_byte, change_label, change_order])
def test_the_digest_changes_with_the_content(
    plain: Path, change: Callable[[RawDataset], None]
) -> None:
    data = read(plain)
    before = content_digest(data)
    change(data)

    assert content_digest(data) != before


def test_the_digest_changes_with_the_number_of_classes(plain: Path) -> None:
    assert content_digest(read(plain)) != content_digest(read(plain, classes=11))


# --- folders and file names


@pytest.mark.parametrize("gzipped", [False, True])
@pytest.mark.parametrize("prefix", ["", "kuzushiji-", "my.data_"])
def test_files_are_read_as_written(tmp_path: Path, gzipped: bool, prefix: str) -> None:
    write_dataset(tmp_path, size=9, classes=3, train=7, test=4, gzip=gzipped, prefix=prefix, seed=5)

    data = read(tmp_path)

    images, labels = make_part(7, size=9, classes=3, seed=10)
    test_images, test_labels = make_part(4, size=9, classes=3, seed=11)
    assert (data.size, data.classes, data.train_total, data.test_total) == (9, 3, 7, 4)
    assert (bytes(data.train_images), list(data.train_labels)) == (images, labels)
    assert (bytes(data.test_images), list(data.test_labels)) == (test_images, test_labels)


@pytest.mark.parametrize("inner", ["raw", "MNIST/raw", "FashionMNIST/raw"])
def test_torchvisions_folders_are_searched(tmp_path: Path, inner: str) -> None:
    write_dataset(tmp_path / inner, size=8)

    assert read(tmp_path).classes == 10


def test_names_with_dots_and_test_files_are_known(plain: Path) -> None:
    (plain / TRAIN_IMAGES).rename(plain / "train-images.idx3-ubyte")
    (plain / TRAIN_LABELS).rename(plain / "train-labels.idx1-ubyte")
    (plain / TEST_IMAGES).rename(plain / "test-images-idx3-ubyte")
    (plain / TEST_LABELS).rename(plain / "test-labels.idx1-ubyte")

    assert read(plain).test_total == 20


@pytest.mark.parametrize("labels", ["labels-idx2-int", "labels.idx2-int"])
def test_labels_of_qmnist_are_read(tmp_path: Path, labels: str) -> None:
    for split, total in (("train", 30), ("test", 10)):
        images, classes = make_part(total, size=8, seed=1)
        rows = [n for label in classes for n in (label, 4, 7, 0, 1, label + 10, 0, 0)]
        body = struct.pack(f">{8 * total}i", *rows)
        place = tmp_path / f"qmnist-{split}"
        write_file(Path(f"{place}-images-idx3-ubyte.gz"), idx_bytes([total, 8, 8], images))
        write_file(Path(f"{place}-{labels}.gz"), idx_bytes([total, 8], body, code=INT))

    data = read(tmp_path)

    assert (data.classes, data.test_total) == (10, 10)
    assert list(data.train_labels) == make_part(30, size=8, seed=1)[1]


@pytest.mark.parametrize("shape", [(60, 1, 8, 8), (60, 8, 8, 1)])
def test_images_with_one_channel_are_read(plain: Path, shape: tuple[int, ...]) -> None:
    before = read(plain)
    write_file(plain / TRAIN_IMAGES, idx_bytes(shape, bytes(before.train_images)))
    write_file(plain / TRAIN_LABELS, idx_bytes([60, 1], bytes(list(before.train_labels))))

    assert read(plain) == before


def test_names_in_capitals_are_known(plain: Path) -> None:
    for path in list(plain.iterdir()):
        path.rename(plain / path.name.upper())

    assert read(plain).train_total == 60


def test_a_plain_file_precedes_its_gz(plain: Path) -> None:
    for path in list(plain.iterdir()):
        path.with_name(path.name + ".gz").write_bytes(b"nonsense")

    assert read(plain).train_total == 60


def test_a_folder_with_a_files_name_gives_way_to_the_file(packed: Path) -> None:
    (packed / TRAIN_IMAGES).mkdir()

    assert read(packed).train_total == 60


def test_hidden_files_are_no_data(plain: Path) -> None:
    for path in list(plain.iterdir()):
        path.with_name("._" + path.name).write_bytes(b"\0\5\x16\7")

    assert read(plain).train_total == 60


def test_a_second_incomplete_dataset_does_not_hide_the_whole_one(plain: Path) -> None:
    write_file(plain / f"other-{TRAIN_IMAGES}", b"")

    assert read(plain).train_total == 60


def test_emnist_files_come_out_upright(tmp_path: Path) -> None:
    write_dataset(tmp_path, size=8, gzip=False, prefix="emnist-digits-")

    data = read(tmp_path)

    images, _ = make_part(60, size=8)
    for index in (0, 59):
        lying = images[index * 64 : (index + 1) * 64]
        upright = bytes(data.train_images[index * 64 : (index + 1) * 64])
        assert upright == bytes(lying[8 * column + row] for row in range(8) for column in range(8))


def test_a_missing_folder_and_a_file_in_its_place(tmp_path: Path) -> None:
    file = write_file(tmp_path / "file", b"")

    assert "no such folder" in complaint(tmp_path / "nowhere")
    assert "not a folder" in complaint(file)
    assert "Not a directory" in complaint(file / "inside")
    assert "null byte" in complaint(Path("a\0b"))


def test_an_empty_folder_gets_the_expected_names(tmp_path: Path) -> None:
    text = complaint(tmp_path)

    for name in (TRAIN_IMAGES, TRAIN_LABELS, TEST_IMAGES, TEST_LABELS, ".gz", "raw"):
        assert name in text


@pytest.mark.parametrize("name", [TRAIN_IMAGES, TRAIN_LABELS, TEST_IMAGES, TEST_LABELS])
def test_a_missing_file_is_named(tmp_path: Path, name: str) -> None:
    write_dataset(tmp_path, size=8, prefix="kana-")
    (tmp_path / f"kana-{name}.gz").unlink()

    assert f"kana-{name} not found" in complaint(tmp_path)


def test_two_datasets_are_named(tmp_path: Path) -> None:
    write_dataset(tmp_path, size=8, prefix="emnist-digits-")
    write_dataset(tmp_path, size=8, prefix="emnist-letters-")
    text = complaint(tmp_path)
    assert "more than one dataset" in text
    assert "emnist-digits-*" in text
    assert "emnist-letters-*" in text

    (tmp_path / "both").mkdir()
    write_dataset(tmp_path / "both" / "KMNIST" / "raw", size=8)
    write_dataset(tmp_path / "both" / "MNIST" / "raw", size=8)
    text = complaint(tmp_path / "both")
    assert str(Path("KMNIST/raw/*")) in text
    assert str(Path("MNIST/raw/*")) in text


@pytest.mark.parametrize("twin", ["test-images-idx3-ubyte", "t10k-images.idx3-ubyte.gz"])
def test_two_files_for_one_part_are_named(plain: Path, twin: str) -> None:
    shutil.copy(plain / TEST_IMAGES, plain / twin)

    text = complaint(plain)

    assert twin in text
    assert TEST_IMAGES in text


def test_a_name_with_a_line_break_stays_one_line(tmp_path: Path) -> None:
    write_dataset(tmp_path / "new\nline", size=8)
    assert read(tmp_path / "new\nline").classes == 10

    (tmp_path / "new\nline" / f"{TEST_LABELS}.gz").unlink()
    assert "not found" in complaint(tmp_path / "new\nline")
    write_file(tmp_path / f"red\x1b-{TEST_LABELS}", b"")
    assert "red\\x1b-" in complaint(tmp_path)


# --- files that cannot be read


def test_a_folder_or_a_pipe_in_place_of_a_file(plain: Path) -> None:
    (plain / TRAIN_IMAGES).unlink()
    (plain / TRAIN_IMAGES).mkdir()
    assert "a folder, not a file" in complaint(plain)

    (plain / TRAIN_IMAGES).rmdir()
    if hasattr(os, "mkfifo"):
        os.mkfifo(plain / TRAIN_IMAGES)
        assert "pipe, not a file" in complaint(plain)


def test_an_unreadable_file_is_reported(plain: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    denied = PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    def refuse(*args: object, **kwargs: object) -> None:
        raise denied

    with monkeypatch.context() as patch:  # root may read anything, so chmod has no effect
        patch.setattr(Path, "open", refuse)
        text = complaint(plain)
    assert "Permission denied" in text
    assert TRAIN_IMAGES in text
    with monkeypatch.context() as patch:
        patch.setattr(Path, "iterdir", refuse)
        assert "cannot list it: Permission denied" in complaint(plain)


def test_a_broken_link_is_reported(plain: Path) -> None:
    (plain / TRAIN_IMAGES).unlink()
    (plain / TRAIN_IMAGES).symlink_to(plain / "gone")

    assert "No such file" in complaint(plain)


IMAGES, LABELS = make_part(60, size=8)
CONTENTS: list[tuple[str, bytes, str]] = [
    (TRAIN_IMAGES, b"", "empty"),
    (TRAIN_LABELS, b"", "empty"),
    (TRAIN_IMAGES, b"\0\0", "not an IDX file"),
    (TRAIN_IMAGES, b"<html>Not Found</html>", "not an IDX file: it starts with 3c 68 74 6d"),
    (TRAIN_IMAGES, gzip.compress(b"x"), "add .gz to its name"),
    (TRAIN_IMAGES, b"\0\0\x77\3" + bytes(12), "not an IDX file"),
    (TRAIN_IMAGES, idx_bytes([60, 8, 8], b"", code=FLOAT), "32-bit floats in 3 dimensions"),
    (TRAIN_IMAGES, label_bytes(LABELS), "1 dimension; needs unsigned bytes in 3 dimensions"),
    (TRAIN_LABELS, idx_bytes([60, 8, 8], IMAGES), "needs unsigned bytes or 16-bit integers or"),
    (TRAIN_LABELS, idx_bytes([60], bytes(240), code=FLOAT), "32-bit floats"),
    (TRAIN_IMAGES, b"\0\0\x08\3\0\0\0", "cut short within its header"),
    (TRAIN_IMAGES, idx_bytes([60, 8, 8], IMAGES)[:-1], "cut short: 3,839 of the 3,840 bytes"),
    (TRAIN_LABELS, label_bytes(LABELS)[:-2], "cut short: 58 of the 60 bytes"),
    (TRAIN_IMAGES, idx_bytes([60, 8, 8], IMAGES + b"!"), "more follows the 3,840 bytes"),
    (TRAIN_LABELS, label_bytes(LABELS) + b"!", "more follows the 60 bytes"),
    (
        TRAIN_IMAGES,
        idx_bytes([60, 8, 8], bytes([7, 10] * 1920).replace(b"\n", b"\r\n")),
        "more follows the 3,840 bytes that its header promises; get the file again in binary mode",
    ),
    (TRAIN_IMAGES, b"\3\x08\0\0" + bytes(20), "its header is little-endian"),
    (TRAIN_IMAGES, idx_bytes([60, 3, 8, 8], bytes(11_520)), "unsigned bytes in 4 dimensions"),
    (TRAIN_LABELS, idx_bytes([60, 10], bytes(600)), "unsigned bytes in 2 dimensions"),
    (TRAIN_IMAGES, idx_bytes([60, 8, 9], IMAGES), "images of 8×9 pixels"),
    (TRAIN_IMAGES, idx_bytes([60, 7, 7], IMAGES), "images of 7×7 pixels"),
    (TRAIN_IMAGES, idx_bytes([60, 0, 0], b""), "images of 0×0 pixels"),
    (TRAIN_IMAGES, idx_bytes([60, 129, 129], IMAGES), "square images of 8 to 128 pixels"),
    (TEST_IMAGES, idx_bytes([20, 9, 9], bytes(1620)), "test images have 9×9 pixels"),
    (TRAIN_IMAGES, idx_bytes([2**32 - 1, 128, 128], b""), "too much: the 70,368,744,161,280"),
    (TRAIN_IMAGES, idx_bytes([MAX_BYTES // 64, 8, 8], b""), "cut short: 0 of the 2,147,483,648"),
    (TRAIN_LABELS, idx_bytes([2**32 - 1], b""), "4,294,967,295 labels for 60 images"),
    (TRAIN_LABELS, label_bytes(LABELS[:-1]), "59 labels for 60 images"),
    (TEST_LABELS, label_bytes([1] * 21), "21 labels for 20 images"),
]


@pytest.mark.parametrize("suffix", ["", ".gz"])
@pytest.mark.parametrize(
    ("name", "content", "expected"), CONTENTS, ids=[f"{name}: {text}" for name, _, text in CONTENTS]
)
def test_contents_that_are_refused(
    plain: Path, name: str, content: bytes, expected: str, suffix: str
) -> None:
    (plain / name).unlink()
    write_file(plain / (name + suffix), content)

    text = complaint(plain)

    assert expected in text
    assert text.startswith(str(plain / (name + suffix)))


def test_too_few_images(plain: Path) -> None:
    for total, name, labels in ((1, TRAIN_IMAGES, TRAIN_LABELS), (0, TEST_IMAGES, TEST_LABELS)):
        write_dataset(plain, size=8, gzip=False)
        write_file(plain / name, idx_bytes([total, 8, 8], bytes(64 * total)))
        write_file(plain / labels, label_bytes([0] * total))
        text = complaint(plain)
        assert "at least" in text
        assert name in text


def damaged_gzip(change: Callable[[bytearray], object]) -> bytes:
    data = bytearray(gzip.compress(idx_bytes([60, 8, 8], IMAGES), mtime=0))
    change(data)
    return bytes(data)


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        pytest.param(b"", "the file is empty", id="empty"),
        pytest.param(b"\x1f", "not gzip data", id="one byte"),
        pytest.param(idx_bytes([60, 8, 8], IMAGES), "not gzip data", id="not packed"),
        pytest.param(b"\x1f\x8b", "cut short", id="only the magic"),
        pytest.param(b"\x1f\x8b\x07" + bytes(20), "gzip data are damaged", id="unknown method"),
        pytest.param(
            damaged_gzip(lambda data: data.__delitem__(slice(-9, None))),
            "cut short",
            id="no trailer",
        ),
        pytest.param(
            damaged_gzip(lambda data: data.__delitem__(slice(200, None))), "cut short", id="half"
        ),
        pytest.param(
            damaged_gzip(lambda data: data.__setitem__(-8, data[-8] ^ 1)),
            "CRC check failed",
            id="checksum",
        ),
        pytest.param(
            damaged_gzip(lambda data: data.__setitem__(-1, data[-1] ^ 1)),
            "gzip data are damaged",
            id="length",
        ),
        pytest.param(
            damaged_gzip(lambda data: data.__setitem__(10, 0xFF)),
            "gzip data are damaged",
            id="first block",
        ),
        pytest.param(
            damaged_gzip(lambda data: data.extend(b"junk")),
            "gzip data are damaged",
            id="junk after it",
        ),
    ],
)
def test_gzip_data_that_are_refused(packed: Path, content: bytes, expected: str) -> None:
    (packed / f"{TRAIN_IMAGES}.gz").write_bytes(content)

    text = complaint(packed)

    assert expected in text
    assert f"{TRAIN_IMAGES}.gz" in text


def test_a_gzip_bomb_is_not_unpacked(packed: Path) -> None:
    bomb = idx_bytes([60, 8, 8], bytes(64 << 20))
    write_file(packed / f"{TRAIN_IMAGES}.gz", bomb)
    del bomb

    tracemalloc.start()
    text = complaint(packed)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert "more follows the 3,840 bytes" in text
    assert peak < 4 << 20


# --- labels


def relabel(folder: Path, train: Iterable[int], test: Iterable[int], code: int = INT) -> Path:
    """Replace the whole dataset: one blank image per label."""
    shutil.rmtree(folder)
    for split, labels in (("train", list(train)), ("t10k", list(test))):
        images = idx_bytes([len(labels), 8, 8], bytes(64 * len(labels)))
        write_file(folder / f"{split}-images-idx3-ubyte", images)
        write_file(folder / f"{split}-labels-idx1-int", label_bytes(labels, code=code))
    return folder


def test_letters_that_start_at_one_are_shifted(plain: Path) -> None:
    data = read(relabel(plain, range(1, 27), [1, 26]))

    assert data.classes == 26
    assert list(data.train_labels) == list(range(26))
    assert list(data.test_labels) == [0, 25]


def test_given_classes_decide_whether_labels_are_shifted(plain: Path) -> None:
    relabel(plain, range(1, 27), [1, 26])

    shifted, kept = read(plain, classes=26), read(plain, classes=27)

    assert (shifted.classes, shifted.train_labels[0]) == (26, 0)
    assert (kept.classes, kept.train_labels[0]) == (27, 1)


def test_labels_wider_than_a_byte(plain: Path) -> None:
    data = read(relabel(plain, range(300), [299, 256], code=SHORT))

    assert data.classes == 300
    assert list(data.train_labels) == list(range(300))
    assert list(data.test_labels) == [299, 256]


def test_the_writer_uses_wide_labels_for_many_classes(tmp_path: Path) -> None:
    write_dataset(tmp_path, size=20, classes=300, train=300, test=1)

    assert read(tmp_path).classes == 300


def test_a_wild_training_label_is_named(plain: Path) -> None:
    relabel(plain, [*range(10), 200, 200, 250], [0])

    text = complaint(plain)

    assert "label 200 occurs 2 times, but label 10 never does" in text
    assert "--classes 251" in text
    assert read(plain, classes=251).classes == 251


@pytest.mark.parametrize(
    ("train", "test", "classes", "expected"),
    [
        ([1, 2, 3], [0], None, "label 1 occurs 1 time, but label 0 never does"),
        ([2, 3], [2], None, "label 2 occurs 1 time, but label 0 never does"),
        ([1, 2, 5], [1], None, "label 5 occurs 1 time, but label 3 never does"),
        ([-3, 0, 1], [1], None, "label -3 occurs 1 time, but labels start at 0"),
        ([0, 1, 2**31 - 1], [1], None, "label 2147483647 occurs 1 time, but label 2 never"),
        ([0, 0, 0], [0], None, "1 class; a dataset needs 2 to 1,000"),
        ([1, 1, 1], [1], None, "1 class; a dataset needs 2 to 1,000"),
        (range(1001), [0], None, "1,001 classes; a dataset needs"),
        ([0, 1], [0], 1, "1 class; a dataset needs"),
        ([0, 1], [0], 2000, "2,000 classes; a dataset needs"),
        ([0, 1], [0, 2, 2], None, "label 2 occurs 2 times, outside 0 to 1"),
        ([0, 1], [0, -1], None, "label -1 occurs 1 time, outside 0 to 1"),
        ([0, 1, 2, 2], [0], 2, "label 2 occurs 2 times, outside 0 to 1, the 2 classes; check"),
        ([0, 1, -1], [0], 2, "label -1 occurs 1 time, outside 0 to 1"),
        ([1, 2], [3], None, "label 3 occurs 1 time, outside 1 to 2"),
    ],
)
def test_labels_that_are_refused(
    plain: Path, train: Iterable[int], test: Iterable[int], classes: int | None, expected: str
) -> None:
    assert expected in complaint(relabel(plain, train, test), classes)


def test_no_hint_at_more_classes_than_there_can_be(plain: Path) -> None:
    assert "--classes" not in complaint(relabel(plain, [0, 1, 1000], [0]))
    assert "--classes 1000" in complaint(relabel(plain, [0, 1, 999], [0]))


def test_a_class_that_is_lacking_on_purpose_is_counted(plain: Path) -> None:
    """Sign Language MNIST has the letters a to y, but no j: it needs a movement."""
    labels = [n for n in range(25) if n != 9] * 12

    data = read(relabel(plain, labels, labels))

    assert data.classes == 25
    assert list(data.train_labels) == labels
    assert read(plain, classes=30).classes == 30


@pytest.mark.parametrize(
    "labels",
    [
        pytest.param([*range(10)] * 50 + [12] * 9, id="few of it"),
        pytest.param([*range(10)] * 500 + [12] * 30, id="rare"),
        pytest.param([0, 1, 40] * 20, id="most are lacking"),
    ],
)
def test_labels_that_indicate_damage_stay_refused(plain: Path, labels: list[int]) -> None:
    text = complaint(relabel(plain, labels, [0]))

    assert "never does; get the file again, or give --classes" in text


# --- arbitrary content


def mutated(data: bytes, rng: random.Random) -> bytes:
    """Damage a file as disks, networks and people do."""
    changed = bytearray(data)
    for _ in range(rng.choice((1, 1, 1, 2, 8))):
        at = rng.randrange(min(len(changed), rng.choice((4, 16, 32, 1 << 20))) or 1)
        match rng.randrange(6):
            case 0:
                changed[at : at + 1] = bytes([rng.choice((0, 1, 3, 8, 127, 128, 255))])
            case 1:
                changed[at : at + 1] = rng.randbytes(1)
            case 2:
                del changed[at:]
            case 3:
                del changed[at : at + rng.randrange(1, 64)]
            case 4:
                changed[at:at] = rng.randbytes(rng.randrange(1, 64))
            case _:
                changed += changed[: rng.randrange(1, 64)]
    return bytes(changed)


@pytest.mark.parametrize("rounds", [200, pytest.param(4_000, marks=pytest.mark.slow)])
def test_no_content_raises_anything_but_an_input_error(tmp_path: Path, rounds: int) -> None:
    rng = random.Random(6)
    folders = [
        write_dataset(tmp_path / kind, size=8, gzip=kind == "gz") for kind in ("gz", "plain")
    ]
    files = [path for folder in folders for path in sorted(folder.iterdir())]
    refused = 0
    for _ in range(rounds):
        path = rng.choice(files)
        whole = path.read_bytes()
        path.write_bytes(mutated(whole, rng))
        problem = None
        try:
            data = read(path.parent)
        except InputError as error:
            problem = str(error)
        path.write_bytes(whole)
        if problem is None:
            assert len(data.train_images) == data.size**2 * data.train_total
            assert set(data.train_labels) | set(data.test_labels) <= set(range(data.classes))
        else:
            refused += 1
            assert problem.isprintable()
            assert str(path.parent) in problem
    assert refused > rounds / 2
