from __future__ import annotations

import hashlib
from array import array
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests.data.idx_files import write_dataset
from tests.data.pictures import write_tree
from tests.engine.runs import tiny_config
from tui_trainer.data.assembling import assemble, pixel_statistics
from tui_trainer.data.dataset import (
    BatchStream,
    Data,
    HeldOutTest,
    Split,
    stratified_split,
)
from tui_trainer.data.idx import RawDataset, content_digest
from tui_trainer.data.loading import FLIPPED, load
from tui_trainer.models.input_spec import InputSpec
from tui_trainer.protocol.config import NAMED_AUGMENTATIONS, RunConfig
from tui_trainer.protocol.errors import InputError
from tui_trainer.protocol.events import DatasetWarning

CPU = torch.device("cpu")


def loaded(config: RunConfig) -> Data:
    """Load a dataset that needs no download."""
    steps = load(config, CPU)
    with pytest.raises(StopIteration) as end:
        next(steps)
    data = end.value.value
    assert isinstance(data, Data)
    return data


def refusal(config: RunConfig) -> str:
    with pytest.raises(InputError) as caught:
        next(load(config, CPU))
    text = str(caught.value)
    assert text.isprintable()
    return text


# --- the real MNIST


def test_mnist_is_split_into_55_000_and_5_000(mnist: RawDataset) -> None:
    data = assemble(mnist, RunConfig(), CPU)

    assert (len(data.train), len(data.val), len(data.test)) == (55_000, 5_000, 10_000)
    assert (data.name, data.classes, data.image_size) == ("mnist", 10, 28)
    stay, apart = stratified_split(mnist.train_labels, 5_000)
    assert sorted(stay + apart) == list(range(60_000))
    images = torch.frombuffer(mnist.train_images, dtype=torch.uint8).view(-1, 28, 28)
    for split, indices in ((data.train, stay), (data.val, apart)):
        assert torch.equal(split.images, images[torch.tensor(indices)])
        assert split.labels.tolist() == [mnist.train_labels[index] for index in indices]


def test_the_split_of_mnist_keeps_the_share_of_each_class(mnist: RawDataset) -> None:
    _, apart = stratified_split(mnist.train_labels, 5_000)

    all_of, held_out = Counter(mnist.train_labels), Counter(mnist.train_labels[i] for i in apart)
    for label, total in all_of.items():
        assert abs(held_out[label] - total * 5_000 / 60_000) < 1


def test_the_split_of_mnist_never_changes(mnist: RawDataset) -> None:
    """Results are compared across versions, so they must be evaluated on the same images."""
    _, apart = stratified_split(mnist.train_labels, 5_000)

    assert hashlib.sha256(array("i", apart).tobytes()).hexdigest().startswith("9a09fa4d3a2a23b0")


def test_the_split_is_not_of_the_files_order(mnist: RawDataset) -> None:
    """The file is sorted by writer: a contiguous block would be the handwriting of few people."""
    _, apart = stratified_split(mnist.train_labels, 5_000)

    sixths = Counter(index // 10_000 for index in apart)
    assert all(700 < sixths[k] < 970 for k in range(6))


def test_all_60_000_images_have_the_published_mean_and_std(mnist: RawDataset) -> None:
    data = assemble(mnist, RunConfig(val_size=0), CPU)

    assert (len(data.train), len(data.val)) == (60_000, 0)
    (mean,), (std,) = data.mean, data.std
    assert (round(mean, 4), round(std, 4)) == (0.1307, 0.3081)


# --- splits of any dataset


def test_the_split_does_not_depend_on_the_seed(tiny: Path) -> None:
    first, second = (loaded(tiny_config(tiny, seed=seed)) for seed in (0, 1))

    assert torch.equal(first.val.images, second.val.images)
    assert torch.equal(first.train.images, second.train.images)


@pytest.mark.parametrize(("total", "expected"), [(11, 0), (12, 1), (120, 10), (60_000, 5_000)])
def test_one_image_in_twelve_validates_by_default(total: int, expected: int) -> None:
    labels = array("i", [index % 2 for index in range(total)])
    raw = RawDataset(
        name="d",
        size=8,
        classes=2,
        train_images=bytearray(total * 64),
        train_labels=labels,
        test_images=bytearray(64),
        test_labels=array("i", [0]),
    )

    assert len(assemble(raw, RunConfig(), CPU).val) == expected


def test_more_than_5_000_validate_only_if_asked_for(mnist: RawDataset) -> None:
    assert len(assemble(mnist, RunConfig(val_size=10_000), CPU).val) == 10_000
    large = array("i", [0, 1]) * 40_000
    raw = RawDataset(
        name="d",
        size=8,
        classes=2,
        train_images=bytearray(len(large) * 64),
        train_labels=large,
        test_images=bytearray(64),
        test_labels=array("i", [0]),
    )
    assert len(assemble(raw, RunConfig(), CPU).val) == 5_000


@pytest.mark.parametrize("count", [0, 1, 7, 33, 99, 100])
def test_quotas_that_do_not_come_out_even_still_add_up(count: int) -> None:
    labels = [0] * 50 + [1] * 33 + [2] * 17

    stay, apart = stratified_split(labels, count)

    assert len(apart) == count
    assert sorted(stay + apart) == list(range(100))
    held_out = Counter(labels[index] for index in apart)
    for label, total in Counter(labels).items():
        assert abs(held_out[label] - total * count / 100) < 1


def test_a_smaller_training_split_is_stratified_and_leaves_validation_alone(tiny: Path) -> None:
    whole, part = (loaded(tiny_config(tiny, train_size=size)) for size in (None, 50))

    assert torch.equal(whole.val.images, part.val.images)
    assert Counter(part.train.labels.tolist()) == dict.fromkeys(range(10), 5)
    of_whole = {image.numpy().tobytes() for image in whole.train.images}
    of_part = {image.numpy().tobytes() for image in part.train.images}
    assert len(of_part) == 50
    assert of_part < of_whole


def test_splits_that_do_not_fit_are_refused(tiny: Path) -> None:
    assert "--val-size 120" in refusal(tiny_config(tiny, val_size=120))
    assert "110" in refusal(tiny_config(tiny, train_size=111))
    assert len(loaded(tiny_config(tiny, val_size=119)).train) == 1
    assert len(loaded(tiny_config(tiny, train_size=110)).train) == 110


def test_an_unknown_persons_home_folder_is_refused() -> None:
    folder = "~nobody-has-this-name/digits"

    assert folder in refusal(RunConfig(data_dir=folder))


def test_a_folder_gives_the_dataset_its_name(tmp_path: Path) -> None:
    folder = write_dataset(tmp_path / "my-digits", size=16, classes=3, train=30, test=9)

    data = loaded(RunConfig(data_dir=str(folder)))

    assert (data.name, data.classes, data.image_size) == ("my-digits", 3, 16)


# --- pixels


def test_mean_and_std_are_those_of_the_training_split_alone(tiny: Path) -> None:
    data = loaded(tiny_config(tiny, val_size=60))

    pixels = data.train.images.numpy() / 255
    assert data.mean == pytest.approx((float(pixels.mean()),), abs=1e-12)
    assert data.std == pytest.approx((float(pixels.std()),), abs=1e-12)
    everything = np.concatenate([data.train.images, data.val.images]) / 255
    assert abs(data.mean[0] - float(everything.mean())) > 1e-6


def test_prepared_training_images_have_mean_0_and_std_1(tiny: Path) -> None:
    data = loaded(tiny_config(tiny))
    before = data.train.images.clone()

    pixels = data.prepare(data.train.images)

    assert pixels.shape == (110, 1, 8, 8)
    assert float(pixels.mean()) == pytest.approx(0, abs=1e-5)
    assert float(pixels.std(correction=0)) == pytest.approx(1, abs=1e-5)
    assert torch.equal(data.train.images, before)


def test_what_an_augmentation_brings_in_is_as_black_as_the_background(tiny: Path) -> None:
    data = loaded(tiny_config(tiny))
    white = torch.full((4, 8, 8), 255, dtype=torch.uint8)
    turned = RunConfig(augment="none", rotate=180.0).augmentation

    pixels = data.prepare(white, turned, torch.Generator().manual_seed(3))

    black = data.prepare(torch.zeros(1, 8, 8, dtype=torch.uint8))[0, 0, 0, 0]
    assert float(pixels.min()) == pytest.approx(float(black), abs=1e-5)


def test_images_of_a_single_gray_are_not_divided_by_zero() -> None:
    mean, std = pixel_statistics(torch.full((2, 8, 8), 51, dtype=torch.uint8))

    assert mean == pytest.approx((0.2,))
    assert std == (1.0,)


def colored(seed: int, count: int) -> bytearray:
    """Return images (count, 3, 8, 8) whose channels have other levels."""
    rng = np.random.default_rng(seed)
    channels = [
        rng.integers(low, high, (count, 1, 8, 8)) for low, high in ((0, 99), (90, 200), (200, 256))
    ]
    return bytearray(np.concatenate(channels, axis=1).astype(np.uint8).tobytes())


def test_each_channel_of_color_images_is_normalized_by_its_mean_and_std() -> None:
    labels = array("i", [0, 1] * 30)
    raw = RawDataset("colors", 8, 2, colored(1, 60), labels, colored(2, 60), labels, 3, ("a", "b"))
    data = assemble(raw, RunConfig(val_size=12), CPU)

    assert data.train.images.shape == (48, 3, 8, 8)
    assert (data.shape, data.values, data.input_size) == ((8, 8, 3), 192, InputSpec((3, 8, 8)))
    pixels = data.prepare(data.train.images)
    assert pixels.mean(dim=(0, 2, 3)).tolist() == pytest.approx([0, 0, 0], abs=1e-5)
    assert pixels.std(dim=(0, 2, 3), correction=0).tolist() == pytest.approx([1, 1, 1], abs=1e-5)
    grays = data.train.images.double() / 255
    assert data.mean == pytest.approx(grays.mean(dim=(0, 2, 3)).tolist(), abs=1e-12)
    for level, prepared in ((0, data.black), (255, data.white)):
        by_hand = [(level / 255 - m) / s for m, s in zip(data.mean, data.std, strict=True)]
        assert prepared.flatten().tolist() == pytest.approx(by_hand, rel=1e-5)


def test_the_digest_of_color_images_is_not_that_of_as_many_gray_bytes() -> None:
    labels, pixels = array("i", [0, 1] * 30), colored(1, 60)
    colors = RawDataset("colors", 8, 2, pixels, labels, pixels, labels, channels=3)
    assert content_digest(colors) != content_digest(replace(colors, channels=1))


# --- the test set


def test_every_evaluation_of_the_test_set_is_counted(tiny: Path) -> None:
    data = loaded(tiny_config(tiny))

    assert data.test.evaluations == 0
    assert len(data.test) == 40
    assert data.test.evaluations == 0
    assert len(data.test.open()) == 40
    data.test.open()
    assert data.test.evaluations == 2


def test_preparing_a_training_batch_needs_no_test_image(tiny: Path) -> None:
    data = loaded(tiny_config(tiny))
    rng = torch.Generator().manual_seed(0)

    data.prepare(data.train.images, NAMED_AUGMENTATIONS["light"], rng)

    assert data.test.evaluations == 0


def test_the_held_out_test_returns_its_split() -> None:
    split = Split(torch.zeros(3, 8, 8, dtype=torch.uint8), torch.tensor([2, 1, 0]))

    assert HeldOutTest(split).open() is split


# --- the order of an epoch


def stream(size: int, seed: int = 0) -> BatchStream:
    return BatchStream(size, torch.Generator().manual_seed(seed), CPU)


def test_an_epoch_meets_every_index_once_whatever_the_batches() -> None:
    batches = stream(1_000)
    batches.begin_epoch()
    met: list[int] = []
    for size in (1, 7, 300, 64, 5_000):
        met += batches.take(size).tolist()
        assert batches.remaining == 1_000 - len(met)

    assert sorted(met) == list(range(1_000))
    assert met != sorted(met)
    assert len(batches.take(5)) == 0


def test_epochs_are_reshuffled_reproducibly() -> None:
    first, second, other = stream(100), stream(100), stream(100, seed=1)
    orders: list[list[list[int]]] = [[], [], []]
    for _ in range(2):
        for batches, seen in zip((first, second, other), orders, strict=True):
            batches.begin_epoch()
            seen.append(batches.take(100).tolist())

    assert orders[0] == orders[1]
    assert orders[0] != orders[2]
    assert orders[0][0] != orders[0][1]


def test_an_epoch_begins_at_its_start_even_if_the_last_was_left_half_way() -> None:
    batches = stream(10)
    batches.begin_epoch()
    batches.take(4)
    batches.begin_epoch()

    assert batches.remaining == 10


def test_a_shift_with_mirrored_borders_must_fit_into_the_images(tiny: Path) -> None:
    with pytest.raises(InputError, match=r"--pad-shift 8: .* have 8 pixels.*at most 7"):
        loaded(tiny_config(tiny, pad_shift=8))
    assert loaded(tiny_config(tiny, pad_shift=7)).image_size == 8


@pytest.mark.parametrize(
    ("settings", "warns"),
    [
        ({"flip": 0.5}, True),
        ({"augment": "color"}, False),
        ({"flip": 0.0}, False),
        ({}, False),
    ],
)
def test_flipping_digits_is_warned_about(settings: dict[str, Any], warns: bool) -> None:
    events = list(load(RunConfig(**settings), CPU))
    found = [event.message for event in events if isinstance(event, DatasetWarning)]
    assert found == [FLIPPED] * warns


@pytest.mark.parametrize(("classes", "warns"), [(("1", "2"), True), (("cat", "dog"), False)])
def test_flipping_pictures_of_digits_in_a_folder_is_warned_about(
    classes: tuple[str, str], warns: bool, tmp_path: Path
) -> None:
    folder = write_tree(tmp_path / "pictures", classes=classes)
    events = list(load(RunConfig(augment="color", data_dir=str(folder), val_size=2), CPU))
    found = [event.message for event in events if isinstance(event, DatasetWarning)]
    assert (FLIPPED in found) is warns
