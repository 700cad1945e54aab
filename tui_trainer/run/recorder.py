"""The run folder: what was asked, and everything that happened."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import TextIO

from tui_trainer.run.config import RunConfig
from tui_trainer.run.config_file import to_toml
from tui_trainer.run.errors import InputError
from tui_trainer.run.events import (
    Event,
    RecordingFailed,
    RunFinished,
    RunStarted,
    StepDone,
    to_json,
)
from tui_trainer.run.text import printable

CONFIG, EVENTS, SUMMARY = FILES = "config.toml", "events.jsonl", "summary.json"


class Recorder:
    """A folder for one run: ``config.toml``, ``events.jsonl`` and, at its end, ``summary.json``.

    Raises:
        InputError: From the constructor, if the folder holds a run already or cannot be written.
    """

    def __init__(self, folder: Path, config: RunConfig) -> None:
        self.folder = folder
        self._file: TextIO | None = None
        try:
            folder.mkdir(parents=True, exist_ok=True)
            if there := [name for name in FILES if (folder / name).exists()]:
                already = f"holds a run already ({there[0]}); choose another folder"
                raise InputError(f"--out {printable(folder)}: {already}")
            self._open(config)
        except OSError as error:
            reason = error.strerror or error
            raise InputError(
                f"--out {printable(folder)}: cannot be written: {reason}; choose another folder"
            ) from None

    def _open(self, config: RunConfig) -> None:
        try:
            (self.folder / CONFIG).write_text(to_toml(config), encoding="utf-8")
            self._file = (self.folder / EVENTS).open("x", encoding="utf-8")
        except OSError:
            self._forget()
            raise

    def record(self, events: Iterator[Event]) -> Iterator[Event]:
        """Pass events on, each written down before anyone else sees it.

        If the folder can no longer be written, the run goes on unrecorded and says so once. A run
        that cannot begin leaves no files, so that the folder is free for the next attempt.
        """
        begun = False
        try:
            for event in events:
                begun = begun or isinstance(event, RunStarted)
                failure = self._write(event)
                if failure is not None:
                    yield failure
                yield event
        except InputError:
            if not begun:
                self._forget()
            raise
        finally:
            self._close()

    def _write(self, event: Event) -> RecordingFailed | None:
        if self._file is None:
            return None
        try:
            self._file.write(to_json(event) + "\n")
            if not isinstance(event, StepDone):
                self._file.flush()
            if isinstance(event, RunFinished):
                summary = json.dumps(json.loads(to_json(event)), indent=2) + "\n"
                (self.folder / SUMMARY).write_text(summary, encoding="utf-8")
        except OSError as error:
            self._close()
            return RecordingFailed(path=str(self.folder), message=error.strerror or str(error))
        return None

    def _forget(self) -> None:
        """Take away what was written; the folder too, if nothing else is in it."""
        self._close()
        with suppress(OSError):
            for name in FILES:
                (self.folder / name).unlink(missing_ok=True)
            self.folder.rmdir()

    def _close(self) -> None:
        file, self._file = self._file, None
        if file is not None:
            # Closing flushes, and a full disk refuses that as well. It has been told already.
            with suppress(OSError):
                file.close()
