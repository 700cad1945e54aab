from __future__ import annotations

import io
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tui_trainer.data import npy_array
from tui_trainer.data.idx import RawDataset, content_digest
from tui_trainer.data.image_store import ImageStore, is_mapped
from tui_trainer.data.npz_files import Dataset, holds_arrays, read_arrays_of
from tui_trainer.protocol.errors import InputError

Arrays = dict[str, Any]


def make_arrays(channels: int = 3, *, size: int = 8, classes: int = 4, seed: int = 0) -> Arrays:
    """Return the arrays of a small dataset: 24 training and 8 test images, channels last."""
    rng = np.random.default_rng(seed)
    arrays: Arrays = {}
    for split, total in (("train", 24), ("test", 8)):
        arrays[f"x_{split}"] = rng.integers(0, 256, (total, size, size, channels), np.uint8)
        arrays[f"y_{split}"] = np.arange(total) % classes
    return arrays


@pytest.fixture
def arrays() -> Arrays:
    return make_arrays()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "tiny.npz"


def write(path: Path, arrays: Arrays, *, packed: bool = False) -> Path:
    (np.savez_compressed if packed else np.savez)(path, **arrays)
    return path


def read(path: Path, classes: int | None = None, most: int | None = None) -> RawDataset:
    return found(path, classes, most).raw


def found(path: Path, classes: int | None = None, most: int | None = None) -> Dataset:
    store = ImageStore(path.parent / "decoded", most)
    return read_arrays_of(path, name="tiny", store=store, classes=classes)


def complaint(path: Path, classes: int | None = None) -> str:
    """Return the message about arrays that must be refused: one line."""
    with pytest.raises(InputError) as caught:
        read(path, classes)
    text = str(caught.value)
    assert text.isprintable()
    assert str(path.parent) in text
    return text


def planes(images: Any) -> bytes:
    """Return images with channels last as planes."""
    return np.ascontiguousarray(images.transpose(0, 3, 1, 2)).tobytes()


@pytest.mark.parametrize("packed", [False, True], ids=["stored", "deflated"])
@pytest.mark.parametrize("channels", [1, 3])
def test_images_and_labels_are_read(
    arrays: Arrays, path: Path, packed: bool, channels: int
) -> None:
    arrays = make_arrays(channels)

    raw = read(write(path, arrays, packed=packed))

    assert (raw.size, raw.channels, raw.classes) == (8, channels, 4)
    assert bytes(raw.train_images) == planes(arrays["x_train"])
    assert bytes(raw.test_images) == planes(arrays["x_test"])
    assert list(raw.train_labels) == arrays["y_train"].tolist()
    assert raw.class_names == ()
    assert raw.val_total == 0


LAYOUTS: dict[str, Any] = {
    "channels first": lambda x: np.ascontiguousarray(x.transpose(0, 3, 1, 2)),
    "Fortran": np.asfortranarray,
    "int64": lambda x: x.astype(np.int64),
    "big-endian": lambda x: x.astype(">u2"),
    "float32, 0 to 1": lambda x: (x / 255).astype(np.float32),
    "float16, 0 to 255": lambda x: x.astype(np.float16),
    "float64, big-endian": lambda x: x.astype(">f8"),
}


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("most", [None, 10], ids=["resident", "mapped"])
def test_other_layouts_hold_the_same_images(
    arrays: Arrays, path: Path, layout: str, most: int | None
) -> None:
    wanted = content_digest(read(write(path, arrays)))
    changed = {k: LAYOUTS[layout](v) if k[0] == "x" else v for k, v in arrays.items()}
    write(path, changed)
    if layout == "Fortran" and most:
        with pytest.raises(InputError, match="save it in C order"):
            read(path, most=most)
        return

    raw = read(path, most=most)

    assert content_digest(raw) == wanted
    assert is_mapped(raw.train_images) == is_mapped(raw.test_images) == (most is not None)


def test_a_part_of_an_archive_is_kept_for_the_next_run(arrays: Arrays, path: Path) -> None:
    write(path, arrays)
    read(path, most=0)
    kept = {each: each.stat().st_mtime_ns for each in (path.parent / "decoded").iterdir()}

    read(path, most=0)

    assert len(kept) == 2
    assert kept == {each: each.stat().st_mtime_ns for each in (path.parent / "decoded").iterdir()}


def test_gray_images_without_channels(path: Path) -> None:
    arrays = make_arrays(1)
    wanted = content_digest(read(write(path, arrays)))

    squeezed = {k: v[..., 0] if k[0] == "x" else v for k, v in arrays.items()}

    assert content_digest(read(write(path, squeezed))) == wanted


@pytest.mark.parametrize(
    ("change", "note"),
    [
        (lambda x: x, None),
        (lambda x: x.astype(np.int32), None),
        (lambda x: x > 99, "its images hold booleans: true becomes 255"),
        (lambda x: x / 255, "multiplied by 255 and rounded"),
        (lambda x: x * 0.99, "numbers from 0 to 255: they are rounded to bytes"),
    ],
    ids=["bytes", "integers", "booleans", "unit", "floats"],
)
def test_the_scale_is_reported(arrays: Arrays, path: Path, change: Any, note: str | None) -> None:
    changed = {k: change(v) if k[0] == "x" else v for k, v in arrays.items()}

    data = found(write(path, changed))

    assert len(data.notes) == (note is not None)
    assert note is None or note in data.notes[0]
    factor = {"booleans": 255, "multiplied": 255}.get((note or "").split(" ")[0], 1)
    if note and "booleans" in note:
        factor = 255
    expected = np.rint(changed["x_train"].astype(float) * factor).astype(np.uint8)
    assert bytes(data.raw.train_images) == planes(expected)


LABELS: dict[str, Any] = {
    "column": lambda y: y[:, None],
    "one-hot": lambda y: np.eye(4)[y],
    "one-hot booleans": lambda y: np.eye(4, dtype=bool)[y],
    "one-hot bytes": lambda y: np.eye(4, dtype=np.uint8)[y],
    "bytes": lambda y: y.astype(np.uint8),
    "uint64, big-endian": lambda y: y.astype(">u8"),
    "floats": lambda y: y.astype(np.float32),
    "from 1": lambda y: y + 1,
    "Fortran": lambda y: np.asfortranarray(np.eye(4)[y]),
}


@pytest.mark.parametrize("kind", LABELS)
def test_labels_of_any_kind(arrays: Arrays, path: Path, kind: str) -> None:
    changed = {k: LABELS[kind](v) if k[0] == "y" else v for k, v in arrays.items()}

    raw = read(write(path, changed))

    assert list(raw.train_labels) == arrays["y_train"].tolist()
    assert raw.classes == 4


def test_validation_images_come_last(arrays: Arrays, path: Path) -> None:
    arrays |= {"x_val": arrays["x_test"][:6], "y_val": arrays["y_test"][:6]}

    raw = read(write(path, arrays))

    assert (raw.train_total, raw.val_total) == (30, 6)
    assert bytes(raw.train_images) == planes(arrays["x_train"]) + planes(arrays["x_val"])
    assert list(raw.train_labels[24:]) == arrays["y_val"].tolist()


def test_the_names_of_medmnist(arrays: Arrays, path: Path) -> None:
    renamed = {}
    for split in ("train", "val", "test"):
        known = "test" if split == "val" else split
        renamed[f"{split}_images"] = arrays[f"x_{known}"]
        renamed[f"{split}_labels"] = arrays[f"y_{known}"][:, None]

    raw = read(write(path, renamed))

    assert (raw.train_total, raw.val_total, raw.test_total) == (32, 8, 8)


@pytest.mark.parametrize("kind", ["<U9", ">U9", "S9"])
def test_class_names(arrays: Arrays, path: Path, kind: str) -> None:
    names = ["cat", "dog", "red panda", "owl"]
    arrays["class_names"] = np.array(names).astype(kind)

    raw = read(write(path, arrays))

    assert raw.class_names == tuple(names)


@pytest.mark.parametrize("order", ["<", ">"])
def test_names_of_no_characters(arrays: Arrays, path: Path, order: str) -> None:
    codes = np.array([65, 0x110000, 66, 67], f"{order}u4")
    arrays["class_names"] = codes.view(f"{order}U1")

    assert "class_names: numbers that are no characters" in complaint(write(path, arrays))


def test_more_names_than_labels_are_more_classes(arrays: Arrays, path: Path) -> None:
    arrays["class_names"] = np.array(["cat", "dog", "owl", "猫", "elk"])

    raw = read(write(path, arrays))

    assert (raw.classes, raw.class_names[3]) == (5, "猫")


def test_a_folder_with_an_archive_and_one_with_arrays(arrays: Arrays, tmp_path: Path) -> None:
    (tmp_path / "one").mkdir()
    (tmp_path / "four").mkdir()
    write(tmp_path / "one" / "a.npz", arrays)
    for name, array in arrays.items():
        np.save(tmp_path / "four" / f"{name}.npy", array)

    assert holds_arrays(tmp_path / "one")
    assert holds_arrays(tmp_path / "four")
    assert not holds_arrays(tmp_path)
    assert content_digest(read(tmp_path / "one")) == content_digest(read(tmp_path / "four"))


def test_two_archives_in_a_folder(arrays: Arrays, tmp_path: Path) -> None:
    for name in ("a.npz", "b.npz"):
        write(tmp_path / name, arrays)

    assert "more than one .npz file there (a.npz, b.npz)" in complaint(tmp_path)


# --- arrays that are refused


def test_missing_arrays_are_named_with_what_is_there(arrays: Arrays, path: Path) -> None:
    del arrays["y_test"]
    arrays["extra\n"] = np.arange(3)

    text = complaint(write(path, arrays))

    assert "y_test not found" in text
    assert "x_train, y_train, x_test" in text
    assert "add what is missing" in text


class Runs:
    """Creates a file when it is read from a pickle."""

    def __init__(self, path: Path) -> None:
        self.path = str(path)

    def __reduce__(self) -> tuple[Any, ...]:
        return open, (self.path, "w")


@pytest.mark.parametrize("key", ["x_train", "y_train", "class_names"])
def test_object_arrays_are_not_unpickled(
    arrays: Arrays, path: Path, tmp_path: Path, key: str
) -> None:
    trap = np.empty(24, object)
    trap[:] = Runs(tmp_path / "executed")
    arrays[key] = trap
    np.savez(path, allow_pickle=True, **arrays)

    text = complaint(path)

    assert f"{key}: holds Python objects, a pickle, which is not read" in text
    assert not (tmp_path / "executed").exists()


@pytest.mark.parametrize(
    ("key", "array", "expected"),
    [
        ("x_train", np.zeros((24, 64), np.uint8), "(24, 64); needs numbers, shape (N, H, W)"),
        ("x_train", np.zeros((24, 8, 8, 4), np.uint8), "(24, 8, 8, 4); needs numbers"),
        ("x_train", np.zeros((24, 8, 9, 3), np.uint8), "images of 8×9 pixels"),
        ("x_train", np.zeros((24, 7, 7), np.uint8), "images of 7×7 pixels"),
        ("x_train", np.zeros((1, 300, 300), np.uint8), "images of 300×300 pixels"),
        ("x_train", np.zeros(()), "(); needs numbers"),
        ("x_train", np.full((24, 8, 8, 3), "a"), "text; needs numbers"),
        ("x_train", np.full((24, 8, 8, 3), -0.5), "numbers from -0.5 to -0.5"),
        ("x_train", np.full((24, 8, 8, 3), 256), "numbers from 256 to 256"),
        ("x_train", np.full((24, 8, 8, 3), np.nan), "not finite"),
        ("x_train", np.full((24, 8, 8, 3), np.inf), "not finite"),
        ("x_train", np.full((24, 8, 8, 3), 0.5), "images of different scales (x_train numbers"),
        ("x_train", np.zeros((24, 8, 8, 3), complex), "holds items of type <c16"),
        ("x_test", np.zeros((8, 8, 8), np.uint8), "8×8 pixels, 1 channel, those for training"),
        ("x_train", np.zeros((0, 8, 8, 3), np.uint8), "24 labels for 0 images"),
        ("y_train", np.zeros(23), "23 labels for 24 images"),
        ("y_train", np.zeros((24, 2, 2)), "labels of shape (24, 2, 2)"),
        ("y_train", np.zeros((24, 0)), "labels of shape (24, 0)"),
        ("y_train", np.ones((24, 3)), "rows of 3 numbers that are not one-hot"),
        ("y_train", np.full(24, 0.5), "label 0.5 is no class"),
        ("y_train", np.full(24, np.nan), "label nan is no class"),
        ("y_train", np.full(24, 2**63, np.uint64), "label 9223372036854775808 is no class"),
        ("y_train", np.arange(24) - 1, "label -1 occurs 1 time, but labels start at 0"),
        ("y_train", np.full(24, "cat"), "text; needs the number of each image's class"),
        ("class_names", np.arange(4), "no text"),
        ("class_names", np.array(["a"]), "1 names"),
        ("class_names", np.array([["a", "b"]]), "shape (1, 2)"),
        ("class_names", np.array(["a", "b"]), "outside 0 to 1, the 2 classes"),
    ],
    ids=str,
)
def test_unusable_arrays(arrays: Arrays, path: Path, key: str, array: Any, expected: str) -> None:
    arrays[key] = array

    assert expected in complaint(write(path, arrays))


def test_names_and_another_number_of_classes(arrays: Arrays, path: Path) -> None:
    arrays["class_names"] = np.array(["a", "b", "c", "d"])

    assert "--classes 7, but class_names has 4 names" in complaint(write(path, arrays), 7)


def test_one_of_two_validation_arrays(arrays: Arrays, path: Path) -> None:
    arrays["y_val"] = np.zeros(3)

    assert "x_val not found" in complaint(write(path, arrays))


def header(shape: str, descr: str = "'|u1'") -> bytes:
    text = f"{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}, }}\n".encode()
    return b"\x93NUMPY\1\0" + len(text).to_bytes(2, "little") + text


def with_member(path: Path, arrays: Arrays, name: str, content: bytes) -> Path:
    """Write an archive in which a member has any content."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for key, array in arrays.items():
            buffer = io.BytesIO()
            np.save(buffer, array)
            archive.writestr(f"{key}.npy", content if key == name else buffer.getvalue())
    return path


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"", "it is cut short"),
        (b"\x93NUMPY\1\0\xff\xff" + b" " * 70_000, "claims 65,535 bytes"),
        (b"\x80\4K\1.", "it is cut short"),
        (b"\x80\4K\1." * 9, "no array of NumPy's format"),
        (header("(24, 8, 8)") + bytes(5), "5 bytes for (24, 8, 8) items of 1"),
        (header("(24, 8, 8)") + bytes(24 * 64 + 1), "1,537 bytes for (24, 8, 8) items"),
        (header("(2**40, 8, 8)"), "its header is damaged"),
        (header("(1099511627776, 8, 8)"), "0 bytes for (1,099,511,627,776, 8, 8)"),
        (header("(-1, 8, 8)"), "its header is damaged"),
        (header("(True, 8, 8)"), "its header is damaged"),
        (header("[24, 8, 8]"), "its header is damaged"),
        (header("(" * 3_000), "its header is damaged"),
        (header("(24,)", "[('a', '|u1')]"), "holds items of type"),
        (header("(24,)", "'|u77777'"), "holds items of type"),
        (header("(24,)", "('|u1', (99,))"), "holds items of type"),
    ],
)
def test_damaged_members(arrays: Arrays, path: Path, content: bytes, expected: str) -> None:
    assert expected in complaint(with_member(path, arrays, "x_train", content))


def test_an_archive_that_unpacks_to_too_much(
    arrays: Arrays, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(npy_array, "BOMB_BYTES", 1 << 20)
    arrays["x_train"] = np.zeros((9_000, 16, 16), np.uint8)

    assert "unpacks to 2.3 MB" in complaint(write(path, arrays, packed=True))


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"", "the file is empty"),
        (b"\x80\4K\1.", "it is a pickle"),
        (b"hello world", "not an .npz archive: it starts with 68 65 6c 6c"),
        (b"PK\3\4", "not a zip file"),
    ],
)
def test_files_that_are_no_archives(path: Path, content: bytes, expected: str) -> None:
    path.write_bytes(content)

    assert expected in complaint(path)


def test_a_flipped_byte_fails_the_checksum(arrays: Arrays, path: Path) -> None:
    content = bytearray(write(path, arrays).read_bytes())
    content[1_000] ^= 1
    path.write_bytes(content)

    assert "Bad CRC-32" in complaint(path)


def test_an_encrypted_member(arrays: Arrays, path: Path) -> None:
    content = bytearray(write(path, arrays).read_bytes())
    place = content.index(b"PK\1\2")
    content[place + 8] |= 1
    path.write_bytes(content)

    assert "encrypted" in complaint(path)


def test_a_member_twice(arrays: Arrays, path: Path) -> None:
    write(path, arrays)
    with zipfile.ZipFile(path, "a") as archive, pytest.warns(UserWarning, match="Duplicate"):
        archive.writestr("x_test.npy", b"")

    assert "has x_test twice" in complaint(path)
