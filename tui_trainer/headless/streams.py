"""The two streams: stdout for data, stderr for messages and one live line."""

from __future__ import annotations

import json
import os
import sys
import textwrap
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any, TextIO

from tui_trainer.headless.relay import Relay
from tui_trainer.protocol.events import Event, to_json
from tui_trainer.terminal.capabilities import (
    FALLBACK,
    can_encode,
    encodable,
    is_dumb,
    is_terminal,
    terminal_size,
    use_fallback,
)
from tui_trainer.terminal.descriptors import STDERR, STDOUT, flush_streams
from tui_trainer.terminal.notifications import notification
from tui_trainer.text.fmt import Cell, clip, columns, fit

REDRAW_SECONDS = 0.125

BLOCKS = "▏█▕"
"""The characters of progress bars."""

# A terminal echoes Ctrl+C as two characters after the live line; with less room they would wrap and
# leave a copy of the line on the screen.
_RESERVED_COLUMNS = 3

_COLORS = {
    **{"train": "36", "change": "35", "test": "34"},
    **{"ok": "32", "warning": "33", "error": "31"},
}


class OutputError(Exception):
    """Raised when stdout cannot be written to.

    Attributes:
        error: The cause; a ``BrokenPipeError`` if the reader closed the pipe.
    """

    def __init__(self, error: OSError) -> None:
        super().__init__(str(error))
        self.error = error


class Console:
    """Messages, line by line; on a terminal also a live line below them, redrawn in place.

    The cursor is never hidden and the last column never written, so the terminal stays usable
    however the process ends. If stderr cannot be written to, output to it is dropped: there is no
    other place for a message, and the data on stdout matter more.

    Attributes:
        live: Whether there is a live line: on a terminal with cursor control.
        ascii_only: Whether the stream cannot show block characters.
    """

    def __init__(self, stream: TextIO | None, clock: Callable[[], float]) -> None:
        self._stream = stream
        self._clock = clock
        self._drawn_at = -REDRAW_SECONDS
        self._showing = False
        self._unfinished = False
        self._relay: Relay | None = None
        self._lock = threading.RLock()
        self.live = is_terminal(stream) and not is_dumb()
        self._color = self.live and not os.environ.get("NO_COLOR")
        self.ascii_only = not can_encode(BLOCKS, stream)

    @property
    def width(self) -> int:
        """The columns for the live line, measured each time: windows are resized."""
        return terminal_width(self._stream) - _RESERVED_COLUMNS

    def print(self, text: str, *, glyph: str = "", style: str = "") -> None:
        """Write a permanent line; on a terminal it is wrapped between words.

        Args:
            text: The line. Line breaks are kept only without a glyph.
            glyph: A character before the line.
            style: The role that colors the glyph.
        """
        plain = f"{glyph} {text}" if glyph else text
        if self.live and "\n" not in plain:
            plain = _wrapped(plain, terminal_width(self._stream) - 1)
        plain = encodable(plain, self._stream)
        if glyph:
            lead = len(encodable(glyph, self._stream))
            plain = self._paint(plain[:lead], style) + plain[lead:]
        with self._lock:
            self.clear()
            self._end_line()
            self._write(f"{plain}\n")

    def notify(self, text: str, how: str) -> None:
        """Notify the user with a bell, and a text if the terminal shows one; only on a terminal.

        Args:
            text: The text.
            how: One of :data:`tui_trainer.terminal.notifications.CHOICES`.
        """
        if is_terminal(self._stream):
            with self._lock:
                self._write(encodable(notification(text, how), self._stream))

    def due(self) -> bool:
        """Return whether it is time to draw the live line; False without one."""
        return self.live and self._clock() - self._drawn_at >= REDRAW_SECONDS

    def draw(self, cells: Sequence[Cell]) -> None:
        """Draw the cells that fit as the live line; do nothing without one."""
        if not self.live:
            return
        with self._lock:
            self._relay_others()
            self._draw(cells)

    def _draw(self, cells: Sequence[Cell]) -> None:
        self._end_line()
        room = self.width
        painted = ""
        for cell in fit(cells, room):
            text = encodable(clip(encodable(cell.text, self._stream), room), self._stream)
            room -= columns(text)
            painted += self._paint(text, cell.style)
        # True before the write: the message of an interrupt may come in between and must clear it.
        self._showing = True
        self._write(f"\r{painted}\x1b[K")
        self._drawn_at = self._clock()

    def clear(self) -> None:
        """Erase the live line; the cursor stays at the start of its line."""
        with self._lock:
            if self._relay is not None:
                relay, self._relay = self._relay, None
                relay.end()
            self._erase()

    def _erase(self) -> None:
        if self._showing:
            self._write("\r\x1b[K")
            self._showing = False

    def _end_line(self) -> None:
        """Start a new line if the last output of other code did not end with one."""
        if self._unfinished:
            self._write("\n")
            self._unfinished = False

    def _relay_others(self) -> None:
        """Show the output of other code above the live line from now on."""
        if self._relay is not None:
            self._relay.pass_on()
        elif _kept and self._stream is not None and _is_descriptor(self._stream, STDERR):
            with suppress(OSError):
                self._relay = Relay(self._stream, self._show_others, self._lock)

    def _show_others(self, content: bytes) -> None:
        self._erase()
        self._write(content)
        self._unfinished = not content.endswith(b"\n")

    def _paint(self, text: str, style: str) -> str:
        code = _COLORS.get(style) if self._color else None
        return f"\x1b[{code}m{text}\x1b[0m" if code else text

    def _write(self, content: str | bytes) -> None:
        if self._stream is None:
            return
        stream = self._stream if self._relay is None else self._relay.terminal
        try:
            _write(stream, content)
        except (OSError, ValueError):
            redirect_to_devnull(stream)
            self._stream, self.live = None, False


class DataOut:
    """Lines of data, flushed one by one.

    Attributes:
        ascii_only: Whether the stream cannot show block characters.
    """

    def __init__(self, stream: TextIO | None, console: Console) -> None:
        self._stream = stream
        self._console = console
        self._terminal = is_terminal(stream)
        self.ascii_only = not can_encode(BLOCKS, stream)

    @property
    def width(self) -> int | None:
        """The columns for a line; None for a file or a pipe."""
        return terminal_width(self._stream) - 1 if self._terminal else None

    def line(self, text: str) -> None:
        """Write a line of text; on a terminal it is wrapped between words.

        Raises:
            OutputError: If the stream cannot be written to.
        """
        self._text(text, _wrapped)

    def row(self, text: str) -> None:
        """Write a row of a table, which is never wrapped; a narrow terminal clips it.

        Raises:
            OutputError: If the stream cannot be written to.
        """
        self._text(text, clip)

    def _text(self, text: str, fitted: Callable[[str, int], str]) -> None:
        self._console.clear()  # the reader of the pipe may print to the same terminal
        width = self.width
        plain = encodable(text if width is None else fitted(text, width), self._stream)
        self._write(f"{plain}\n")

    def record(self, value: Any) -> None:
        """Write a value as indented, strict JSON.

        Raises:
            OutputError: If the stream cannot be written to.
        """
        self._console.clear()
        self._json(json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False), indent=2)

    def json_line(self, value: Any) -> None:
        """Write a value as one line of strict JSON.

        Raises:
            OutputError: If the stream cannot be written to.
        """
        self._console.clear()
        self._json(json.dumps(value, ensure_ascii=False, allow_nan=False))

    def text(self, content: str) -> None:
        """Write the content of a UTF-8 file, with any encoding of the stream.

        Raises:
            OutputError: If the stream cannot be written to.
        """
        self._write(content.encode() if hasattr(self._stream, "buffer") else content)

    def event(self, event: Event) -> None:
        """Write an event as one line of strict JSON, escaped if the stream needs ASCII.

        Raises:
            OutputError: If the stream cannot be written to.
        """
        if self._terminal:
            self._console.clear()
        self._json(to_json(event))

    def _json(self, text: str, indent: int | None = None) -> None:
        if not can_encode(text, self._stream):
            text = json.dumps(json.loads(text), indent=indent)
        self._write(f"{text}\n")

    def _write(self, content: str | bytes) -> None:
        if self._stream is None:
            return
        try:
            _write(self._stream, content)
        except OSError as error:
            redirect_to_devnull(self._stream)
            raise OutputError(error) from error


def _write(stream: TextIO, content: str | bytes) -> None:
    if isinstance(content, bytes):
        stream.flush()
        stream.buffer.write(content)
    else:
        stream.write(content)
    stream.flush()


def terminal_width(stream: TextIO | None) -> int:
    """Return the columns of a stream's terminal."""
    return terminal_size(stream).columns


# --- standard output for data


_kept: list[TextIO | None] = []
"""The original stdout, while ``sys.stdout`` is redirected to stderr."""


@contextmanager
def stdout_for_data() -> Iterator[None]:
    """Reserve stdout for the program's data: other output inside goes to stderr.

    Descriptor 1 itself is redirected to stderr, so C code and child processes follow. It stays
    redirected after the block, since output during the exit is no data either; only a stream in
    memory, as in tests, is restored.
    """
    stdout = sys.stdout
    if stdout is None or not _is_descriptor(stdout, STDOUT):
        _kept.append(stdout)
        sys.stdout = sys.stderr
        try:
            yield
        finally:
            sys.stdout = _kept.pop()
        return
    if not _kept:
        flush_streams()
        descriptor = os.dup(STDOUT)
        # Never closed: needed until the process ends.
        kept = open(descriptor, "w", encoding=stdout.encoding, errors=FALLBACK, closefd=False)  # noqa: SIM115
        _kept.append(kept)
        os.dup2(STDERR, STDOUT)
        use_fallback(stdout, line_buffering=True)
    yield


def data_stream() -> TextIO | None:
    """Return the stream for data: the original stdout."""
    return _kept[-1] if _kept else sys.stdout


def standard_output(console: Console | None = None) -> DataOut:
    """Return the standard output for data, together with a console for messages."""
    return DataOut(data_stream(), console or Console(sys.stderr, time.monotonic))


def _is_descriptor(stream: TextIO, number: int) -> bool:
    try:
        return stream.fileno() == number
    except (OSError, ValueError, AttributeError):
        return False


def redirect_to_devnull(stream: TextIO) -> None:
    """Redirect a failed stream to /dev/null: the interpreter flushes it again at exit.

    Source: the note on SIGPIPE in the documentation of Python's ``signal`` module.
    """
    with suppress(OSError, ValueError, AttributeError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        try:
            os.dup2(nowhere, stream.fileno())
        finally:
            os.close(nowhere)


def _wrapped(text: str, width: int) -> str:
    """Return a line wrapped between words, with its continuation indented further."""
    lead = " " * (len(text) - len(text.lstrip(" ")))
    lines = textwrap.wrap(
        text,
        max(20, width),
        subsequent_indent=f"{lead}  ",
        break_long_words=False,
        break_on_hyphens=False,
    )
    return "\n".join(lines)
