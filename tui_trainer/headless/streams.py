"""The two streams: data for whoever reads stdout, prose and one live line for a person."""

from __future__ import annotations

import json
import os
import shutil
import textwrap
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import TextIO

from tui_trainer.run.events import Event, to_json
from tui_trainer.run.text import Cell, clip, columns, fit

REDRAW_SECONDS = 0.125

# A terminal echoes Ctrl+C as two characters behind the live line; with less room they would wrap
# and leave a torn copy of the line on the screen.
_RESERVED_COLUMNS = 3

_COLOURS = {"train": "36", "change": "35", "test": "34", "good": "32", "look": "33", "wrong": "31"}

_ASCII = str.maketrans(
    {"▲": "!", "✗": "x", "✓": "+", "▼": "*", "◆": "o", "·": "|", "×": "x", "→": "->"}
    | {"—": "-", "–": "-", "−": "-", "─": "-", "█": "#", "▸": ">", "…": "..."}
)


class OutputLost(Exception):
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
        self.live = is_terminal(stream) and os.environ.get("TERM") not in ("dumb", "unknown")
        self._colour = self.live and not os.environ.get("NO_COLOR")
        self.ascii_only = not _can_encode("▏█▕", stream)

    @property
    def width(self) -> int:
        """The columns that the live line may use, measured anew: windows are resized."""
        return terminal_width(self._stream) - _RESERVED_COLUMNS

    def say(self, text: str, *, glyph: str = "", style: str = "") -> None:
        """Write one line that stays; on a terminal it is wrapped between words.

        Args:
            text: The line. Line breaks in it are kept only where there is no glyph to lead them.
            glyph: What to put before it.
            style: The role that colours the glyph.
        """
        plain = f"{glyph} {text}" if glyph else text
        if self.live and "\n" not in plain:
            plain = _wrapped(plain, terminal_width(self._stream) - 1)
        plain = _encodable(plain, self._stream)
        if glyph:
            lead = len(_encodable(glyph, self._stream))
            plain = self._paint(plain[:lead], style) + plain[lead:]
        self.clear()
        self._write(f"{plain}\n")

    def due(self) -> bool:
        """Return whether the live line may be drawn again; False without one."""
        return self.live and self._clock() - self._drawn_at >= REDRAW_SECONDS

    def draw(self, cells: Sequence[Cell]) -> None:
        """Show these cells as the live line, those that fit; nothing happens without one."""
        if not self.live:
            return
        room = self.width
        painted = ""
        for cell in fit(cells, room):
            text = _encodable(clip(_encodable(cell.text, self._stream), room), self._stream)
            room -= columns(text)
            painted += self._paint(text, cell.style)
        # True before the write: an interrupt's message may come in between and must clear it.
        self._showing = True
        self._write(f"\r{painted}\x1b[K")
        self._drawn_at = self._clock()

    def clear(self) -> None:
        """Take the live line off the screen; the cursor is left at the start of its line."""
        if self._showing:
            self._write("\r\x1b[K")
            self._showing = False

    def _paint(self, text: str, style: str) -> str:
        return f"\x1b[{_COLOURS[style]}m{text}\x1b[0m" if style and self._colour else text

    def _write(self, text: str) -> None:
        if self._stream is None:
            return
        try:
            self._stream.write(text)
            self._stream.flush()
        except (OSError, ValueError):
            silence(self._stream)
            self._stream, self.live = None, False


class DataOut:
    """Lines of data, each flushed at once."""

    def __init__(self, stream: TextIO | None, console: Console) -> None:
        self._stream = stream
        self._console = console
        self._terminal = is_terminal(stream)

    @property
    def width(self) -> int | None:
        """The columns that a line may use; None where it goes to a file or a pipe."""
        return terminal_width(self._stream) - 1 if self._terminal else None

    def line(self, text: str) -> None:
        """Write a line for a person to read; on a terminal it is wrapped between words.

        Raises:
            OutputLost: If the stream takes nothing more.
        """
        self._console.clear()  # whatever reads the pipe may show it on the same terminal
        width = self.width
        self._write(_encodable(text if width is None else _wrapped(text, width), self._stream))

    def row(self, text: str) -> None:
        """Write a row of a table, which is never wrapped: on a narrow terminal it is cut.

        Raises:
            OutputLost: If the stream takes nothing more.
        """
        self._console.clear()
        width = self.width
        self._write(_encodable(text if width is None else clip(text, width), self._stream))

    def event(self, event: Event) -> None:
        """Write an event as one line of strict JSON, escaped where the stream needs ASCII.

        Raises:
            OutputLost: If the stream takes nothing more.
        """
        if self._terminal:
            self._console.clear()
        text = to_json(event)
        self._write(text if _can_encode(text, self._stream) else json.dumps(json.loads(text)))

    def _write(self, text: str) -> None:
        if self._stream is None:
            return
        try:
            self._stream.write(f"{text}\n")
            self._stream.flush()
        except OSError as error:
            silence(self._stream)
            raise OutputLost(error) from error


def is_terminal(stream: TextIO | None) -> bool:
    """Return whether a stream is a terminal; a closed or missing one is not."""
    try:
        return stream is not None and stream.isatty()
    except ValueError:
        return False


def terminal_width(stream: TextIO | None) -> int:
    """Return the columns of the terminal behind a stream, or ``COLUMNS``, or 80."""
    with suppress(OSError, ValueError, AttributeError):
        if stream is not None and (width := os.get_terminal_size(stream.fileno()).columns) > 0:
            return width
    return shutil.get_terminal_size().columns


def silence(stream: TextIO) -> None:
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
        text,
        max(20, width),
        subsequent_indent="  ",
        break_long_words=False,
        break_on_hyphens=False,
    )
    return "\n".join(lines)


def _can_encode(text: str, stream: TextIO | None) -> bool:
    try:
        text.encode(getattr(stream, "encoding", None) or "utf-8")
    except UnicodeEncodeError:
        return False
    return True


def _encodable(text: str, stream: TextIO | None) -> str:
    """Return the text as the stream can show it: ASCII for the glyphs, ``?`` for the rest."""
    if _can_encode(text, stream):
        return text
    encoding = getattr(stream, "encoding", None) or "utf-8"
    return text.translate(_ASCII).encode(encoding, "replace").decode(encoding)
