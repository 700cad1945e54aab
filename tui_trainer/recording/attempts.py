"""Writing files when the disk may fail: a failure is reported once, retried, then restored."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

from tui_trainer.protocol.errors import reason
from tui_trainer.protocol.events import RecordingFailed, RecordingRestored

RecordingEvent = RecordingFailed | RecordingRestored


class Attempts:
    """Remembers the files that cannot be written, so that each is reported once."""

    def __init__(self) -> None:
        self._failing: set[Path] = set()

    def __call__(self, path: Path, write: Callable[[], object]) -> Iterator[RecordingEvent]:
        """Call ``write``; report when it first fails, and when it works again."""
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
        """Return whether the last attempt to write a file failed."""
        return path in self._failing
