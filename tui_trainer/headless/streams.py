"""The two streams: data for whoever reads stdout, prose and one live line for a person."""

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
from tui_trainer.text.fmt import Cell, clip, columns, fit

REDRAW_SECONDS = 0.125

BLOCKS = "▏█▕"
"""What bars are drawn with."""

# A terminal echoes Ctrl+C as two characters behind the live line; with less room they would wrap
# and leave a torn copy of the line on the screen.
_RESERVED_COLUMNS = 3

_COLOURS = {
    **{"train": "36", "change": "35", "test": "34"},
    **{"ok": "32", "warning": "33", "error": "31"},
}


class OutputError(Exception):
    """Nothing more can be written to stdout.

    Attributes:
        error: Why; a ``BrokenPipeError`` where the reader has gone.
    """

    def __init__(self, error: OSError) -> None:
        super().__init__(str(error))
        self.error = error


class Console:
    """Prose, line by line, and on a terminal one live line below it that is redrawn in place.

    The cursor is never hidden and the last column never written, so the terminal stays usable
    whatever ends the process. A stderr that cannot be written to is given up in silence: it has no
    place to say so, and the data on stdout matter more.

    Attributes:
        live: Whether there is a live line: a terminal that is not a dumb one.
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
        self._colour = self.live and not os.environ.get("NO_COLOR")
        self.ascii_only = not can_encode(BLOCKS, stream)

    @property
    def width(self) -> int:
        """The columns that the live line may use, measured anew: windows are resized."""
        return terminal_width(self._stream) - _RESERVED_COLUMNS

    def print(self, text: str, *, glyph: str = "", style: str = "") -> None:
        """Write one line that stays; on a terminal it is wrapped between words.

        Args:
            text: The line. Line breaks in it are kept only where there is no glyph to lead them.
            glyph: What to put before it.
            style: The role that colours the glyph.
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

    def due(self) -> bool:
        """Return whether the live line may be drawn again; False without one."""
        return self.live and self._clock() - self._drawn_at >= REDRAW_SECONDS

    def draw(self, cells: Sequence[Cell]) -> None:
        """Show these cells as the live line, those that fit; nothing happens without one."""
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
        # True before the write: an interrupt's message may come in between and must clear it.
        self._showing = True
        self._write(f"\r{painted}\x1b[K")
        self._drawn_at = self._clock()

    def clear(self) -> None:
        """Take the live line off the screen; the cursor is left at the start of its line."""
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
        """Begin a new line, if what others printed last did not end its own."""
        if self._unfinished:
            self._write("\n")
            self._unfinished = False

    def _relay_others(self) -> None:
        """Let what others print from now on be shown above the live line, not within it."""
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
        code = _COLOURS.get(style) if self._colour else None
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
    """Lines of data, each flushed at once.

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
        """The columns that a line may use; None where it goes to a file or a pipe."""
        return terminal_width(self._stream) - 1 if self._terminal else None

    def line(self, text: str) -> None:
        """Write a line for a person to read; on a terminal it is wrapped between words.

        Raises:
            OutputLost: If the stream takes nothing more.
        """
        self._text(text, _wrapped)

    def row(self, text: str) -> None:
        """Write a row of a table, which is never wrapped: on a narrow terminal it is cut.

        Raises:
            OutputLost: If the stream takes nothing more.
        """
        self._text(text, clip)

    def _text(self, text: str, fitted: Callable[[str, int], str]) -> None:
        self._console.clear()  # whatever reads the pipe may show it on the same terminal
        width = self.width
        plain = encodable(text if width is None else fitted(text, width), self._stream)
        self._write(f"{plain}\n")

    def record(self, value: Any) -> None:
        """Write a value as indented, strict JSON.

        Raises:
            OutputLost: If the stream takes nothing more.
        """
        self._console.clear()
        self._json(json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False), indent=2)

    def text(self, content: str) -> None:
        """Write the content of a UTF-8 file, whatever the stream's encoding is.

        Raises:
            OutputLost: If the stream takes nothing more.
        """
        self._write(content.encode() if hasattr(self._stream, "buffer") else content)

    def event(self, event: Event) -> None:
        """Write an event as one line of strict JSON, escaped where the stream needs ASCII.

        Raises:
            OutputLost: If the stream takes nothing more.
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
    """Return the columns of the terminal behind a stream."""
    return terminal_size(stream).columns


# --- whose standard output is


_kept: list[TextIO | None] = []
"""The stream that stdout was, while other people's code prints to stderr in its place."""


@contextmanager
def stdout_for_data() -> Iterator[None]:
    """Keep stdout for our own data: whatever else is printed inside goes to stderr.

    Descriptor 1 itself leads to stderr, so C code and child processes follow. It stays so when the
    block is left, for whatever is printed while the process exits is no data either; only a stream
    in memory, as tests have it, is put back.
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
        own = os.dup(STDOUT)
        # Never closed: it is needed until the process ends.
        kept = open(own, "w", encoding=stdout.encoding, errors=FALLBACK, closefd=False)  # noqa: SIM115
        _kept.append(kept)
        os.dup2(STDERR, STDOUT)
        use_fallback(stdout, line_buffering=True)
    yield


def data_stream() -> TextIO | None:
    """Return the stream for data: what stdout was when the process began."""
    return _kept[-1] if _kept else sys.stdout


def standard_output(console: Console | None = None) -> DataOut:
    """Return the standard output for data, next to a console for prose."""
    return DataOut(data_stream(), console or Console(sys.stderr, time.monotonic))


def _is_descriptor(stream: TextIO, number: int) -> bool:
    try:
        return stream.fileno() == number
    except (OSError, ValueError, AttributeError):
        return False


def redirect_to_devnull(stream: TextIO) -> None:
    """Lead a stream that failed to nowhere: the interpreter flushes it once more when it exits.

    Source: the note on SIGPIPE in the documentation of Python's ``signal`` module.
    """
    with suppress(OSError, ValueError, AttributeError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        try:
            os.dup2(nowhere, stream.fileno())
        finally:
            os.close(nowhere)


def _wrapped(text: str, width: int) -> str:
    """Return a line broken between words where it is too long, its continuation indented."""
    lines = textwrap.wrap(
        text, max(20, width), subsequent_indent="  ", break_long_words=False, break_on_hyphens=False
    )
    return "\n".join(lines)
