"""Pictures of every format, size and depth become one dataset, or are left out with a reason."""

from __future__ import annotations

import contextlib
import os
import struct
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image, PngImagePlugin

from tests.data.pictures import FORMS, gray, picture, write_tree
from tui_trainer.data import decoded_cache, image_store, picture_decoding, picture_fitting
from tui_trainer.data.idx import RawDataset, content_digest
from tui_trainer.data.image_store import is_mapped
from tui_trainer.data.loading import load
from tui_trainer.data.picture_folder import read_class_folders
from tui_trainer.protocol.config import RunConfig
from tui_trainer.protocol.errors import InputError
from tui_trainer.protocol.events import DatasetWarning, DecodeProgress

Bytes = NDArray[np.uint8]


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "mnist-tui" / "decoded"


class Reading:
    """A dataset, and what was reported while it was read."""

    def __init__(self, folder: Path, **settings: Any) -> None:
        self.warnings: list[DatasetWarning] = []
        self.progress: list[DecodeProgress] = []
        reading = read_class_folders(folder, RunConfig(**settings))
        while True:
            try:
                event = next(reading)
            except StopIteration as end:
                self.raw: RawDataset = end.value
                break
            if isinstance(event, DecodeProgress):
                self.progress.append(event)
            else:
                self.warnings.append(event)

    @property
    def lines(self) -> list[str]:
        return [each.message for each in self.warnings]

    @property
    def train(self) -> Bytes:
        shape = (-1, self.raw.channels, self.raw.size, self.raw.size)
        return np.frombuffer(self.raw.train_images, np.uint8).reshape(shape)


def error_of(folder: Path, **settings: Any) -> str:
    with pytest.raises(InputError) as caught:
        Reading(folder, **settings)
    assert str(caught.value).isprintable()
    return str(caught.value)


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    return write_tree(tmp_path / "data", each=4)


def first_of(tree: Path) -> Path:
    return tree / "train" / "cat" / "0.png"


def planes(made: Image.Image) -> Bytes:
    return np.asarray(made.convert("RGB")).transpose(2, 0, 1)


def test_pictures_become_planes_with_labels_and_names(tree: Path) -> None:
    write_tree(tree, ("val",), each=2)
    found = Reading(tree)
    raw = found.raw

    assert (raw.name, raw.size, raw.channels, raw.classes) == ("data", 32, 3, 2)
    assert raw.class_names == ("cat", "dog")
    assert list(raw.train_labels) == [0] * 4 + [1] * 4 + [0, 0, 1, 1]
    assert (raw.val_total, raw.test_total) == (4, 8)
    assert (found.train[5] == planes(picture(1, 1))).all()
    assert (found.train[8] == planes(picture(0, 0))).all()


def test_the_whole_way_to_a_dataset_on_a_device(tree: Path) -> None:
    loading = load(RunConfig(data_dir=str(tree), val_size=2), torch.device("cpu"))
    with contextlib.suppress(StopIteration):
        while True:
            next(loading)
    data = None
    loading = load(RunConfig(data_dir=str(tree), val_size=2), torch.device("cpu"))
    try:
        while True:
            next(loading)
    except StopIteration as end:
        data = end.value
    assert (len(data.train), len(data.val), len(data.test), data.shape) == (6, 2, 8, (32, 32, 3))


@pytest.mark.parametrize("name", FORMS)
def test_every_format_and_mode(tree: Path, name: str, capfd: pytest.CaptureFixture[str]) -> None:
    made = picture(2, 5)
    first_of(tree).unlink()
    FORMS[name](made, first_of(tree).parent / name)
    found = Reading(tree)

    expected = planes(made).astype(float)
    if name.startswith(("gray", "deep", "one-bit")):
        expected = np.stack([np.asarray(made.convert("L"), float)] * 3)
    if name == "transparent.png":
        expected = (expected + 255) / 2
    index = sorted([name, "1.png", "2.png", "3.png"]).index(name)
    if name == "one-bit.png":  # black and white dots, as many white ones as it is bright
        assert abs(found.train[index].mean() - expected.mean()) < 6
    else:
        assert np.abs(found.train[index] - expected).mean() < 4
    assert found.lines == []
    assert capfd.readouterr() == ("", "")


def test_gray_pictures_have_one_channel_unless_it_is_forced(tmp_path: Path) -> None:
    tree = write_tree(tmp_path, make=lambda label, number: gray(label, number).convert("RGB"))
    found = Reading(tree)

    assert found.raw.channels == 1
    assert (found.train[0, 0] == np.asarray(gray())).all()
    assert (Reading(tree, channels=3).train == found.train.repeat(3, axis=1)).all()


def test_a_single_picture_with_colors_gives_all_three_channels(tmp_path: Path) -> None:
    tree = write_tree(tmp_path, each=40, make=gray)
    picture().save(tree / "train" / "cat" / "39.png")

    assert Reading(tree).raw.channels == 3
    found = Reading(tree, channels=1)
    luminance = np.asarray(picture().convert("L"))
    assert found.raw.channels == 1
    assert (found.train[33, 0] == luminance).all()  # sorted as text, 39.png is at place 33


def test_the_size_is_that_of_the_pictures_if_all_are_equal(tmp_path: Path) -> None:
    def of_size(*size: int) -> Callable[[int, int], Image.Image]:
        return lambda label, number: picture(label, number, (size[0], size[-1]))

    for size, expected in ((20, 20), (128, 128), (7, 32), (129, 32)):
        assert Reading(write_tree(tmp_path / f"{size}", make=of_size(size))).raw.size == expected
    assert Reading(write_tree(tmp_path / "wide", make=of_size(40, 20))).raw.size == 32
    tree = write_tree(tmp_path / "odd", each=40, make=of_size(20))
    picture(size=(21, 21)).save(tree / "train" / "cat" / "39.png")
    assert Reading(tree).raw.size == 32
    assert Reading(tree, image_size=16).raw.size == 16


def test_crop_pad_and_stretch(tmp_path: Path) -> None:
    wide = Image.new("RGB", (120, 40), (255, 0, 0))
    wide.paste((0, 0, 255), (40, 0, 80, 40))
    tree = write_tree(tmp_path, make=lambda label, number: wide)

    def of(fit: str) -> Bytes:
        image: Bytes = Reading(tree, image_size=24, fit=fit, channels=3).train[0]
        return image

    blue = of("crop")[2]
    assert (blue[:, 1:-1] > 250).all()  # the middle third alone
    stretched = of("stretch")[2] > 128
    assert stretched.any(axis=0).tolist() == [False] * 8 + [True] * 8 + [False] * 8
    padded = of("pad")
    assert (padded.sum(axis=0) > 0).any(axis=1).tolist() == [False] * 8 + [True] * 8 + [False] * 8


@pytest.mark.parametrize("fit", ["crop", "pad", "stretch"])
@pytest.mark.parametrize("size", [(1, 900), (900, 1), (1, 1), (3, 5)])
def test_extreme_shapes(tmp_path: Path, fit: str, size: tuple[int, int]) -> None:
    tree = write_tree(tmp_path, make=lambda label, number: picture(label, number, size))
    found = Reading(tree, fit=fit, image_size=16, channels=3)

    assert (found.train.shape[1:], found.raw.train_total) == ((3, 16, 16), 8)


def test_reduction_is_antialiased(tmp_path: Path) -> None:
    fine = Image.new("L", (256, 256))
    for x in range(0, 256, 2):
        fine.paste(255, (x, 0, x + 1, 256))
    tree = write_tree(tmp_path, make=lambda label, number: fine)

    assert np.abs(Reading(tree, image_size=32).train.astype(int) - 127).max() <= 2


# --- hostile files


def bomb(path: Path) -> None:
    Image.new("1", (1, 1)).save(path)
    content = path.read_bytes()  # the size and checksum in the header are replaced
    header = b"IHDR" + struct.pack(">II", 30_000, 30_000) + content[24:29]
    path.write_bytes(content[:12] + header + struct.pack(">I", zlib.crc32(header)) + content[33:])


def text_bomb(path: Path) -> None:
    about = PngImagePlugin.PngInfo()
    about.add_text("comment", "x" * (80 << 20), zip=True)
    picture().save(path, pnginfo=about)


def scans(path: Path) -> None:
    """A progressive JPEG whose last scan, a few bytes, comes hundreds of times."""
    picture().save(path, format="JPEG", progressive=True)
    content = path.read_bytes()
    last = content[content.rindex(b"\xff\xda") : -2]
    path.write_bytes(content[:-2] + 200 * last + content[-2:])


def cut(path: Path) -> None:
    picture(0, 3, (64, 64)).save(path, format="JPEG")
    path.write_bytes(path.read_bytes()[:-100])


def animated(path: Path) -> None:
    frames = [picture(0, number) for number in range(4)]
    frames[0].save(path, format="GIF", save_all=True, append_images=frames[1:])


def write(text: str) -> Callable[[Path], None]:
    def save(path: Path) -> None:
        path.write_text(text)

    return save


HOSTILE: dict[str, tuple[Callable[[Path], None], str]] = {
    "text": (write("a cat"), "is not a picture in a known format"),
    "bomb": (bomb, "has 30,000×30,000 pixels; 64 million can be read"),
    "text bomb": (text_bomb, "is damaged, or not a picture: "),
    "scans": (scans, "is a JPEG of more than 100 scans; save it again"),
    "cut": (cut, "is damaged, or not whole: "),
    "animated": (animated, "is animated, or has pages; give a single frame"),
    "postscript": (
        write("%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n"),
        "is not a picture in a known format",
    ),
}


@pytest.mark.parametrize("case", HOSTILE)
def test_a_hostile_file_is_left_out_and_named(tree: Path, case: str) -> None:
    make, why = HOSTILE[case]
    make(first_of(tree))
    found = Reading(tree)
    (warning,) = found.warnings

    assert warning.message.startswith(f"1 of 16 files left out: train/cat/0.png {why}")
    assert (len(warning.files), found.raw.train_total) == (1, 7)
    assert (found.train[0] == planes(picture(0, 1))).all()


def test_a_bomb_is_never_decoded(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bomb(first_of(tree))
    decode = picture_decoding.on_white

    def watched(file: Image.Image, at_least: tuple[int, int]) -> Any:
        assert file.size == (32, 32)
        return decode(file, at_least)

    monkeypatch.setattr(picture_fitting, "on_white", watched)
    assert Reading(tree).raw.train_total == 7


def test_many_files_are_counted_and_listed(tmp_path: Path) -> None:
    tree = write_tree(tmp_path, each=20)
    for number in range(1, 20):
        (tree / "train" / "dog" / f"{number}.png").write_text("text")
    (tree / "train" / "cat" / "empty.png").touch()
    (warning,) = Reading(tree).warnings

    assert warning.message.startswith("20 of 81 files left out: train/cat/empty.png is empty, ")
    assert warning.message.endswith(" and 17 more")
    assert len(warning.files) == 20


def test_a_class_of_damaged_pictures_is_named(tree: Path) -> None:
    for path in (tree / "train" / "dog").iterdir():
        path.write_text("text")

    assert Reading(tree).lines[0] == (
        "class dog has no training images, of 2 classes; the others are trained"
    )


@pytest.mark.parametrize("split", ["train", "test"])
def test_a_split_without_usable_pictures(tree: Path, split: str) -> None:
    for path in (tree / split).rglob("*.png"):
        path.write_text("text")
    least = "2" if split == "train" else "1"

    assert error_of(tree).startswith(
        f"{tree}: 0 {'training' if split == 'train' else 'test'} pictures can be decoded; at least "
        f"{least} needed: {split}/cat/0.png is not a picture in a known format"
    )


def test_a_file_that_vanishes_or_becomes_a_pipe_while_reading(
    tree: Path, monkeypatch: pytest.MonkeyPatch, cache: Path
) -> None:
    find = picture_fitting.guess_form

    def vanish(*arguments: Any) -> Any:
        first_of(tree).unlink()
        os.mkfifo(tree / "train" / "cat" / "x")
        os.replace(tree / "train" / "cat" / "x", tree / "train" / "cat" / "1.png")
        return find(*arguments)

    monkeypatch.setattr("tui_trainer.data.picture_folder.guess_form", vanish)
    (line,) = Reading(tree).lines

    assert line == (
        "2 of 16 files left out: train/cat/0.png cannot be read: No such file or directory, "
        "train/cat/1.png cannot be read: not a file"
    )
    assert list(cache.glob("*")) == []  # what may be otherwise next time is not kept


def test_an_unreadable_file(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = Path.open

    def refused(path: Path, *arguments: Any, **named: Any) -> Any:
        if path == first_of(tree):
            raise PermissionError(13, "Permission denied")
        return real(path, *arguments, **named)

    monkeypatch.setattr(Path, "open", refused)
    (line,) = Reading(tree).lines

    assert line == "1 of 16 files left out: train/cat/0.png cannot be read: Permission denied"


def test_the_same_picture_in_training_and_test(tree: Path) -> None:
    write_tree(tree, ("val",), each=1)
    for place in ("test/dog/1.bmp", "train/dog/same.png"):
        picture(0, 0).save(tree / place)

    assert Reading(tree).lines == [
        "1 test picture of 9 also in training, pixel for pixel: the test accuracy is too high; "
        "remove them from one of the two: test/dog/1.bmp = train/cat/0.png",
        "2 validation pictures of 2 also in training, pixel for pixel: the validation accuracy is "
        "too high; remove them from one of the two: val/cat/0.png = train/cat/0.png, "
        "val/dog/0.png = train/dog/0.png",
        "1 training picture also in another class, pixel for pixel: "
        "train/dog/same.png = train/cat/0.png",
    ]


def test_the_number_of_classes_is_that_of_the_folders(tree: Path) -> None:
    assert Reading(tree, classes=2).raw.classes == 2
    assert error_of(tree, classes=3) == (
        f"--classes 3: {tree} has folders of 2 classes; leave it out"
    )


# --- the cache


def never(*_: Any) -> None:
    pytest.fail("a picture was decoded")


def test_the_second_run_decodes_nothing(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tree / "train" / "cat" / "0.png").write_text("text")
    first = Reading(tree)
    monkeypatch.setattr(picture_fitting, "_pixels", never)
    second = Reading(tree)

    assert content_digest(second.raw) == content_digest(first.raw)
    assert second.lines == first.lines
    assert len(second.lines) == 1


@pytest.mark.parametrize(
    "change", ["content", "new", "renamed", "size", "fit", "channels", "damaged", "cut", "moved"]
)
def test_what_changes_is_decoded_again(tree: Path, cache: Path, change: str) -> None:
    before = Reading(tree)
    (file,) = cache.iterdir()
    settings: dict[str, Any] = {}
    match change:
        case "content":
            picture(3, 9).save(first_of(tree))
        case "new":
            picture(3, 9).save(tree / "train" / "cat" / "9.png")
        case "renamed":
            (tree / "train" / "cat").rename(tree / "train" / "zebra")
        case "size" | "fit" | "channels":
            chosen: dict[str, dict[str, Any]] = {
                "size": {"image_size": 16},
                "fit": {"fit": "pad"},
                "channels": {"channels": 1},
            }
            settings = chosen[change]
        case "damaged":
            content = bytearray(file.read_bytes())
            content[1_000] ^= 1
            file.write_bytes(content)
        case "cut":
            file.write_bytes(file.read_bytes()[:-50])
        case "moved":
            tree = tree.rename(tree.with_name("moved"))
    after = Reading(tree, **settings)

    is_same = content_digest(after.raw) == content_digest(before.raw)
    assert is_same == (change in ("fit", "damaged", "cut", "moved"))
    assert len(list(cache.iterdir())) == (1 if change in ("damaged", "cut") else 2)


@pytest.mark.parametrize("about", [{}, [], {"size": 32, "channels": 3}, None])
def test_what_another_version_left_is_decoded_again(tree: Path, cache: Path, about: object) -> None:
    first = Reading(tree)
    (file,) = cache.iterdir()
    with memoryview(bytes(9)) as pixels:
        decoded_cache.DecodedCache(cache).write(file.stem, pixels, about)

    assert content_digest(Reading(tree).raw) == content_digest(first.raw)


@contextlib.contextmanager
def read_only(folder: Path) -> Iterator[None]:
    folder.parent.mkdir(parents=True, exist_ok=True)
    folder.write_text("a file in the place of the folder")
    yield


def test_a_cache_that_cannot_be_written_costs_the_caching_alone(tree: Path, cache: Path) -> None:
    with read_only(cache):
        first = Reading(tree)
        assert content_digest(Reading(tree).raw) == content_digest(first.raw)
    assert first.lines == []


def test_a_full_disk_costs_the_caching_alone(
    tree: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any) -> bytes:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(decoded_cache, "_ending", full)
    assert Reading(tree).raw.train_total == 8
    assert list(cache.iterdir()) == []


def test_the_oldest_files_are_removed(
    tree: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    size = 16 * 3 * 32**2
    monkeypatch.setattr(decoded_cache, "MOST_BYTES", 2 * size + 2_000)
    for age, fit in enumerate(("crop", "pad")):
        Reading(tree, fit=fit)
        for path in cache.iterdir():
            os.utime(path, (path.stat().st_atime, path.stat().st_mtime - 100 * (2 - age)))
    oldest = min(cache.iterdir(), key=lambda path: path.stat().st_mtime)
    Reading(tree, fit="crop")  # used again: it is not the oldest any more
    Reading(tree, fit="stretch")

    assert oldest.exists()
    assert len(list(cache.iterdir())) == 2
    monkeypatch.setattr(decoded_cache, "MOST_BYTES", size // 2)
    assert Reading(tree, image_size=64).raw.size == 64  # too large for the cache


def test_what_a_killed_process_left_is_removed_later(tree: Path, cache: Path) -> None:
    cache.mkdir(parents=True)
    for name, age in ((".old.1.being-written.pictures", 2), (".new.1.being-written.pictures", 0)):
        (cache / name).write_bytes(b"x")
        now = (cache / name).stat().st_mtime - age * decoded_cache.STALE_SECONDS
        os.utime(cache / name, (now, now))
    Reading(tree)

    assert sorted(path.name for path in cache.iterdir())[0] == ".new.1.being-written.pictures"
    assert len(list(cache.iterdir())) == 2


def test_more_than_fits_in_memory_is_mapped(
    tree: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tree / "train" / "cat" / "1.png").write_text("text")
    resident = Reading(tree)
    assert not is_mapped(resident.raw.train_images)
    for path in cache.iterdir():
        path.unlink()
    monkeypatch.setattr(image_store, "available_memory", lambda _: 1_000)
    for _ in range(2):
        mapped = Reading(tree)
        assert is_mapped(mapped.raw.train_images)
        assert is_mapped(mapped.raw.test_images)
        assert content_digest(mapped.raw) == content_digest(resident.raw)
        assert mapped.lines == resident.lines

    for path in cache.iterdir():
        path.unlink()
    cache.rmdir()
    with read_only(cache):
        assert error_of(tree).startswith(
            f"{tree}: cannot store its decoded pictures, 49.2 kB, in {cache}: "
        )


def test_closing_ends_the_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tree = write_tree(tmp_path, each=100)
    monkeypatch.setattr("tui_trainer.data.picture_folder.PROGRESS_INTERVAL", 0.001)
    reading = read_class_folders(tree, RunConfig())
    assert isinstance(next(reading), DecodeProgress)
    reading.close()


def test_progress_counts_all_pictures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tui_trainer.data.picture_folder.PROGRESS_INTERVAL", 0.0)
    found = Reading(write_tree(tmp_path, each=100))

    last = found.progress[-1]
    assert (last.done, last.total) == (400, 400)
    assert last.words == "decoding 400 of 400 pictures"
    assert all(
        a.done <= b.done or a.total != b.total
        for a, b in zip(found.progress, found.progress[1:], strict=False)
    )
