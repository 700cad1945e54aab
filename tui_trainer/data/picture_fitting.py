"""Bring pictures of any size, depth and color to one form, on several threads."""

from __future__ import annotations

import hashlib
import os
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageOps
from PIL.Image import Resampling

from tui_trainer.data.found_pictures import FORMATS, Found, Watch
from tui_trainer.data.idx_file import MAX_SIZE, MIN_SIZE
from tui_trainer.data.picture_decoding import damaged, in_mode, on_white, opened, without_warnings
from tui_trainer.protocol.config import RunConfig
from tui_trainer.protocol.errors import InputError, path_error, reason
from tui_trainer.text.fmt import printable

DEFAULT_SIZE = 32
"""The size of pictures of different sizes, in pixels."""

SAMPLES = 16
"""The pictures of which the form of all is guessed; it changes when one of all differs."""

CHUNK = 64
"""The pictures that a thread decodes at a time."""

MAX_THREADS = 16


@dataclass(frozen=True, slots=True)
class Form:
    """What pictures are brought to.

    Attributes:
        size: Height and width in pixels.
        channels: 1 or 3.
        fit: One of :data:`tui_trainer.protocol.config.FITS`.
        is_guessed_size: Whether it is the size of all pictures so far, and has to be that of all.
        is_guessed_gray: Whether one channel is enough for all pictures so far.
    """

    size: int
    channels: int
    fit: str
    is_guessed_size: bool = False
    is_guessed_gray: bool = False

    @property
    def bytes(self) -> int:
        """The bytes of a picture."""
        return self.channels * self.size**2


class OtherFormError(Exception):
    """A picture differs from those of which the form was guessed."""

    def __init__(self, form: Form) -> None:
        super().__init__(form)
        self.form = form


class UnusableError(Exception):
    """A picture is left out; the text is the reason.

    Attributes:
        is_lasting: Whether the content of the file is the reason, so that it stays unusable.
    """

    def __init__(self, why: str, *, is_lasting: bool = True) -> None:
        super().__init__(why)
        self.is_lasting = is_lasting


@dataclass(slots=True)
class Decoded:
    """What is known of pictures after decoding.

    Attributes:
        left_out: Index and reason of each unusable picture.
        digests: A digest of the pixels of each usable one.
        is_lasting: Whether all of it depends only on the content of the files.
    """

    left_out: list[tuple[int, str]] = field(default_factory=list)
    digests: list[bytes] = field(default_factory=list)
    is_lasting: bool = True


class _Chunk(NamedTuple):
    pixels: bytes
    digests: list[bytes]
    unusable: list[tuple[int, UnusableError]]


def guess_form(pictures: Sequence[Found], config: RunConfig) -> Form:
    """Return the form that the settings ask for; what they leave open, from some of the pictures.

    Pictures that all have the same square size keep it if models take it, 8 to 128 pixels.
    """
    step = max(1, len(pictures) // SAMPLES)
    order = [*pictures[::step], *pictures]
    known = list(islice(_sampled(order), SAMPLES)) if _is_open(config) else []
    sizes = {size for size, _ in known}
    side = next(iter(sizes), (DEFAULT_SIZE, DEFAULT_SIZE))[0]
    is_same = sizes == {(side, side)} and MIN_SIZE <= side <= MAX_SIZE
    is_gray = not any(is_colored for _, is_colored in known)
    return Form(
        size=config.image_size or (side if is_same else DEFAULT_SIZE),
        channels=config.channels or (1 if is_gray else 3),
        fit=config.fit,
        is_guessed_size=config.image_size is None and is_same,
        is_guessed_gray=config.channels is None and is_gray,
    )


def decode_all(pictures: Sequence[Found], form: Form, target: memoryview, watch: Watch) -> Decoded:
    """Decode pictures in order, one after the other, into ``target``; unusable ones are left out.

    ``watch`` counts the pictures.

    Raises:
        OtherFormError: If a picture differs from those of which the form was guessed.
        InterruptedError: If the watch is over.
    """
    Image.init()  # before there are threads
    found, end = Decoded(), 0
    threads = min(MAX_THREADS, _cores())
    with without_warnings(), ThreadPoolExecutor(threads) as pool:
        waiting: deque[tuple[int, Future[_Chunk]]] = deque()
        try:
            for start in range(0, len(pictures) + threads * 2 * CHUNK, CHUNK):
                if start < len(pictures):
                    part = pictures[start : start + CHUNK]
                    waiting.append((start, pool.submit(_decode_chunk, part, form, watch)))
                if waiting and (len(waiting) > threads * 2 or start >= len(pictures)):
                    first, future = waiting.popleft()
                    chunk = future.result()
                    target[end : end + len(chunk.pixels)] = chunk.pixels
                    end += len(chunk.pixels)
                    found.digests += chunk.digests
                    for index, error in chunk.unusable:
                        found.left_out.append((first + index, str(error)))
                        found.is_lasting = found.is_lasting and error.is_lasting
                    watch.count(len(chunk.digests) + len(chunk.unusable))
        finally:
            for _, future in waiting:
                future.cancel()
    return found


def picture_bytes(path: Path, form: Form) -> bytes:
    """Return the bytes of one picture, plane by plane, decoded as those of a dataset.

    Raises:
        InputError: If it cannot be decoded; the message starts with the path.
    """
    try:
        with without_warnings():
            return _pixels(str(path), form)
    except UnusableError as error:
        raise path_error(path, str(error)) from None


def _is_open(config: RunConfig) -> bool:
    return config.image_size is None or config.channels is None


def _sampled(pictures: Sequence[Found]) -> Iterator[tuple[tuple[int, int], bool]]:
    """Yield the size of each usable picture, and whether it has colors."""
    with without_warnings():
        for each in pictures:
            try:
                file, picture = _decoded(each.path, 2 * DEFAULT_SIZE)
            except UnusableError:
                continue
            yield file.size, _is_colored(picture)


def _decode_chunk(pictures: Sequence[Found], form: Form, watch: Watch) -> _Chunk:
    pixels: list[bytes] = []
    unusable: list[tuple[int, UnusableError]] = []
    for index, each in enumerate(pictures):
        watch.check()  # a large picture takes a second
        try:
            pixels.append(_pixels(each.path, form))
        except UnusableError as error:
            unusable.append((index, error))
    digests = [hashlib.blake2b(each, digest_size=16).digest() for each in pixels]
    return _Chunk(b"".join(pixels), digests, unusable)


def _pixels(path: str, form: Form) -> bytes:
    """Return the bytes of a picture, plane by plane.

    Raises:
        UnusableError: If it cannot be decoded.
        OtherFormError: If it differs from the guessed form.
    """
    file, picture = _decoded(path, 2 * form.size)
    if form.is_guessed_size and file.size != (form.size, form.size):
        raise OtherFormError(replace(form, size=DEFAULT_SIZE, is_guessed_size=False))
    if form.is_guessed_gray and _is_colored(picture):
        raise OtherFormError(replace(form, channels=3, is_guessed_gray=False))
    picture = _fitted(picture, form.size, form.fit)
    if form.channels == 1:
        return in_mode(picture, "L").tobytes()
    picture = in_mode(picture, "RGB")
    return np.asarray(picture).transpose(2, 0, 1).tobytes()


def _decoded(path: str, at_least: int) -> tuple[Image.Image, Image.Image]:
    """Return a picture as its file describes it, and decoded: upright, ``L`` or ``RGB``, on white.

    Raises:
        UnusableError: If it cannot be decoded.
    """
    where = Path(path)
    try:
        file = opened(where, FORMATS)
        try:
            return file, on_white(file, (at_least, at_least))[0]
        except MemoryError:
            raise UnusableError("takes more memory than is left", is_lasting=False) from None
        except Exception as error:  # a decoder can raise anything
            raise damaged(where, error) from None
    except InputError as error:
        why = str(error).removeprefix(f"{printable(where)}: ")
        raise UnusableError(why, is_lasting=not why.startswith("cannot be read")) from None
    except MemoryError as error:
        raise UnusableError(reason(error), is_lasting=False) from None


def _is_colored(picture: Image.Image) -> bool:
    if picture.mode == "L":
        return False
    pixels = np.asarray(picture)
    return bool((pixels[..., :1] != pixels[..., 1:]).any())


def _fitted(picture: Image.Image, size: int, fit: str) -> Image.Image:
    """Return a picture of ``size`` × ``size`` pixels, antialiased."""
    if picture.size == (size, size):
        return picture
    if fit == "crop":
        return ImageOps.fit(picture, (size, size), method=Resampling.BICUBIC)
    if fit == "stretch":
        return picture.resize((size, size), Resampling.BICUBIC)
    scale = size / max(picture.size)
    width, height = (max(1, round(scale * side)) for side in picture.size)
    padded = Image.new(picture.mode, (size, size))
    inner = picture.resize((width, height), Resampling.BICUBIC)
    padded.paste(inner, ((size - width) // 2, (size - height) // 2))
    return padded


def _cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
