"""Writing files that may be refused: told once, tried again, told when it works."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

from tui_trainer.protocol.errors import reason
from tui_trainer.protocol.events import RecordingFailed, RecordingRestored

RecordingEvent = RecordingFailed | RecordingRestored


class Attempts:
    """Remembers which files the system refuses, so that each is told of once."""

    def __init__(self) -> None:
        self._failing: set[Path] = set()

    def __call__(self, path: Path, write: Callable[[], object]) -> Iterator[RecordingEvent]:
        """Call ``write``; tell when that begins to fail, and when it works again."""
        try:
            write()
        except OSError as error:
            if path not in self._failing:
                self._failing.add(path)
                yield RecordingFailed(path=str(path), message=reason(error))
        else:
            if path in self._failing:
                self._failing.remove(path)
                yield RecordingRestored(path=str(path))

    def failed(self, path: Path) -> bool:
        """Return whether the last attempt on a file was refused."""
        return path in self._failing
