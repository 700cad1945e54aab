"""Find the pictures of each class by their names; no file is read.

Links to files are followed, and links to the folders of splits and classes; other links to folders
are not, so that no link leads in a circle.
"""

from __future__ import annotations

import os
import stat
import unicodedata
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from tui_trainer.protocol.errors import InputError, path_error, reason
from tui_trainer.text.fmt import printable

SUFFIXES = frozenset(
    f".{name}"
    for name in (
        *("png", "apng", "jpg", "jpeg", "jpe", "jfif", "webp", "bmp", "dib", "tif", "tiff"),
        *("gif", "pgm", "ppm", "pbm", "pnm"),
    )
)
"""The ends of the names of pictures, in any case."""

FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "DIB", "TIFF", "GIF", "PPM")
"""The formats that are read, as Pillow calls them; JPEG includes MPO."""

_NO_DATA = frozenset(
    {"__macosx", "@eadir", "lost+found", "thumbs.db", "ehthumbs.db", "desktop.ini", "icon\r"}
)
_TEXTS = frozenset(
    f".{name}"
    for name in (
        *("txt", "md", "rst", "csv", "tsv", "json", "jsonl", "xml", "yaml", "yml", "toml", "html"),
        *("htm", "pdf", "log", "ini", "db", "py", "ipynb", "sh", "bat", "pkl", "npy", "npz"),
    )
)
_NAMES_OF_TEXTS = frozenset({"readme", "license", "copying", "changelog", "authors"})

DEEPEST = 32
"""The most folders inside one another below a class."""

Listed = tuple[str, str, tuple[int, int, int]]
"""The fields of :class:`Found` but the last."""


class Found(NamedTuple):
    """A picture in a folder.

    Attributes:
        path: The file.
        name: Its path below the folder of the data.
        version: Its size and times; they change with its content.
        label: The number of its class.
    """

    path: str
    name: str
    version: tuple[int, int, int]
    label: int


class Excluded(NamedTuple):
    """A file or folder that is left out, and the reason."""

    name: str
    why: str


@dataclass(slots=True)
class Watch:
    """What is shared with the thread that shows the progress.

    Attributes:
        progress: What is done, and the total; 0 while pictures are listed.
        is_over: Whether the result is not wanted any more.
    """

    progress: tuple[int, int] = (0, 0)
    is_over: bool = False

    def start(self, total: int) -> None:
        """Begin to decode so many pictures."""
        self.progress = 0, total

    def count(self, number: int = 1) -> None:
        """Count what is done; for one thread.

        Raises:
            InterruptedError: If the result is not wanted any more.
        """
        self.check()
        done, total = self.progress
        self.progress = done + number, total

    def check(self) -> None:
        """Check that the result is wanted; for any thread.

        Raises:
            InterruptedError: If it is not.
        """
        if self.is_over:
            raise InterruptedError("stopped")


def holds_pictures(folder: Path) -> bool:
    """Return whether there are pictures in a folder, or at most three folders below it."""
    left = [(str(folder), 3)]
    for _ in range(20_000):
        if not left:
            return False
        place, depth = left.pop()
        with suppress(OSError), os.scandir(place) as entries:
            for entry in entries:
                if _is_no_data(entry.name):
                    continue
                if not _is_folder(entry):
                    if _suffix(entry.name) in SUFFIXES:
                        return True
                elif depth:
                    left.append((entry.path, depth - 1))
    return False


class Finder:
    """Finds the pictures of classes; ``excluded`` gets what is left out."""

    def __init__(self, root: str, excluded: list[Excluded], watch: Watch) -> None:
        self._root = root
        self._excluded = excluded
        self._watch = watch
        self._seen: dict[tuple[int, int], str] = {}

    def classes_in(self, place: Path) -> dict[str, list[Listed]]:
        """Return the pictures of each class in the folder of a split.

        Raises:
            InputError: If two of all folders are the same one, or have the same name.
        """
        real = place.resolve()
        above = {_identity(os.stat(each)) for each in (real, *real.parents)}
        found: dict[str, list[Listed]] = {}
        for entry in entries_of(place):
            name = self._name(entry.path)
            if _is_no_data(entry.name):
                continue
            if not _is_folder(entry):
                if _suffix(entry.name) in SUFFIXES:
                    self._leave_out(name, "is in no folder of a class")
                elif not os.path.exists(entry.path):
                    self._leave_out(name, "is a link that leads nowhere")
                continue
            here = _identity(os.stat(entry.path))
            if here in above:
                self._leave_out(name, "is a link in a circle")
                continue
            if here in self._seen:
                pair = f"{printable(self._seen[here])} and {printable(name)}"
                raise path_error(Path(self._root), f"{pair} are the same folder; remove the link")
            self._seen[here] = name
            key = unicodedata.normalize("NFC", entry.name)
            if key in found:
                raise path_error(place, f"two folders have the name {printable(key)}; rename one")
            found[key] = list(self._pictures_in(entry.path))
        return found

    def _pictures_in(self, folder: str) -> Iterator[Listed]:
        left = [(folder, 1)]
        while left:
            place, depth = left.pop()
            try:
                with os.scandir(place) as entries:
                    listed = sorted(entries, key=lambda entry: entry.name)
            except OSError as error:
                self._leave_out(self._name(place), f"cannot be listed: {reason(error)}")
                continue
            for entry in listed:
                self._watch.count()
                if _is_no_data(entry.name):
                    continue
                try:
                    status = entry.stat()
                except OSError as error:
                    self._leave_out(self._name(entry.path), f"cannot be read: {reason(error)}")
                    continue
                if not stat.S_ISDIR(status.st_mode):
                    yield from self._picture(entry, status)
                elif entry.is_symlink():
                    self._leave_out(self._name(entry.path), "is a link to a folder below a class")
                elif depth == DEEPEST:
                    self._leave_out(self._name(entry.path), f"is more than {DEEPEST} folders deep")
                else:
                    left.append((entry.path, depth + 1))

    def _picture(self, entry: os.DirEntry[str], status: os.stat_result) -> Iterator[Listed]:
        name = self._name(entry.path)
        if _suffix(entry.name) not in SUFFIXES:
            if not _is_text(entry.name):
                self._leave_out(name, "has no name of a picture (.png, .jpg, …)")
        elif not stat.S_ISREG(status.st_mode):
            self._leave_out(name, "is a pipe, a socket or a device")
        elif status.st_size == 0:
            self._leave_out(name, "is empty")
        else:
            version = (status.st_size, status.st_mtime_ns, status.st_ctime_ns)
            yield entry.path, name, version

    def _name(self, path: str) -> str:
        return path[len(self._root) :].lstrip(os.sep)

    def _leave_out(self, name: str, why: str) -> None:
        self._excluded.append(Excluded(name, why))


def entries_of(folder: Path) -> list[os.DirEntry[str]]:
    """Return what is in a folder, sorted by name.

    Raises:
        InputError: If it cannot be listed.
    """
    try:
        with os.scandir(folder) as entries:
            return sorted(entries, key=lambda entry: entry.name)
    except OSError as error:
        raise path_error(
            folder, f"cannot list it: {reason(error)}; check the folder's permissions"
        ) from error


def is_class(entry: os.DirEntry[str]) -> bool:
    """Return whether something in a folder is a folder that a person made."""
    return _is_folder(entry) and not _is_no_data(entry.name)


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link to itself, or to a place that may not be seen
        return False


def has_picture(entry: os.DirEntry[str]) -> bool:
    """Return whether there is a picture in a folder, not below it; never raises."""
    try:
        return any(_suffix(each.name) in SUFFIXES for each in entries_of(Path(entry.path)))
    except InputError:
        return False


def _is_no_data(name: str) -> bool:
    """Return whether a file or folder was made by a system, not by a person."""
    return name.startswith(".") or name.casefold() in _NO_DATA


def _is_text(name: str) -> bool:
    stem, suffix = os.path.splitext(name.casefold())
    return suffix in _TEXTS or stem in _NAMES_OF_TEXTS


def _suffix(name: str) -> str:
    return os.path.splitext(name)[1].casefold()


def _identity(status: os.stat_result) -> tuple[int, int]:
    return status.st_dev, status.st_ino
