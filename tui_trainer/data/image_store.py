"""Where decoded images are kept: in memory if they fit, else in a mapped file of the cache."""

from __future__ import annotations

import hashlib
import mmap
import os
import re
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import platformdirs
import torch

from tui_trainer.data.idx_file import Pixels
from tui_trainer.models.device import available_memory
from tui_trainer.protocol.errors import InputError, reason
from tui_trainer.recording.atomic import replacing
from tui_trainer.text import fmt
from tui_trainer.text.fmt import printable

COPIES = 2
"""How often images are in memory while they are split: as read, and as training images."""

_UNFINISHED = re.compile(r"\.(?P<source>[0-9a-f]{16})-.*\.(?P<process>\d+)\.being-written\.u8")


@dataclass(frozen=True, slots=True)
class ImageStore:
    """Gives the readers of datasets room for decoded images.

    Attributes:
        folder: The folder of the mapped files; created when one is needed.
        most: The most bytes of a dataset's images that are kept in memory; None: all.
    """

    folder: Path
    most: int | None = None

    def fits(self, size: int) -> bool:
        """Return whether the images of a dataset, ``size`` bytes in all, are kept in memory."""
        return self.most is None or size <= self.most

    def decoded(
        self,
        source: Path,
        version: str,
        part: str,
        size: int,
        write: Callable[[memoryview], None],
        *,
        resident: bool,
    ) -> Pixels:
        """Return the decoded images of a part of a dataset.

        In a file, they are kept for the next run on the same version of the source; the files of
        other versions are deleted.

        Args:
            source: The file or folder of the dataset, with its absolute path.
            version: Changes with the content of the source, and with how it is decoded; for a
                file, :func:`version_of`.
            part: ``train`` or ``test``.
            size: The bytes of the decoded images.
            write: Writes all of them into a buffer of that size.
            resident: Whether they are kept in memory; see :meth:`fits`.

        Raises:
            InputError: If they cannot be stored. Errors of ``write`` are passed on.
        """
        if resident:
            try:
                pixels = bytearray(size)
            except MemoryError as error:
                raise InputError(
                    f"{printable(source)}: its images take {fmt.size(size)}, more than the memory"
                    " that is left; lower --memory-share to read them from a file"
                ) from error
            write(memoryview(pixels))
            return pixels
        key = hashlib.sha256(os.fsencode(source)).hexdigest()[:16]
        content = hashlib.sha256(f"{version} {size}".encode()).hexdigest()[:16]
        path = self.folder / f"{key}-{part}-{content}.u8"
        try:
            if not (path.is_file() and path.stat().st_size == size):
                self.folder.mkdir(parents=True, exist_ok=True)
                self._remove_others(f"{key}-{part}-")
                _write_file(path, size, write)
            return mapped(path)
        except OSError as error:
            raise InputError(
                f"cannot store the decoded images of {printable(source)}, {fmt.size(size)}, in"
                f" {printable(self.folder)}: {reason(error)}; make room there, or raise"
                " --memory-share to keep them in memory"
            ) from error

    def _remove_others(self, beginning: str) -> None:
        """Delete the files of other versions of a part, and what a killed process left."""
        for path in self.folder.iterdir():
            unfinished = _UNFINISHED.fullmatch(path.name)
            is_old = path.name.startswith(beginning)
            if is_old or (unfinished and not _runs(int(unfinished["process"]))):
                with suppress(OSError):
                    path.unlink()


def store_for(memory_share: float) -> ImageStore:
    """Return the store of a run that may take a share of the available memory for its images."""
    available = available_memory(torch.device("cpu"))
    most = None if available is None else int(memory_share * available) // COPIES
    return ImageStore(platformdirs.user_cache_path("mnist-tui") / "decoded", most)


def version_of(path: Path) -> str:
    """Return a text that changes when a file is replaced or written to.

    Raises:
        OSError: If the file is not there.
    """
    found = path.stat()
    return f"{found.st_size} {found.st_mtime_ns} {found.st_ino}"


def mapped(path: Path) -> memoryview:
    """Return the bytes of a file, read from the disk when they are used.

    Raises:
        OSError: If it cannot be mapped; an empty file cannot.
    """
    with path.open("rb") as file:
        return memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))


def is_mapped(pixels: Pixels) -> bool:
    """Return whether images are in a mapped file."""
    return isinstance(pixels, memoryview) and isinstance(pixels.obj, mmap.mmap)


def _write_file(path: Path, size: int, write: Callable[[memoryview], None]) -> None:
    with replacing(path) as unfinished, unfinished.open("wb+") as file:
        # Reserved first: writing to a mapping on a full disk would kill the process.
        if hasattr(os, "posix_fallocate"):
            os.posix_fallocate(file.fileno(), 0, size)
        else:
            file.truncate(size)
        # Not closed: the frames of an error still refer to it.
        area = mmap.mmap(file.fileno(), size)
        write(memoryview(area))
        area.flush()


def _runs(process: int) -> bool:
    """Return whether a process is running."""
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True
