"""Warnings about a dataset in a folder are shown once, and only if they are certain."""

from __future__ import annotations

from array import array
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from tests.data.idx_files import make_part, write_dataset
from tui_trainer.data.dataset_warnings import dataset_warnings
from tui_trainer.data.idx import RawDataset, read_folder
from tui_trainer.data.loading import load
from tui_trainer.protocol.config import RunConfig
from tui_trainer.protocol.events import DatasetWarning


def changed(raw: RawDataset, change: Callable[[torch.Tensor], torch.Tensor]) -> RawDataset:
    images = torch.frombuffer(raw.train_images, dtype=torch.uint8).view(-1, 28, 28)[:2_000]
    pixels = bytearray(change(images).contiguous().numpy().tobytes())
    return replace(raw, train_images=pixels, train_labels=raw.train_labels[:2_000])


LYING = "its digits are transposed"
INVERTED = "its images are dark on light"


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda images: images, []),
        (lambda images: images.transpose(1, 2), [LYING]),
        (lambda images: 255 - images, [INVERTED]),
        (lambda images: 255 - images.transpose(1, 2), [INVERTED, LYING]),
        (lambda images: images.rot90(1, (1, 2)), []),
        (lambda images: images.roll(2, dims=2), []),
    ],
    ids=["upright", "transposed", "inverted", "both", "turned", "moved"],
)
def test_transposed_or_dark_on_light_digits_are_reported(
    mnist: RawDataset, change: Callable[[torch.Tensor], torch.Tensor], expected: list[str]
) -> None:
    doubts = dataset_warnings(changed(mnist, change))

    assert [doubt.split(",")[0] for doubt in doubts] == expected


def test_other_images_of_ten_classes_are_not_called_digits() -> None:
    images, labels = make_part(400)
    raw = RawDataset(
        "blocks", 28, 10, bytearray(images), array("i", labels), bytearray(), array("i")
    )

    assert dataset_warnings(raw) == []


@pytest.mark.parametrize(
    ("labels", "classes", "expected"),
    [
        ([0, 1, 3], 4, "class 2 has no training images, of 4 classes; the others are trained"),
        ([0, 3], 4, "classes 1, 2 have no training images, of 4 classes; the others are trained"),
        (
            [0, 9],
            10,
            "classes 1, 2, 3, 4, 5 and 3 more have no training images, of 10 classes;"
            " the others are trained",
        ),
    ],
)
def test_classes_without_images_are_named(labels: list[int], classes: int, expected: str) -> None:
    pixels = bytearray(64 * len(labels))
    raw = RawDataset("few", 8, classes, pixels, array("i", labels), bytearray(), array("i"))

    assert dataset_warnings(raw) == [expected]


def test_a_run_warns_once_before_it_starts(tmp_path: Path) -> None:
    write_dataset(tmp_path, size=8, classes=3)
    config = RunConfig(data_dir=str(tmp_path), classes=4)

    (event,) = load(config, torch.device("cpu"))

    assert isinstance(event, DatasetWarning)
    assert event.warning == (
        f"{tmp_path}: class 3 has no training images, of 4 classes; the others are trained"
    )


def test_sound_data_give_no_warning(tmp_path: Path) -> None:
    write_dataset(tmp_path, size=8)

    assert list(load(RunConfig(data_dir=str(tmp_path)), torch.device("cpu"))) == []
    assert dataset_warnings(read_folder(tmp_path, name="blocks")) == []
