from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.io

from tests.data.binary_files import make_images
from tests.data.matlab_files import DOUBLE, HEADER, element, matrix, packed, svhn_bytes, write_svhn
from tui_trainer.data.idx import content_digest
from tui_trainer.data.image_store import ImageStore, is_mapped
from tui_trainer.data.matlab_file import holds_svhn, read_matlab, read_svhn
from tui_trainer.protocol.errors import InputError

STORE = ImageStore(Path("no mapped files"))


def complaint(path: Path, content: bytes) -> str:
    path.write_bytes(content)
    with pytest.raises(InputError) as caught:
        read_matlab(path, ("X", "y"))
    text = str(caught.value)
    assert text.isprintable()
    assert path.name in text
    return text


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "a.mat"


@pytest.mark.parametrize("compressed", [False, True], ids=["plain", "compressed"])
@pytest.mark.parametrize("dtype", ["u1", "i2", "u4", "f4", "f8", "i8"])
def test_arrays_are_read_as_scipy_writes_them(path: Path, compressed: bool, dtype: str) -> None:
    rng = np.random.default_rng(0)
    x = rng.integers(0, 100, (5, 4, 3, 2)).astype(dtype)
    y = np.arange(7).astype(dtype)[:, None]
    others: dict[str, Any] = {"text": "hello", "more": {"a": 1}, "z": np.eye(3) * 1j}
    scipy.io.savemat(path, {**others, "X": x, "y": y}, do_compression=compressed)

    found = read_matlab(path, ("X", "y"))

    for name, wanted in (("X", x), ("y", y)):
        shape, numbers = found[name]
        assert shape == wanted.shape
        np.testing.assert_array_equal(numbers.reshape(shape, order="F"), wanted)


def test_images_of_svhn_are_those_that_scipy_reads(tmp_path: Path) -> None:
    folder = write_svhn(tmp_path)

    raw = read_svhn(folder, name="svhn", store=STORE)
    theirs = scipy.io.loadmat(folder / "train_32x32.mat")

    assert holds_svhn(folder)
    planes = np.ascontiguousarray(theirs["X"].transpose(3, 2, 0, 1))
    assert bytes(raw.train_images) == planes.tobytes()
    assert list(raw.train_labels) == (theirs["y"][:, 0] % 10).astype(int).tolist()


def test_images_of_svhn_in_a_mapped_file_are_the_same(tmp_path: Path) -> None:
    folder = write_svhn(tmp_path / "data")

    apart = read_svhn(folder, name="svhn", store=ImageStore(tmp_path / "decoded", 0))

    assert is_mapped(apart.train_images)
    assert content_digest(apart) == content_digest(read_svhn(folder, name="svhn", store=STORE))


def test_a_big_endian_file(path: Path) -> None:
    flags = struct.pack(">II", 6, 8) + struct.pack(">II", 9, 0)
    dimensions = struct.pack(">II", 5, 8) + struct.pack(">ii", 2, 1)
    name = struct.pack(">I", 1 << 16 | 1) + b"y\0\0\0"
    numbers = struct.pack(">I", 4 << 16 | 3) + struct.pack(">hh", 3, 300)
    body = flags + dimensions + name + numbers
    path.write_bytes(HEADER[:126] + b"MI" + struct.pack(">II", 14, len(body)) + body)

    shape, found = read_matlab(path, ("y",))["y"]

    assert (shape, found.tolist()) == ((2, 1), [3, 300])


X = matrix("X", (2, 2), b"1234")
Y = matrix("y", (2, 1), b"12")


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"", "the file is empty"),
        (b"\x89HDF\r\n" + bytes(200), "not a file of MATLAB 5"),
        (HEADER[:127], "not a file of MATLAB 5"),
        (HEADER, "has no array X or y"),
        (HEADER + X, "has no array y"),
        (HEADER + X[:-1], "cut short"),
        (HEADER + b"123", "cut short"),
        (HEADER + X + Y + X, "X twice"),
        (HEADER + packed(X)[:-3], "cut short"),
        (HEADER + element(15, b"no zlib data", padded=False), "incorrect header check"),
        (HEADER + struct.pack("<II", 14, 2**31), "cut short"),
        (HEADER + matrix("X", (2, 3), b"1234"), "X is no array of its dimensions"),
        (HEADER + matrix("X", (-2, -2), b"1234"), "X is no array of its dimensions"),
        (HEADER + matrix("X", (), b"1234"), "X is no array of its dimensions"),
        (HEADER + X.replace(struct.pack("<II", 9, 0), struct.pack("<II", 4, 0)), "no array of num"),
        (HEADER + X.replace(struct.pack("<II", 9, 0), struct.pack("<II", 2057, 0)), "no array of"),
    ],
)
def test_damaged_files(path: Path, content: bytes, expected: str) -> None:
    assert expected in complaint(path, content)


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (HEADER + matrix("X", (8, 8, 3, 1), bytes(192)) + matrix("y", (1, 1), b"\1"), "X is 8, 8"),
        (
            HEADER
            + matrix("X", (32, 32, 3, 1), bytes(3072), kind=DOUBLE)
            + matrix("y", (1, 1), b"1"),
            "X is 32",
        ),
        (svhn_bytes(make_images(3)[0], [1, 2]), "X is no array of its dimensions"),
        (svhn_bytes(make_images(3)[0], [1, 2, 11]), "labels outside 1 to 10"),
    ],
)
def test_other_arrays_than_those_of_svhn(tmp_path: Path, content: bytes, expected: str) -> None:
    folder = write_svhn(tmp_path)
    (folder / "train_32x32.mat").write_bytes(content)

    with pytest.raises(InputError, match=expected):
        read_svhn(folder, name="svhn", store=STORE)


def test_a_missing_file_of_svhn_is_named(tmp_path: Path) -> None:
    (write_svhn(tmp_path) / "test_32x32.mat").unlink()

    with pytest.raises(InputError, match=r"test_32x32\.mat not found"):
        read_svhn(tmp_path, name="svhn", store=STORE)
