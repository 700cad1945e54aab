"""Download datasets that are not in the package, and cache them.

torchvision knows the URL of each one. The download itself is done here: torchvision prints its
progress to the terminal, which belongs to the window, and accepts incomplete files.
"""

from __future__ import annotations

import contextlib
import gzip
import hashlib
import math
import os
import re
import shutil
import time
import urllib.error
import urllib.request
import zipfile
import zlib
from collections.abc import Generator, Iterator
from dataclasses import dataclass, replace
from http.client import HTTPException
from pathlib import Path, PurePosixPath
from typing import IO, Any, BinaryIO

from tui_trainer.data.idx import RawDataset, build_dataset
from tui_trainer.data.idx_file import MAX_BYTES, read_part
from tui_trainer.protocol.config import DATASETS
from tui_trainer.protocol.errors import InputError, reason
from tui_trainer.protocol.events import DownloadProgress
from tui_trainer.text.fmt import printable

TIMEOUT = 20.0
"""Seconds without a byte after which a download is aborted."""
PROGRESS_INTERVAL = 0.1
"""The least seconds between two progress events of a file."""

QMNIST_TEST = 10_000
"""The test images of QMNIST that match MNIST's; there are 50,000 more."""

_CHUNK = 1 << 18
_MNIST_LIKE = {"fashion-mnist": "FashionMNIST", "kmnist": "KMNIST"}


@dataclass(frozen=True, slots=True)
class _Archive:
    """A file to download, its URLs, and the plain files that it contains."""

    name: str
    urls: tuple[str, ...]
    md5: str
    holds: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Plan:
    """The archives of a dataset; they hold four files: images and labels of each split."""

    dataset: str
    raw: Path
    archives: tuple[_Archive, ...]

    @property
    def advice(self) -> str:
        """What to do when the download fails."""
        names = " and ".join(archive.name for archive in self.archives if not self.has(archive))
        by_hand = f"put {names} into {printable(self.raw)} by hand, or " if names else ""
        return f"{by_hand}name a folder that has the data with --data-dir"

    def has(self, archive: _Archive) -> bool:
        """Return whether all files of an archive are unpacked."""
        return all(os.path.isfile(self.raw / name) for name in archive.holds)


class _UnavailableError(Exception):
    """A server does not deliver the file; the text says why."""


def fetch(dataset: str, cache: Path) -> Generator[DownloadProgress, None, RawDataset]:
    """Return a dataset, after downloading the files that are not in the cache.

    The cache has torchvision's layout (``CACHE/KMNIST/raw``). An archive gets its final name only
    after its published MD5 is verified, so that an interrupted download is never used; archives are
    kept, since the one of EMNIST contains six datasets. Of QMNIST, the 60,000 training images and
    the first 10,000 test images are used, which match MNIST's. EMNIST's images, transposed in its
    files, are returned upright, and the labels of its letters start at 0.

    Args:
        dataset: A name from :data:`tui_trainer.protocol.config.DATASETS` other than ``mnist``.
        cache: The folder for datasets; created if missing.

    Yields:
        The progress of each file, at most about ten times a second, and once when it is complete.
        Nothing if all files are cached.

    Raises:
        ValueError: If ``dataset`` is not such a name.
        InputError: If no server delivers a file, the cache cannot be written, or a cached file is
            damaged.
    """
    plan = _plan(dataset, cache)
    for archive in plan.archives:
        if plan.has(archive):
            continue
        try:
            plan.raw.mkdir(parents=True, exist_ok=True)
            yield from _obtain(plan, archive)
            _unpack(plan, archive)
        except OSError as error:
            # An error of the disk: _obtain handles those of the network.
            raise InputError(
                f"cannot store {dataset} in {printable(plan.raw)}: {reason(error)}; {plan.advice}"
            ) from error
    return _read(plan)


def _plan(dataset: str, cache: Path) -> _Plan:
    """Return the file names and URLs of a dataset, as torchvision has them."""
    if dataset not in DATASETS or dataset == "mnist":
        raise ValueError(f"no dataset to download: {dataset!r}")
    from tui_trainer.models.torchvision_compat import import_torchvision

    datasets: Any = import_torchvision().datasets
    if dataset == "qmnist":
        resources = datasets.QMNIST.resources
        return _Plan(
            dataset,
            cache / "QMNIST" / "raw",
            tuple(_gzip_of((url,), md5) for url, md5 in resources["train"] + resources["test"]),
        )
    if dataset in _MNIST_LIKE:
        kind = getattr(datasets, _MNIST_LIKE[dataset])
        return _Plan(
            dataset,
            cache / kind.__name__ / "raw",
            tuple(
                _gzip_of(tuple(mirror + name for mirror in kind.mirrors), md5)
                for name, md5 in kind.resources
            ),
        )
    emnist = datasets.EMNIST
    parts = ("train-images-idx3", "train-labels-idx1", "test-images-idx3", "test-labels-idx1")
    holds = tuple(f"{dataset}-{part}-ubyte" for part in parts)
    return _Plan(
        dataset,
        cache / "EMNIST" / "raw",
        (_Archive(PurePosixPath(emnist.url).name, (emnist.url,), emnist.md5, holds),),
    )


def _gzip_of(urls: tuple[str, ...], md5: str) -> _Archive:
    name = PurePosixPath(urls[0]).name
    return _Archive(name, urls, md5, (name.removesuffix(".gz"),))


def _obtain(plan: _Plan, archive: _Archive) -> Generator[DownloadProgress, None, None]:
    """Download an archive from the first server that delivers it, unless it is there."""
    target = plan.raw / archive.name
    if target.is_file() and _md5(target) == archive.md5:
        return
    failures = []
    for url in archive.urls:
        try:
            yield from _download(plan.dataset, url, target, archive.md5)
            return
        except _UnavailableError as error:
            failures.append(f"{url}: {error}")
    raise InputError(f"cannot download {plan.dataset}: {'; '.join(failures)}; {plan.advice}")


def _download(
    dataset: str, url: str, target: Path, md5: str
) -> Generator[DownloadProgress, None, None]:
    """Write a download to ``target``, which appears only when it is complete and verified."""
    digest = hashlib.md5(usedforsecurity=False)
    done, shown_at = 0, -math.inf
    with contextlib.closing(_connected(url)) as response, _whole_file(target) as file:
        total = _length(response)
        while chunk := _received(response):
            file.write(chunk)
            digest.update(chunk)
            done += len(chunk)
            if done > MAX_BYTES:
                raise _UnavailableError(f"it sends more than {MAX_BYTES:,} bytes")
            if time.monotonic() - shown_at >= PROGRESS_INTERVAL and done != total:
                shown_at = time.monotonic()
                yield DownloadProgress(
                    dataset=dataset, file=target.name, done_bytes=done, total_bytes=total
                )
        if done < total:
            raise _UnavailableError(f"the connection ended after {done:,} of {total:,} bytes")
        if digest.hexdigest() != md5:
            raise _UnavailableError("it sent another file than the published one (MD5 differs)")
    yield DownloadProgress(dataset=dataset, file=target.name, done_bytes=done, total_bytes=total)


def _connected(url: str) -> Any:
    request = urllib.request.Request(url, headers={"User-Agent": "mnist-tui"})
    try:
        return urllib.request.urlopen(request, timeout=TIMEOUT)
    except urllib.error.HTTPError as error:
        error.close()
        raise _UnavailableError(printable(f"HTTP {error.code} {error.reason}")) from error
    except (OSError, HTTPException, ValueError) as error:
        raise _UnavailableError(_why(error)) from error


def _received(response: Any) -> bytes:
    """Return the next bytes as they arrive; empty at the end."""
    try:
        chunk: bytes = response.read1(_CHUNK)
    except (OSError, HTTPException, ValueError) as error:
        raise _UnavailableError(_why(error)) from error
    return chunk


def _length(response: Any) -> int:
    """Return the announced size in bytes; 0 if the server does not announce it."""
    text = response.headers.get("Content-Length") or ""
    return int(text) if re.fullmatch("[0-9]{1,18}", text) else 0


def _why(error: BaseException) -> str:
    if isinstance(error, urllib.error.URLError) and isinstance(error.reason, BaseException):
        return _why(error.reason)
    if isinstance(error, TimeoutError):
        return f"no answer within {TIMEOUT:g} seconds"
    return reason(error)


@contextlib.contextmanager
def _whole_file(target: Path) -> Iterator[BinaryIO]:
    """Write a file under a temporary name; rename it only if the block succeeds."""
    # The process id in the name: two processes that fetch the same file must not collide.
    part = target.with_name(f".{target.name}.{os.getpid()}.part")
    try:
        with part.open("wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        part.replace(target)
    finally:
        part.unlink(missing_ok=True)


def _md5(path: Path) -> str:
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False))
    return digest.hexdigest()


def _unpack(plan: _Plan, archive: _Archive) -> None:
    """Unpack the files of a dataset from an archive, each one completely or not at all.

    torchvision unpacks all six EMNIST datasets, almost 2 GB, and after an interruption it uses a
    truncated file.
    """
    path = plan.raw / archive.name
    try:
        if path.suffix != ".zip":
            with path.open("rb") as packed:
                _gunzip(packed, plan.raw / archive.holds[0])
            return
        with zipfile.ZipFile(path) as folder:
            members = {PurePosixPath(member).name: member for member in folder.namelist()}
            for name in archive.holds:
                with folder.open(members[f"{name}.gz"]) as packed:
                    _gunzip(packed, plan.raw / name)
    except (gzip.BadGzipFile, zipfile.BadZipFile, zlib.error, EOFError, KeyError) as error:
        raise InputError(
            f"cannot unpack {printable(path)} for {plan.dataset}: {reason(error)};"
            f" delete it to fetch it again, or {plan.advice}"
        ) from error


def _gunzip(packed: IO[bytes], target: Path) -> None:
    with gzip.open(packed) as unpacked, _whole_file(target) as file:
        shutil.copyfileobj(unpacked, file, _CHUNK)


def _read(plan: _Plan) -> RawDataset:
    """Read the unpacked files."""
    files = [plan.raw / name for archive in plan.archives for name in archive.holds]
    try:
        train, test = read_part(*files[:2]), read_part(*files[2:])
    except InputError as error:
        raise InputError(
            f"cannot read {plan.dataset}: {error};"
            f" delete its files there to fetch them again, or {plan.advice}"
        ) from error
    if plan.dataset == "qmnist":
        end = QMNIST_TEST * test.size**2
        test = replace(test, images=test.images[:end], labels=test.labels[:QMNIST_TEST])
    return build_dataset(plan.dataset, train, test, classes=None)
