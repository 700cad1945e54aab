"""Where the events of a watched run go: findings, the run folder, and the progress on stderr."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterable
from typing import Any, TextIO, cast

from tui_trainer.findings import Findings
from tui_trainer.headless.run_report import Report
from tui_trainer.headless.streams import Console, DataOut
from tui_trainer.protocol.events import Event, FolderNotLocked, RecordingStarted, RunFailed
from tui_trainer.recording.recorder import Recorder
from tui_trainer.recording.resume_hint import recorded_line
from tui_trainer.terminal.capabilities import is_terminal
from tui_trainer.text.fmt import one_line


class Sink:
    """Takes the events of a run one by one.

    Attributes:
        recorder: Writes them to the folder of the run.
    """

    def __init__(self, recorder: Recorder, *, progress: bool, past: Iterable[Event] = ()) -> None:
        self.recorder = recorder
        self._findings: Findings | None = Findings(past)
        self._outputs: list[_Output] = []
        stream = cast(TextIO, _Unfailing(sys.stderr)) if progress and sys.stderr else None
        self._console = Console(stream, time.monotonic)
        self._report = Report(
            DataOut(stream, self._console), self._console, json_lines=False, quiet=False
        )
        if self._console.live:
            self._outputs = [_Output(name, self._console.clear) for name in ("stdout", "stderr")]

    def begin(self) -> None:
        """Report the folder of the run."""
        folder = str(self.recorder.folder.path)
        self.show(RecordingStarted(folder=folder))
        if self.recorder.unlocked:
            self.show(FolderNotLocked(folder=folder, message=self.recorder.unlocked))

    def remember(self, past: Iterable[Event]) -> None:
        """Take the events from before the run was resumed, without showing them."""
        for event in past:
            self._report.run.apply(event)

    def emit(self, event: Event) -> None:
        """Record and show an event, and the findings after it."""
        self._write(event)
        for each in self._findings_after(event):
            self._write(each)

    def _write(self, event: Event) -> None:
        for failed in self.recorder.write(event):
            self.show(failed)
        self.show(event)

    def _findings_after(self, event: Event) -> Iterable[Event]:
        """Return the findings after an event; after an error in a rule there are none any more."""
        if self._findings is None:
            return ()
        try:
            return tuple(self._findings.after(event))
        except Exception as error:
            self._findings = None
            what = one_line(f"{type(error).__name__}: {error}")
            self.print_line(f"mnist-tui: no findings any more: {what}; the run is recorded")
            return ()

    def show(self, event: Event) -> None:
        """Show an event that is not recorded."""
        if isinstance(event, RunFailed):
            return  # the script prints its own traceback
        self._report.report(event)

    def print_line(self, text: str) -> None:
        """Print a line."""
        self._console.print(text)

    def end(self) -> None:
        """Print where a run is recorded that has not finished."""
        self.print_line(recorded_line(self._report.run, is_resumable=True))

    def clear(self) -> None:
        """Erase the live line, as the loop may wait now."""
        self._console.clear()

    def close(self) -> None:
        """Close the run folder and leave the terminal to the script."""
        self.recorder.discard_if_empty()
        self.recorder.close()
        self._console.clear()
        for output in self._outputs:
            output.restore()


class _Unfailing:
    """A stream of the script whose errors end the output on it, and nothing else.

    It may be a pipe that its reader has closed, or one that a test or a notebook has replaced.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream, self._has_failed = stream, False

    def write(self, text: str) -> int:
        """Write, unless an earlier write has failed."""
        return int(self._try(lambda: self._stream.write(text)))

    def flush(self) -> None:
        """Flush, unless an earlier write has failed."""
        self._try(self._stream.flush)

    def _try(self, work: Callable[[], Any]) -> Any:
        try:
            return 0 if self._has_failed else work()
        except (OSError, ValueError):
            self._has_failed = True
            return 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


class _Output:
    """Stands in for ``sys.stdout`` or ``sys.stderr``: output of the script erases the live line.

    Only while it is a terminal; everything else is passed on.
    """

    def __init__(self, name: str, clear: Callable[[], None]) -> None:
        self._name, self._clear = name, clear
        self._stream: TextIO = getattr(sys, name)
        if is_terminal(self._stream):
            setattr(sys, name, self)

    def write(self, text: str) -> int:
        """Erase the live line, then write."""
        self._clear()
        return self._stream.write(text)

    def restore(self) -> None:
        """Put the stream back, unless something else has replaced it since."""
        if getattr(sys, self._name) is self:
            setattr(sys, self._name, self._stream)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def attach_hint(folder: str) -> str:
    """Return the line that tells how to open the window on a run."""
    return f"watched; see it with: mnist-tui attach {os.path.relpath(folder)}"
