"""Reserves the terminal for the window: all other output goes into the run's log."""

from __future__ import annotations

import codecs
import os
import sys
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, TextIO

from tui_trainer.terminal.capabilities import (
    CELL_FALLBACK,
    is_plausible,
    reported_size,
    terminal_size,
)
from tui_trainer.terminal.descriptors import Redirection

if TYPE_CHECKING:
    from textual.driver import Driver

MAX_BYTES = 10 << 20
"""The maximum size of a log; later output is dropped."""

CHECK_SECONDS = 1.0
"""Seconds between two checks of its size."""

LAST_LINE = b"\n[the log is full: later output was dropped]\n"


class OutputLog:
    """Redirects file descriptors 1 and 2 into a log while the window is open; also for C code.

    The output goes straight into the file, so that the log of a crashed process is complete.

    Attributes:
        terminal: A stream to the terminal for the window; None outside the block.
    """

    def __init__(self) -> None:
        self.terminal: TextIO | None = None
        self._redirection: Redirection | None = None
        self._sink: int | None = None
        self._path: Path | None = None
        self._size_before = 0
        self._written: list[Path] = []
        self._variables: dict[str, str] = {}

    def __enter__(self) -> OutputLog:
        # Rich prefers these variables to the size of the terminal, even if they are wrong.
        size = reported_size(sys.stderr)
        self._variables = {
            name: os.environ.pop(name)
            for name, actual in (("COLUMNS", size.columns), ("LINES", size.lines))
            if name in os.environ and (actual or not is_plausible(os.environ[name]))
        }
        if sys.platform != "win32" and sys.stderr is not None:
            self._sink = os.open(os.devnull, os.O_WRONLY)
            self._redirection = Redirection(self._sink)
            self.terminal = open(
                self._redirection.stderr,
                "w",
                encoding=_screen_encoding(sys.stderr.encoding),
                errors=CELL_FALLBACK,
                closefd=False,
            )
            self._redirect_to(self._path)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._redirection is not None:
            self._redirection.end()
            self._close_log()
        self.terminal = self._redirection = None
        os.environ.update(self._variables)

    def follow(self, log: Path | None) -> None:
        """Redirect output into this file from now on; discard it if None."""
        if self._redirection is not None:
            self._redirect_to(log)
        self._path = log

    def check(self) -> None:
        """Discard further output once the log is full."""
        if self._path is not None and self._sink is not None and _size(self._sink) > MAX_BYTES:
            full = self._sink
            self._sink = os.open(os.devnull, os.O_WRONLY)
            assert self._redirection is not None
            self._redirection.lead_to(self._sink)
            os.ftruncate(full, MAX_BYTES)
            os.write(full, LAST_LINE)
            os.close(full)
            self._note_written()
            self._path = None

    @property
    def written(self) -> list[Path]:
        """The logs with output."""
        return [path for path in self._written if path.exists()]

    def _redirect_to(self, log: Path | None) -> None:
        sink = None
        if log is not None:
            try:
                sink = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)
            except OSError:
                log = None
        if sink is None:
            sink = os.open(os.devnull, os.O_WRONLY)
        assert self._redirection is not None
        self._redirection.lead_to(sink)
        self._close_log()
        self._sink, self._path = sink, log
        self._size_before = _size(sink)

    def _close_log(self) -> None:
        """Close the current log, and delete it if it is empty."""
        if self._sink is None:
            return
        size = _size(self._sink)
        os.close(self._sink)
        self._sink = None
        if self._path is not None and size > self._size_before:
            self._note_written()
        elif self._path is not None and size == 0:
            self._path.unlink(missing_ok=True)

    def _note_written(self) -> None:
        if self._path is not None and self._path not in self._written:
            self._written.append(self._path)


def driver_on(base: type[Driver], terminal: TextIO) -> type[Driver]:
    """Return a driver that draws on this stream, independently of file descriptor 2.

    Textual's driver draws on ``sys.__stderr__``, and prefers ``COLUMNS`` and ``LINES`` to the size
    of the terminal.
    """

    class DriverOnTerminal(base):  # type: ignore[valid-type, misc]
        def __init__(self, *arguments: Any, **options: Any) -> None:
            super().__init__(*arguments, **options)
            self._file = _QuietTerminal(terminal)

        def _get_terminal_size(self) -> tuple[int, int]:
            return terminal_size(terminal)

    return DriverOnTerminal


class _QuietTerminal:
    """Ignores errors of a terminal that is gone.

    An error would end Textual's writer thread, and the app would wait for it forever.
    """

    def __init__(self, terminal: TextIO) -> None:
        self._terminal = terminal

    def write(self, text: str) -> None:
        with suppress(OSError):
            self._terminal.write(text)

    def flush(self) -> None:
        with suppress(OSError):
            self._terminal.flush()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._terminal, name)


def _size(number: int) -> int:
    return os.fstat(number).st_size


def _screen_encoding(encoding: str) -> str:
    """Return a stream's encoding, or UTF-8 if no terminal can use it, such as UTF-16."""
    is_ascii_like = "\x1b[m".encode(encoding, "replace") == b"\x1b[m"
    return codecs.lookup(encoding).name if is_ascii_like else "utf-8"
