from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from tests.benchmarks.findings.public import hooks
from tests.benchmarks.findings.public.hooks import SplitHook
from tui_trainer.data.assembling import assemble, pixel_statistics
from tui_trainer.data.dataset import Data, HeldOutTest, Split
from tui_trainer.data.idx import RawDataset
from tui_trainer.data.neighbors import probe_data
from tui_trainer.protocol.config import RunConfig
from tui_trainer.protocol.probed import DataProbed, NeighborLabels

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def digits(mnist: RawDataset) -> Data:
    """MNIST with 4,000 training and 1,000 validation images."""
    return assemble(mnist, RunConfig(train_size=4_000, val_size=1_000), CPU)


@pytest.fixture(scope="module")
def clean(digits: Data) -> DataProbed:
    return probe_data(digits)


def changed(data: Data, change: SplitHook, *, train: bool = True, val: bool = False) -> DataProbed:
    return probe_data(hooks.on_splits(change, 5, train=train, val=val)(data))


def compared(found: NeighborLabels | None) -> NeighborLabels:
    assert found is not None
    return found


def drawn(images: Tensor, classes: int, val: int) -> Data:
    """Return random labels for some images, the last of them for validation."""
    labels = torch.randint(classes, (len(images),), generator=torch.Generator().manual_seed(1))
    train = Split(images[: len(images) - val], labels[: len(images) - val])
    split = Split(images[len(images) - val :], labels[len(images) - val :])
    mean, std = pixel_statistics(train.images) if len(train) else ((0.0,), (1.0,))
    return Data(
        name="random",
        classes=classes,
        image_size=images.shape[-1],
        train=train,
        val=split,
        test=HeldOutTest(split),
        mean=mean,
        std=std,
    )


def test_neighbors_of_clean_digits_agree(clean: DataProbed) -> None:
    near, val = compared(clean.neighbors), compared(clean.val_neighbors)
    assert near.images == val.images == 1_000
    assert near.references == 4_000
    assert near.agreeing > 900
    assert val.agreeing > 900
    assert near.linear_agreeing is not None
    assert near.linear_agreeing > 750
    assert near.shift_agreeing < 200
    assert sum(map(sum, near.votes)) == 10_000
    purity = [row[label] / sum(row) for label, row in enumerate(near.core_votes)]
    assert min(purity) > 0.85
    assert clean.shared_images == clean.moved_images == clean.relabeled_images == 0
    assert sum(clean.train_counts) == 4_000
    assert sum(clean.val_counts) == 1_000


def test_the_core_of_a_class_is_mixed_where_labels_are_wrong(digits: Data) -> None:
    near = compared(changed(digits, hooks.relabel(7, 1, 0.5)).neighbors)
    assert near.core_votes[7][1] > 0.3 * sum(near.core_votes[7])
    assert near.core_votes[1][7] < 0.1 * sum(near.core_votes[1])


def test_shifted_labels_agree_once_they_are_shifted_back(digits: Data) -> None:
    near = compared(changed(digits, hooks.shifted_labels).neighbors)
    assert near.agreeing < 200
    assert near.shift == -1
    assert near.shift_agreeing > 900


def test_labels_of_one_split_alone_are_shuffled(digits: Data) -> None:
    probe = changed(digits, hooks.shuffled_labels, train=False, val=True)
    assert compared(probe.neighbors).agreeing > 900
    assert compared(probe.val_neighbors).agreeing < 200
    assert compared(probe.val_within).agreeing < 200


def test_images_of_another_kind_agree_with_each_other(digits: Data) -> None:
    probe = changed(digits, hooks.transposed, train=False, val=True)
    assert compared(probe.val_neighbors).agreeing < 700
    assert compared(probe.val_within).agreeing > 850


def test_identical_images_with_two_labels_are_counted(digits: Data) -> None:
    probe = changed(digits, hooks.twice(3, 8))
    threes = int((digits.train.labels == 3).sum())
    assert probe.relabeled_images == 2 * threes
    assert probe.relabeled_pair == (3, 8, threes)


def _moved(images: Tensor, rng: torch.Generator) -> Tensor:
    return images.roll((1, -1), (1, 2))


def _noisy(images: Tensor, rng: torch.Generator) -> Tensor:
    noise = 10 * torch.randn(images.shape, generator=rng)
    return (images + noise).clamp(0, 255).to(torch.uint8)


@pytest.mark.parametrize(
    ("change", "field"), [(None, "shared"), (_moved, "moved"), (_noisy, "near")]
)
def test_copies_of_training_images_are_found(digits: Data, change: object, field: str) -> None:
    rng = torch.Generator().manual_seed(1)
    images = digits.train.images[:300]
    copied = change(images, rng) if callable(change) else images
    val = Split(
        torch.cat([copied, digits.val.images[300:]]),
        torch.cat([digits.train.labels[:300], digits.val.labels[300:]]),
    )
    probe = probe_data(replace(digits, val=val))
    counts = {
        "shared": probe.shared_images,
        "moved": probe.moved_images,
        "near": compared(probe.val_neighbors).near_duplicates,
    }
    assert counts[field] >= 290


@pytest.mark.parametrize(
    ("count", "val", "shape", "classes"),
    [
        (0, 0, (28, 28), 10),
        (1, 0, (28, 28), 10),
        (6, 1, (28, 28), 2),
        (12, 1, (5, 7), 3),
        (30, 15, (1, 1), 2),
        (400, 100, (8, 8), 100),
        (400, 100, (3, 32, 32), 10),
        (40, 10, (3, 224, 224), 47),
    ],
)
def test_any_images_can_be_examined(
    count: int, val: int, shape: tuple[int, ...], classes: int
) -> None:
    rng = torch.Generator().manual_seed(0)
    images = torch.randint(256, (count, *shape), generator=rng, dtype=torch.uint8)
    probe = probe_data(drawn(images, classes, val))
    assert sum(probe.train_counts) == count - val
    assert len(probe.train_counts) == classes
    assert (probe.neighbors is None) == (count - val <= 10)
    assert (probe.val_neighbors is None) == (val == 0 or count - val <= 10)


def test_a_probe_can_be_repeated(digits: Data, clean: DataProbed) -> None:
    state = torch.get_rng_state()
    assert probe_data(digits) == clean
    assert torch.equal(torch.get_rng_state(), state)
