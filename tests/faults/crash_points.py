"""The places where a process writes to its run folder: it can be killed or refused there."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, NoReturn

Trap = Callable[[], object]
"""The action at a place."""

PLACES = ("write", "half a write", "fsync", "replace", "open", "half a file", "after a replace")
"""The places: before a system call, within it, or after it."""

REFUSALS = ("write", "half a write", "fsync", "replace", "half a file", "open to write")
"""Where a full disk can refuse."""


def die() -> NoReturn:
    """Exit at once, as in a power failure."""
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError("still alive")


class Counted:
    """Triggers an action at one of many calls.

    Attributes:
        calls: The number of calls.
    """

    def __init__(self, number: int, trap: Trap) -> None:
        self.calls = 0
        self._number = number
        self._trap = trap

    def is_due(self) -> bool:
        """Count a call; return whether it is the one."""
        self.calls += 1
        return self.calls == self._number

    def spring(self) -> None:
        """Trigger the action."""
        self._trap()


def set_trap(place: str, number: int, trap: Trap, patch: Callable[..., None] = setattr) -> Counted:
    """Set a trap at the ``number``-th passing of a place; number 0 only counts.

    Args:
        place: One of :data:`PLACES`.
        number: The passing, from 1.
        trap: The action.
        patch: Replaces a function: ``monkeypatch.setattr`` if it must be restored.
    """
    counted = Counted(number, trap)
    match place:
        case "write" | "half a write":
            patch(os, "write", _trapped_write(counted, os.write, half=place.startswith("half")))
        case "fsync":
            patch(os, "fsync", _before(counted, os.fsync))
        case "replace":
            patch(os, "replace", _before(counted, os.replace))
        case "after a replace":
            patch(os, "replace", _after(counted, os.replace))
        case "open":
            patch(Path, "open", _before(counted, Path.open))
        case "open to write":
            patch(Path, "open", _before_writing(counted, Path.open))
        case "half a file":
            patch(Path, "open", _half_a_file(counted, Path.open))
        case _:
            raise KeyError(place)
    return counted


def _before(counted: Counted, function: Callable[..., Any]) -> Callable[..., Any]:
    def call(*arguments: Any, **more: Any) -> Any:
        if counted.is_due():
            counted.spring()
        return function(*arguments, **more)

    return call


def _before_writing(counted: Counted, function: Callable[..., Any]) -> Callable[..., Any]:
    def call(path: Path, mode: str = "r", *arguments: Any, **more: Any) -> Any:
        if mode in ("wb", "rb+") and counted.is_due():
            counted.spring()
        return function(path, mode, *arguments, **more)

    return call


def _after(counted: Counted, function: Callable[..., Any]) -> Callable[..., Any]:
    def call(*arguments: Any, **more: Any) -> Any:
        result = function(*arguments, **more)
        if counted.is_due():
            counted.spring()
        return result

    return call


def _trapped_write(
    counted: Counted, function: Callable[..., int], *, half: bool
) -> Callable[..., int]:
    def call(handle: int, content: Any) -> int:
        if counted.is_due():
            if half:
                function(handle, content[: len(content) // 2])
            counted.spring()
        return function(handle, content)

    return call


def _half_a_file(counted: Counted, function: Callable[..., Any]) -> Callable[..., Any]:
    def call(path: Path, mode: str = "r", *arguments: Any, **more: Any) -> Any:
        file = function(path, mode, *arguments, **more)
        return _HalfFile(file, counted) if mode == "wb" else file

    return call


class _HalfFile:
    """A file of which only half is written."""

    def __init__(self, file: Any, counted: Counted) -> None:
        self._file = file
        self._counted = counted

    def write(self, content: bytes) -> int:
        if self._counted.is_due():
            self._file.write(content[: len(content) // 2])
            self._file.flush()
            self._counted.spring()
        return int(self._file.write(content))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)

    def __enter__(self) -> _HalfFile:
        return self

    def __exit__(self, *error: object) -> None:
        with suppress(OSError):
            self._file.close()
