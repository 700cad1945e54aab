"""Images that are read when they are needed: a tensor whose images stay in a buffer.

The buffer is a mapped file, or memory of the CPU for a GPU with too little. Threads read the next
batches in advance: indices are a slice of an epoch's permutation, so the next slice is known.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils._pytree import tree_map

from tui_trainer.data.idx_file import Pixels
from tui_trainer.protocol.errors import InputError
from tui_trainer.text import fmt

WORKERS = 2
"""Threads that read ahead, and batches that each of them has ready."""

MOST_AHEAD = 64 << 20
"""The most bytes of a batch that is read in advance."""

CHUNK = 8 << 20
"""The bytes that are read at a time to go through all images."""

MOST_AT_ONCE = 1 << 30
"""The most bytes that an operation reads at once."""

Indices = NDArray[np.int64]


class ImageSource:
    """The images of a buffer, and the threads that read them.

    Args:
        pixels: The bytes of all images.
        shape: The shape of an image.
    """

    def __init__(self, pixels: Pixels, shape: Sequence[int]) -> None:
        self.shape = tuple(shape)
        self._rows = np.frombuffer(pixels, np.uint8).reshape(-1, int(np.prod(self.shape)))
        self.pool = ThreadPoolExecutor(WORKERS, thread_name_prefix="images")

    def __len__(self) -> int:
        return len(self._rows)

    @property
    def image_bytes(self) -> int:
        """The bytes of an image."""
        return int(self._rows.shape[1])

    def read(self, indices: Indices, is_pinned: bool = False) -> Tensor:
        """Return the images at some indices, copied once."""
        images = torch.empty((len(indices), *self.shape), dtype=torch.uint8, pin_memory=is_pinned)
        # NumPy, not torch: a second thread with torch's own threads would slow down training.
        # With any mode but "raise", it writes without a buffer; the indices are checked before.
        target = images.numpy().reshape(len(indices), self.image_bytes)
        np.take(self._rows, indices, axis=0, out=target, mode="clip")
        return images


class MappedImages(Tensor):
    """Images (N, ...) of which those that are indexed are read, to the device of the tensor.

    Indexing the first dimension reads images, or leaves a part of them in the buffer if it is
    large. Any other operation reads all of them first, if they are not too many.
    """

    _source: ImageSource
    _chosen: Indices
    _ahead: _ReadAhead

    @staticmethod
    def __new__(cls, source: ImageSource, chosen: Indices, device: torch.device) -> MappedImages:
        """Return the images of a source at some indices, on a device when they are read."""
        if len(chosen) and not 0 <= int(chosen.min()) <= int(chosen.max()) < len(source):
            raise IndexError("an index is outside the images")
        self: MappedImages = Tensor._make_wrapper_subclass(
            cls, (len(chosen), *source.shape), dtype=torch.uint8, device=device
        )
        self._source, self._chosen = source, chosen
        self._ahead = _ReadAhead(source, is_pinned=device.type == "cuda")
        return self

    def __repr__(self) -> str:  # type: ignore[override]
        return f"MappedImages({tuple(self.shape)}, device={self.device})"

    @classmethod
    def __torch_dispatch__(  # type: ignore[override]
        cls, func: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        """Read what an operation needs, and run it."""
        kwargs = kwargs or {}
        special = _SPECIAL.get(func)
        if special is not None and isinstance(args[0], MappedImages):
            result = special(*args, **kwargs)
            if result is not None:
                return result

        def whole(value: Any) -> Any:
            return value.whole() if isinstance(value, MappedImages) else value

        return func(*tree_map(whole, args), **tree_map(whole, kwargs))

    def part(self, places: Indices) -> MappedImages:
        """Return some of the images, unread."""
        return MappedImages(self._source, self._chosen[places], self.device)

    def moved(self, device: torch.device) -> MappedImages:
        """Return the images, to be read to another device."""
        return MappedImages(self._source, self._chosen, device)

    def whole(self) -> Tensor:
        """Read all images.

        Raises:
            InputError: If they are too many.
        """
        if len(self._chosen) * self._source.image_bytes > MOST_AT_ONCE:
            size = fmt.size(len(self._chosen) * self._source.image_bytes)
            raise InputError(
                f"{len(self._chosen):,} images, {size}, are needed in memory at once; raise"
                " --memory-share, or use fewer images"
            )
        return self._source.read(self._chosen).to(self.device)

    def read(self, places: Indices, following: Iterator[Indices]) -> Tensor:
        """Read the images at some places, and those in the next ones in advance."""
        ahead = (self._chosen[each] for each in following)
        images = self._ahead.take(self._chosen[places], ahead)
        return images.to(self.device, non_blocking=True)

    def chunks(self) -> Iterator[Tensor]:
        """Read all images in the order of the buffer, a few at a time, on the CPU."""
        size = max(1, CHUNK // max(1, self._source.image_bytes))
        for start in range(0, len(self._chosen), size):
            yield self._source.read(self._chosen[start : start + size])


def as_mapped(pixels: Pixels, shape: Sequence[int], device: torch.device) -> MappedImages:
    """Return all images of a buffer."""
    source = ImageSource(pixels, shape)
    return MappedImages(source, np.arange(len(source)), device)


class _ReadAhead:
    """Reads the next batches on threads; a batch that was not foreseen is read at once."""

    def __init__(self, source: ImageSource, *, is_pinned: bool) -> None:
        self._source, self._is_pinned = source, is_pinned
        self._pending: deque[tuple[Indices, Future[Tensor]]] = deque()
        self._lock = threading.Lock()

    def take(self, indices: Indices, following: Iterator[Indices]) -> Tensor:
        """Return the images at some indices; read the following ones in advance."""
        with self._lock:
            future = None
            while self._pending and future is None:
                expected, pending = self._pending.popleft()
                # Compared, never assumed: after a rewind, another batch comes.
                if np.array_equal(expected, indices):
                    future = pending
                else:
                    pending.cancel()
            for place, each in enumerate(following):
                if place >= len(self._pending):
                    if len(each) * self._source.image_bytes > MOST_AHEAD:
                        break
                    self._pending.append((each, self._submit(each)))
                if len(self._pending) >= 2 * WORKERS:
                    break
        return future.result() if future else self._source.read(indices, self._is_pinned)

    def _submit(self, indices: Indices) -> Future[Tensor]:
        return self._source.pool.submit(self._source.read, indices, self._is_pinned)


def _indexed(images: MappedImages, indices: Sequence[Tensor | None], *rest: Any) -> Tensor | None:
    """Return ``images[index]``."""
    index = indices[0]
    if rest or len(indices) != 1 or index is None or index.dim() != 1:
        return None
    if index.dtype == torch.bool:
        return images.part(np.flatnonzero(index.cpu().numpy()))
    places = _checked(index.cpu().numpy().astype(np.int64), len(images))
    if len(places) * images._source.image_bytes > MOST_AHEAD:
        return images.part(places)
    return images.read(places, _following(index, len(images)))


def _following(index: Tensor, total: int) -> Iterator[Indices]:
    """Yield the slices that follow a slice of a permutation in its memory."""
    count, start = len(index), index.storage_offset()
    size = index.untyped_storage().nbytes() // index.element_size()
    if not count or index.stride() != (1,) or size != total:
        return
    for place in range(start + count, size, count):
        end = min(count, size - place)
        yield torch.as_strided(index, (end,), (1,), place).cpu().numpy()


def _sliced(
    images: MappedImages, dim: int = 0, start: Any = None, end: Any = None, step: int = 1
) -> Tensor | None:
    """Return ``images[start:end:step]``."""
    if dim % images.dim():
        return None
    total = len(images)
    first, last, step = slice(start, end, step).indices(total)
    places = np.arange(first, last, step, dtype=np.int64)
    if len(places) * images._source.image_bytes > MOST_AHEAD:
        return images.part(places)
    width = last - first
    ahead = (
        np.arange(place, min(place + width, total), step, dtype=np.int64)
        for place in (range(last, total, width) if width > 0 else ())
    )
    return images.read(places, ahead)


def _selected(images: MappedImages, dim: int, index: int) -> Tensor | None:
    """Return ``images[index]`` for a number."""
    if dim % images.dim():
        return None
    places = _checked(np.array([index], dtype=np.int64), len(images))
    return images.read(places, iter(()))[0]


def _same(images: MappedImages, *rest: Any, **options: Any) -> Tensor | None:
    """Return the images themselves."""
    return None if rest or options else images.part(np.arange(len(images)))


def _copied(images: MappedImages, *rest: Any, **options: Any) -> Tensor | None:
    """Return the images on another device."""
    device, dtype = options.get("device"), options.get("dtype", torch.uint8)
    if rest or device is None or dtype not in (None, torch.uint8):
        return None
    return images.moved(torch.device(device))


def _checked(places: Indices, total: int) -> Indices:
    """Return places from 0, after checking them."""
    places = np.where(places < 0, places + total, places)
    if len(places) and not 0 <= int(places.min()) <= int(places.max()) < total:
        raise IndexError(f"an index is outside the {total:,} images")
    return places


_SPECIAL: dict[Any, Callable[..., Tensor | None]] = {
    torch.ops.aten.index.Tensor: _indexed,
    torch.ops.aten.slice.Tensor: _sliced,
    torch.ops.aten.select.int: _selected,
    torch.ops.aten.detach.default: _same,
    torch.ops.aten.alias.default: _same,
    torch.ops.aten._to_copy.default: _copied,
}
