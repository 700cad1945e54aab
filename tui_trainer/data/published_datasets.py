"""The datasets that can be downloaded: their files, where they are, and how they are read.

torchvision knows the URL and the MD5 of each one; of CIFAR, those of its pickles. The binary files
are in archives next to them.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Any

from tui_trainer.data.binary_files import (
    CIFAR10,
    CIFAR100,
    STL10,
    BinaryFormat,
    read_binary_files,
)
from tui_trainer.data.idx import RawDataset, build_dataset
from tui_trainer.data.idx_file import read_part
from tui_trainer.data.image_store import ImageStore
from tui_trainer.data.matlab_file import read_svhn
from tui_trainer.protocol.config import DATASETS
from tui_trainer.text.fmt import printable

QMNIST_TEST = 10_000
"""The test images of QMNIST that match MNIST's; there are 50,000 more."""

_MNIST_LIKE = {"fashion-mnist": "FashionMNIST", "kmnist": "KMNIST"}
_BINARY: Mapping[str, tuple[str, BinaryFormat]] = {
    "cifar10": ("CIFAR10", CIFAR10),
    "cifar100": ("CIFAR100", CIFAR100),
    "stl10": ("STL10", STL10),
}
_CIFAR_MD5: Mapping[str, str] = {
    "cifar10": "c32a1d4ab5d03f1284b67883e8d87530",
    "cifar100": "03b5dce01913d631647c71ecec9e9cb8",
}
"""As published with the archives of binary files, www.cs.toronto.edu/~kriz/cifar.html."""


@dataclass(frozen=True, slots=True)
class Archive:
    """A file to download, its URLs, and the plain files that it contains."""

    name: str
    urls: tuple[str, ...]
    md5: str
    holds: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Plan:
    """The archives of a dataset, and how to read the files that they contain."""

    dataset: str
    raw: Path
    archives: tuple[Archive, ...]
    read: Callable[[Plan, ImageStore], RawDataset]

    @property
    def advice(self) -> str:
        """What to do when the download fails."""
        names = " and ".join(archive.name for archive in self.archives if not self.has(archive))
        by_hand = f"put {names} into {printable(self.raw)} by hand, or " if names else ""
        return f"{by_hand}name a folder that has the data with --data-dir"

    def has(self, archive: Archive) -> bool:
        """Return whether all files of an archive are unpacked."""
        return all(os.path.isfile(self.raw / name) for name in archive.holds)


def plan_of(dataset: str, cache: Path) -> Plan:
    """Return the file names and URLs of a dataset, as torchvision has them."""
    if dataset not in DATASETS or dataset == "mnist":
        raise ValueError(f"no dataset to download: {dataset!r}")
    from tui_trainer.models.torchvision_compat import import_torchvision

    datasets: Any = import_torchvision().datasets
    if dataset == "qmnist":
        resources = datasets.QMNIST.resources
        return Plan(
            dataset,
            cache / "QMNIST" / "raw",
            tuple(_gzip_of((url,), md5) for url, md5 in resources["train"] + resources["test"]),
            _read_idx,
        )
    if dataset in _MNIST_LIKE:
        kind = getattr(datasets, _MNIST_LIKE[dataset])
        return Plan(
            dataset,
            cache / kind.__name__ / "raw",
            tuple(
                _gzip_of(tuple(mirror + name for mirror in kind.mirrors), md5)
                for name, md5 in kind.resources
            ),
            _read_idx,
        )
    if dataset in _BINARY:
        return _binary_plan(dataset, cache, datasets)
    if dataset == "svhn":
        splits = [datasets.SVHN.split_list[split] for split in ("train", "test")]
        files = tuple(Archive(name, (url,), md5, (name,)) for url, name, md5 in splits)
        return Plan(dataset, cache / "SVHN", files, _read_svhn)
    emnist = datasets.EMNIST
    parts = ("train-images-idx3", "train-labels-idx1", "test-images-idx3", "test-labels-idx1")
    holds = tuple(f"{dataset}-{part}-ubyte" for part in parts)
    return Plan(
        dataset,
        cache / "EMNIST" / "raw",
        (Archive(PurePosixPath(emnist.url).name, (emnist.url,), emnist.md5, holds),),
        _read_idx,
    )


def _binary_plan(dataset: str, cache: Path, datasets: Any) -> Plan:
    """Return the plan of a dataset of binary files."""
    name, kind = _BINARY[dataset]
    found = getattr(datasets, name)
    url, md5 = found.url, found.tgz_md5
    if dataset in _CIFAR_MD5:
        url = f"{url.rpartition('/')[0]}/{kind.archive}"
        md5 = _CIFAR_MD5[dataset]
    holds = tuple(f"{kind.folder}/{file}" for file in (*kind.files, kind.names_file))
    return Plan(dataset, cache / name, (Archive(kind.archive, (url,), md5, holds),), _read_binary)


def _gzip_of(urls: tuple[str, ...], md5: str) -> Archive:
    name = PurePosixPath(urls[0]).name
    return Archive(name, urls, md5, (name.removesuffix(".gz"),))


def _read_idx(plan: Plan, store: ImageStore) -> RawDataset:
    """Read four unpacked files in MNIST's format."""
    files = [plan.raw / name for archive in plan.archives for name in archive.holds]
    train, test = read_part(*files[:2]), read_part(*files[2:])
    if plan.dataset == "qmnist":
        end = QMNIST_TEST * test.size**2
        test = replace(test, images=test.images[:end], labels=test.labels[:QMNIST_TEST])
    return build_dataset(plan.dataset, train, test, classes=None)


def _read_binary(plan: Plan, store: ImageStore) -> RawDataset:
    kind = _BINARY[plan.dataset][1]
    return read_binary_files(kind, plan.raw / kind.folder, name=plan.dataset, store=store)


def _read_svhn(plan: Plan, store: ImageStore) -> RawDataset:
    return read_svhn(plan.raw, name=plan.dataset, store=store)
