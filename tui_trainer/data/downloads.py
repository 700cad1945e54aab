"""Download datasets that are not in the package, and cache them.

The download itself is done here: torchvision prints its progress to the terminal, which belongs to
the window, and accepts incomplete files.
"""

from __future__ import annotations

import contextlib
import gzip
import hashlib
import math
import os
import re
import shutil
import tarfile
import time
import urllib.error
import urllib.request
import zipfile
import zlib
from collections.abc import Generator, Iterator
from http.client import HTTPException
from pathlib import Path, PurePosixPath
from typing import IO, Any, BinaryIO

from tui_trainer.data.idx import RawDataset
from tui_trainer.data.idx_file import MAX_BYTES
from tui_trainer.data.image_store import ImageStore
from tui_trainer.data.published_datasets import Archive, Plan, plan_of
from tui_trainer.protocol.errors import InputError, reason
from tui_trainer.protocol.events import DownloadProgress
from tui_trainer.text.fmt import printable

TIMEOUT = 20.0
"""Seconds without a byte after which a download is aborted."""
PROGRESS_INTERVAL = 0.1
"""The least seconds between two progress events of a file."""

MOST_ARCHIVE = 4 << 30
"""The largest archive; STL-10's, with its images without labels, has 2.6 GB."""

_CHUNK = 1 << 18
_DAMAGE = (
    *(gzip.BadGzipFile, zipfile.BadZipFile, tarfile.TarError),
    *(zlib.error, EOFError, KeyError),
)


class _UnavailableError(Exception):
    """A server does not deliver the file; the text says why."""


def fetch(
    dataset: str, cache: Path, store: ImageStore
) -> Generator[DownloadProgress, None, RawDataset]:
    """Return a dataset, after downloading the files that are not in the cache.

    The cache has torchvision's layout (``CACHE/KMNIST/raw``). An archive gets its final name only
    after its published MD5 is verified, so that an interrupted download is never used; archives are
    kept, since the one of EMNIST contains six datasets. Of QMNIST, the 60,000 training images and
    the first 10,000 test images are used, which match MNIST's. EMNIST's images, transposed in its
    files, are returned upright, and the labels of its letters start at 0. Of CIFAR, the binary
    files are fetched, not the pickles.

    Args:
        dataset: A name from :data:`tui_trainer.protocol.config.DATASETS` other than ``mnist``.
        cache: The folder for datasets; created if missing.
        store: Keeps the images.

    Yields:
        The progress of each file, at most about ten times a second, and once when it is complete.
        Nothing if all files are cached.

    Raises:
        ValueError: If ``dataset`` is not such a name.
        InputError: If no server delivers a file, the cache cannot be written, or a cached file is
            damaged.
    """
    plan = plan_of(dataset, cache)
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
    try:
        return plan.read(plan, store)
    except InputError as error:
        raise InputError(
            f"cannot read {dataset}: {error};"
            f" delete its files there to fetch them again, or {plan.advice}"
        ) from error


def _obtain(plan: Plan, archive: Archive) -> Generator[DownloadProgress, None, None]:
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
            if done > MOST_ARCHIVE:
                raise _UnavailableError(f"it sends more than {MOST_ARCHIVE:,} bytes")
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


def _unpack(plan: Plan, archive: Archive) -> None:
    """Unpack the files of a dataset from an archive, each one completely or not at all.

    torchvision unpacks all six EMNIST datasets, almost 2 GB, and after an interruption it uses a
    truncated file.
    """
    path = plan.raw / archive.name
    if archive.name in archive.holds:
        return
    try:
        if path.name.endswith(".tar.gz"):
            _untar(path, archive.holds)
            return
        if path.suffix != ".zip":
            with path.open("rb") as packed:
                _gunzip(packed, plan.raw / archive.holds[0])
            return
        with zipfile.ZipFile(path) as folder:
            members = {PurePosixPath(member).name: member for member in folder.namelist()}
            for name in archive.holds:
                with folder.open(members[f"{name}.gz"]) as packed:
                    _gunzip(packed, plan.raw / name)
    except _DAMAGE as error:
        raise InputError(
            f"cannot unpack {printable(path)} for {plan.dataset}: {reason(error)};"
            f" delete it to fetch it again, or {plan.advice}"
        ) from error


def _untar(path: Path, holds: tuple[str, ...]) -> None:
    """Unpack the named files of an archive, which must be plain files, next to it."""
    missing = set(holds)
    # As a stream, which ends with the last of them: what follows in STL-10's is much larger.
    with tarfile.open(path, "r|gz") as archive:
        for member in archive:
            if member.name not in missing:
                continue
            unpacked = archive.extractfile(member) if member.isreg() else None
            if unpacked is None or member.size > MAX_BYTES:
                raise tarfile.TarError(f"{member.name} is no file, or too large")
            target = path.parent / member.name
            target.parent.mkdir(exist_ok=True)
            with _whole_file(target) as file:
                shutil.copyfileobj(unpacked, file, _CHUNK)
            missing.remove(member.name)
            if not missing:
                return
    raise tarfile.TarError(f"{sorted(missing)[0]} not found in it")


def _gunzip(packed: IO[bytes], target: Path) -> None:
    with gzip.open(packed) as unpacked, _whole_file(target) as file:
        shutil.copyfileobj(unpacked, file, _CHUNK)
