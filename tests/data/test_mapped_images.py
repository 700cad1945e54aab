from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from tests.data.binary_files import write_binary
from tui_trainer.data import mapped_images, residency
from tui_trainer.data.assembling import assemble, pixel_statistics
from tui_trainer.data.binary_files import CIFAR10, read_binary_folder
from tui_trainer.data.dataset import BatchStream, Data
from tui_trainer.data.image_store import ImageStore
from tui_trainer.data.loading import load
from tui_trainer.data.mapped_images import MappedImages, as_mapped
from tui_trainer.data.neighbors import probe_data
from tui_trainer.protocol.config import RunConfig
from tui_trainer.protocol.errors import InputError
from tui_trainer.protocol.events import StateChanged

CPU = torch.device("cpu")
TOTAL = 50


@pytest.fixture
def images() -> Tensor:
    rng = torch.Generator().manual_seed(0)
    return torch.randint(256, (TOTAL, 3, 8, 8), dtype=torch.uint8, generator=rng)


@pytest.fixture
def mapped(images: Tensor) -> MappedImages:
    return as_mapped(images.flatten().numpy().data, images.shape[1:], CPU)


def is_unread(images: Tensor) -> bool:
    return isinstance(images, MappedImages)


OPERATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "slice": lambda x: x[3:9],
    "empty slice": lambda x: x[:0],
    "slice beyond": lambda x: x[45:99],
    "negative slice": lambda x: x[-4:],
    "steps": lambda x: x[1:40:7],
    "number": lambda x: x[5],
    "negative number": lambda x: x[-1],
    "list": lambda x: x[[4, 4, -1]],
    "indices": lambda x: x[torch.tensor([7, 0, 49])],
    "booleans": lambda x: x[torch.arange(TOTAL) % 7 == 0],
    "rows": lambda x: x[..., ::2, :],
    "channel": lambda x: x[:, 1],
    "float": lambda x: x[:5].to(torch.float32) / 255,
    "flat": lambda x: x.flatten(1),
    "new axis": lambda x: x[:3].unsqueeze(1),
    "sum": lambda x: x.sum(),
    "split": lambda x: torch.cat(torch.split(x, 7)),
    "index_select": lambda x: torch.index_select(x, 0, torch.tensor([3, 2])),
    "clone": lambda x: x.clone(),
    "part of a part": lambda x: x[5:45][::3][[1, 2]],
}


@pytest.mark.parametrize("name", OPERATIONS)
@pytest.mark.parametrize("at_once", [1 << 20, 0], ids=["read", "left"])
def test_an_operation_gives_what_it_gives_for_a_tensor(
    images: Tensor,
    mapped: MappedImages,
    name: str,
    at_once: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(mapped_images, "MOST_AHEAD", at_once)

    found = OPERATIONS[name](mapped)
    expected = OPERATIONS[name](images)

    assert (found.shape, found.dtype) == (expected.shape, expected.dtype)
    assert torch.equal(found.clone(), expected)


def test_a_part_is_read_unless_it_is_large(
    mapped: MappedImages, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert not is_unread(mapped[:10])
    assert is_unread(mapped)
    assert is_unread(mapped.to(CPU))
    assert is_unread(mapped.detach())
    monkeypatch.setattr(mapped_images, "MOST_AHEAD", 9 * 192)
    assert is_unread(mapped[:10])
    assert is_unread(mapped[torch.arange(10)])


@pytest.mark.parametrize("index", [50, -51, [3, 50], torch.tensor([-51])])
def test_an_index_outside_is_an_error(mapped: MappedImages, index: Any) -> None:
    with pytest.raises(IndexError):
        mapped[index]


def test_all_at_once_is_refused_if_it_is_too_much(
    mapped: MappedImages, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mapped_images, "MOST_AT_ONCE", 49 * 192)

    with pytest.raises(InputError, match="raise --memory-share, or use fewer images"):
        mapped.float()


@pytest.mark.parametrize("sizes", [[7], [50], [1], [8, 3, 12], [3, 99]])
def test_batches_of_epochs_are_the_same(
    images: Tensor, mapped: MappedImages, sizes: list[int]
) -> None:
    streams = [BatchStream(TOTAL, torch.Generator().manual_seed(1), CPU) for _ in range(2)]
    for epoch in range(3):
        for stream in streams:
            stream.begin_epoch()
        step = 0
        while streams[0].remaining:
            chosen = [stream.take(sizes[(step + epoch) % len(sizes)]) for stream in streams]
            assert torch.equal(mapped[chosen[0]], images[chosen[1]])
            step += 1
            if step == 2 and epoch == 1:  # a rewind in the middle
                for stream in streams:
                    stream.resume(stream.order.clone(), 5)


def test_the_next_batches_are_read_in_advance(
    mapped: MappedImages, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[list[int]] = []
    original = mapped._source.read

    def counted(indices: Any, is_pinned: bool = False) -> Tensor:
        read.append(indices.tolist())
        return original(indices, is_pinned)

    monkeypatch.setattr(mapped._source, "read", counted)
    order = torch.randperm(TOTAL)
    for start in range(0, TOTAL, 10):
        mapped[order[start : start + 10]]

    # Each image is read once: no batch is read in advance and then again.
    assert sorted(place for each in read for place in each) == list(range(TOTAL))


def test_statistics_in_parts_are_those_of_the_whole(
    images: Tensor, mapped: MappedImages, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mapped_images, "CHUNK", 7 * 192)

    assert pixel_statistics(mapped) == pixel_statistics(images)


# --- a run


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_binary(tmp_path / "data", CIFAR10, per_file=20)


def assembled(folder: Path, most: int | None) -> Data:
    store = ImageStore(folder.parent / "decoded", most)
    raw = read_binary_folder(folder, name="tiny", store=store)
    return assemble(raw, RunConfig(model="tiny", val_size=20), CPU)


def test_a_mapped_dataset_is_split_as_a_resident_one(folder: Path) -> None:
    resident, apart = assembled(folder, None), assembled(folder, 0)

    for mine, theirs in (
        (apart.train, resident.train),
        (apart.val, resident.val),
        (apart.test.shown(), resident.test.shown()),
    ):
        assert is_unread(mine.images)
        assert not is_unread(theirs.images)
        assert torch.equal(mine.images.clone(), theirs.images)
        assert torch.equal(mine.labels, theirs.labels)
    assert (apart.mean, apart.std) == (resident.mean, resident.std)
    assert apart.digest == resident.digest
    assert apart.residency
    assert resident.residency
    assert replace(apart.residency, resident=True, available=None) == replace(
        resident.residency, available=None
    )


def test_nothing_reads_all_images_of_a_mapped_dataset(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    resident, apart = assembled(folder, None), assembled(folder, 0)
    monkeypatch.setattr(mapped_images, "MOST_AT_ONCE", 0)

    assert probe_data(apart) == probe_data(resident)
    assert len(apart.train.sample(5)) == 5
    assert sum(len(part) for part in apart.val.batches(7)) == 20


@pytest.mark.parametrize(
    ("most", "expected"),
    [
        (None, "120 images resident: 368.6 kB of "),
        (0, "120 images not resident: 368.6 kB of "),
    ],
)
def test_the_place_of_images_is_reported(folder: Path, most: int | None, expected: str) -> None:
    data = assembled(folder, most)

    assert str(data.residency).startswith(expected)
    assert data.description["image_bytes"] == 120 * 3072
    assert data.description["image_readers"] == (0 if most is None else 2)
    assert str(data.residency).endswith("available" if most is None else "read by 2 workers")


@pytest.mark.parametrize(
    ("share", "notable", "expected"),
    [
        (0.0, 10**9, ["120 images not resident: 368.6 kB"]),
        (0.5, 10**9, []),
        (0.5, 1, ["120 images resident: 368.6 kB"]),
    ],
)
def test_many_images_or_images_in_a_file_are_reported_before_training(
    folder: Path,
    share: float,
    notable: int,
    expected: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(residency, "NOTABLE", notable)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    config = RunConfig(model="tiny", data_dir=str(folder), val_size=20, memory_share=share)

    events = list(load(config, CPU))

    found = [event.detail for event in events if isinstance(event, StateChanged)]
    assert [text.partition(" of ")[0] for text in found] == expected


def test_statistics_of_color_are_those_of_each_channel_in_gray(images: Tensor) -> None:
    mean, std = pixel_statistics(images)

    for channel in range(3):
        assert pixel_statistics(images[:, channel]) == ((mean[channel],), (std[channel],))
