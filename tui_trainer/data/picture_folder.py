"""Read a dataset from a folder of pictures with a subfolder for each class."""

from __future__ import annotations

import hashlib
import os
from array import array
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import PIL
import platformdirs

from tui_trainer.data.class_folders import (
    FIRST,
    ClassFolders,
    find_pictures,
)
from tui_trainer.data.dataset_warnings import dataset_warnings
from tui_trainer.data.decoded_cache import DecodedCache
from tui_trainer.data.found_pictures import Excluded, Found, Watch
from tui_trainer.data.idx import RawDataset
from tui_trainer.data.idx_file import Pixels
from tui_trainer.data.image_store import store_for
from tui_trainer.data.picture_fitting import (
    Decoded,
    Form,
    OtherFormError,
    decode_all,
    guess_form,
)
from tui_trainer.protocol.class_names import clean_names
from tui_trainer.protocol.config import RunConfig
from tui_trainer.protocol.errors import InputError, path_error, reason
from tui_trainer.protocol.events import DatasetWarning, DecodeProgress
from tui_trainer.text import fmt
from tui_trainer.text.fmt import plural, printable

PROGRESS_INTERVAL = 0.2
"""Seconds between two progress events."""

MOST_LISTED = 1_000
"""The most excluded files that a warning lists; all are counted."""

_VERSION = "1"
"""Changes when the same files are decoded to other pixels."""

Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class _Pictures:
    """The usable pictures of a folder, decoded.

    Attributes:
        pixels: The bytes of training, validation and test pictures, one after the other.
        size: Height and width of each.
        channels: The channels of each.
        left_out: The index and the reason of each unusable one.
        notes: Lines about their content.
        is_lasting: Whether all that is the same as long as the files are unchanged.
    """

    pixels: Pixels
    size: int
    channels: int
    left_out: list[tuple[int, str]]
    notes: list[str]
    is_lasting: bool


def read_class_folders(
    folder: Path, config: RunConfig
) -> Generator[DecodeProgress | DatasetWarning, None, RawDataset]:
    """Read the pictures in a folder; yield progress, then what was left out.

    Raises:
        InputError: If there are no two classes, or no usable pictures for training or test.
    """
    folder = Path(os.path.abspath(folder))
    found = yield from _with_progress(lambda watch: find_pictures(folder, watch), folder)
    classes = len(found.classes)
    if config.classes not in (None, classes):
        raise InputError(
            f"--classes {config.classes}: {printable(folder)} has folders of {classes} classes; "
            "leave it out"
        )
    pictures = yield from _with_progress(
        lambda watch: _read(folder, found, config, watch), folder, len(found.pictures)
    )
    raw = replace(_dataset(folder, found, pictures), fit=config.fit)
    doubts = dataset_warnings(raw, to_transpose="transpose the pictures")
    for line in (*found.warnings, *doubts, *pictures.notes):
        yield DatasetWarning(folder=str(folder), message=line)
    out = [
        *found.excluded,
        *(Excluded(found.pictures[index].name, why) for index, why in pictures.left_out),
    ]
    if out:
        yield _warning_about(folder, out, len(found.pictures) + len(found.excluded))
    return raw


def _with_progress(
    work: Callable[[Watch], Result], folder: Path, listed: int = 0
) -> Generator[DecodeProgress, None, Result]:
    """Return the result of work on another thread; yield its progress while it takes long.

    The work ends when the generator is closed.
    """
    watch, is_shown = Watch((listed, 0)), False
    with ThreadPoolExecutor(1) as pool:
        future = pool.submit(work, watch)
        try:
            while not wait([future], timeout=PROGRESS_INTERVAL).done:
                is_shown = True
                done, total = watch.progress
                yield DecodeProgress(folder=str(folder), done=done, total=total)
        finally:
            watch.is_over = True
    result = future.result()
    _, total = watch.progress
    if is_shown and total:
        yield DecodeProgress(folder=str(folder), done=total, total=total)
    return result


# --- decode, or read from the cache


def _read(folder: Path, found: ClassFolders, config: RunConfig, watch: Watch) -> _Pictures:
    pictures = found.pictures
    store = store_for(config.memory_share)
    cache = DecodedCache(platformdirs.user_cache_path("mnist-tui") / "decoded")
    key = _key(folder, found, config)
    form, is_new = None, False
    while True:
        known = _cached(cache, key, len(pictures), store.fits)
        if known is not None and (is_new or known.is_lasting):
            return known
        form = form or guess_form(pictures, config)
        watch.start(len(pictures))
        most = len(pictures) * form.bytes
        try:
            if is_new:
                raise OSError("it is removed at once")
            if store.fits(most):
                return _decoded_in_memory(found, form, watch, cache, key)
            cache.decode_into_file(key, most, partial(_decode, found, form, watch))
            is_new = True
        except OtherFormError as error:
            form = error.form
        except OSError as error:
            raise InputError(
                f"{printable(folder)}: cannot store its decoded pictures, {fmt.size(most)}, in "
                f"{printable(cache.folder)}: {reason(error)}; make room there, or raise "
                "--memory-share to keep them in memory"
            ) from error


def _cached(
    cache: DecodedCache, key: str, count: int, fits: Callable[[int], bool]
) -> _Pictures | None:
    """Return the pictures in the cache; None if another version of this program wrote them."""
    known = cache.read(key, fits=fits)
    if known is None:
        return None
    try:
        found = _Pictures(known[0], **known[1])
        usable = count - len(found.left_out)
        is_whole = len(found.pixels) == usable * found.channels * found.size**2
    except (TypeError, KeyError):
        return None
    return found if is_whole else None


def _decoded_in_memory(
    found: ClassFolders, form: Form, watch: Watch, cache: DecodedCache, key: str
) -> _Pictures:
    size = len(found.pictures) * form.bytes
    try:
        pixels = bytearray(size)
    except MemoryError as error:
        raise InputError(
            f"the decoded pictures take {fmt.size(size)}, more than the memory that is left; lower"
            " --memory-share to read them from a file"
        ) from error
    with memoryview(pixels) as view:
        length, about = _decode(found, form, watch, view)
        if about["is_lasting"]:
            # A full disk, or a cache that cannot be written, costs the next run some time.
            with suppress(OSError), view[:length] as usable:
                cache.write(key, usable, about)
    del pixels[length:]
    return _Pictures(pixels, **about)


def _decode(
    found: ClassFolders, form: Form, watch: Watch, target: memoryview
) -> tuple[int, dict[str, Any]]:
    """Decode pictures into a buffer; return the bytes written, and the other fields of the result.

    Raises:
        OtherFormError: If a picture does not have the form.
    """
    decoded = decode_all(found.pictures, form, target, watch)
    return len(decoded.digests) * form.bytes, {
        "size": form.size,
        "channels": form.channels,
        "left_out": decoded.left_out,
        "notes": list(_copies(found, decoded)),
        "is_lasting": decoded.is_lasting,
    }


def _key(folder: Path, found: ClassFolders, config: RunConfig) -> str:
    """Return a digest of all that decides what the pictures are decoded to."""
    digest = hashlib.sha256()
    wanted = (config.image_size, config.fit, config.channels)
    digest.update(repr((_VERSION, PIL.__version__, os.path.realpath(folder), wanted)).encode())
    for split in (found.train, found.val, found.test):
        digest.update(repr([(each.name, each.version, each.label) for each in split]).encode())
    return digest.hexdigest()[:32]


# --- the dataset, and what to say about it


def _dataset(folder: Path, found: ClassFolders, pictures: _Pictures) -> RawDataset:
    """Return the usable pictures with their labels; those for validation follow the training ones.

    Raises:
        InputError: If there are too few.
    """
    bad = {index for index, _ in pictures.left_out}
    labels = [
        array("i", (each.label for index, each in enumerate(split, start) if index not in bad))
        for split, start in (
            (found.train, 0),
            (found.val, len(found.train)),
            (found.test, len(found.train) + len(found.val)),
        )
    ]
    train, val, test = labels
    for part, what, least in ((train, "training picture", 2), (test, "test picture", 1)):
        if len(part) < least:
            why = next((f": {found.pictures[i].name} {why}" for i, why in pictures.left_out), "")
            have = f"{plural(len(part), what)} can be decoded; at least {least} needed"
            raise path_error(folder, f"{have}{fmt.one_line(why)}")
    area = pictures.channels * pictures.size**2
    end = (len(train) + len(val)) * area
    view = memoryview(pictures.pixels)
    return RawDataset(
        name=folder.name or str(folder),
        size=pictures.size,
        classes=len(found.classes),
        train_images=view[:end],
        train_labels=train + val,
        test_images=view[end:],
        test_labels=test,
        channels=pictures.channels,
        class_names=clean_names(found.classes),
        val_total=len(val),
    )


def _copies(found: ClassFolders, decoded: Decoded) -> Iterator[str]:
    """Yield a line about pictures that are in two splits, and in two classes, pixel for pixel."""
    bad = {index for index, _ in decoded.left_out}
    usable = [each for index, each in enumerate(found.pictures) if index not in bad]
    digests = dict(zip((each.name for each in usable), decoded.digests, strict=True))
    first: dict[bytes, Found] = {}
    other_class: list[str] = []
    for each in found.train:
        if (digest := digests.get(each.name)) is not None:
            known = first.setdefault(digest, each)
            if known.label != each.label:
                other_class.append(_pair(each, known))
    for split, name in ((found.test, "test"), (found.val, "validation")):
        copies = [
            _pair(each, first[digest])
            for each in split
            if (digest := digests.get(each.name)) in first and digest is not None
        ]
        if copies:
            yield (
                f"{plural(len(copies), f'{name} picture')} of {len(split):,} also in training, "
                f"pixel for pixel: the {name} accuracy is too high; remove them from one of the "
                f"two: {fmt.listed(copies, FIRST)}"
            )
    if other_class:
        yield (
            f"{plural(len(other_class), 'training picture')} also in another class, pixel for "
            f"pixel: {fmt.listed(other_class, FIRST)}"
        )


def _pair(one: Found, other: Found) -> str:
    return f"{printable(one.name)} = {printable(other.name)}"


def _warning_about(folder: Path, out: Sequence[Excluded], total: int) -> DatasetWarning:
    """Return the warning about files that are left out, with a list of them."""
    listed = [f"{printable(each.name)} {each.why}" for each in out[:MOST_LISTED]]
    return DatasetWarning(
        folder=str(folder),
        message=f"{len(out):,} of {plural(total, 'file')} left out: {fmt.listed(listed, FIRST)}",
        files=tuple(listed),
    )
