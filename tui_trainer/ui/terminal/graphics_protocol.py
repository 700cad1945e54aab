"""Detect how the terminal can show pictures: sixel, the kitty graphics protocol, or half blocks.

The terminal is queried before the window opens, because Textual reads all input after that. The
last query is one that every terminal answers (primary device attributes, DA1): once that reply is
here, no other reply can arrive later and be taken for keys. Nothing is queried if a stream is not a
terminal. ``MNIST_TUI_PICTURES`` (``auto``, ``kitty``, ``sixel``, ``blocks``) overrides the result.

textual-image draws the pictures; it is imported for the first one.
"""

from __future__ import annotations

import io
import os
import re
import select
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, cast

from tui_trainer.protocol.errors import InputError

if TYPE_CHECKING:
    from PIL.Image import Image
    from textual.widget import Widget

GraphicsProtocol = Literal["blocks", "kitty", "sixel"]
VARIABLE = "MNIST_TUI_PICTURES"
CHOICES = ("auto", "kitty", "sixel", "blocks")

ANSWER_TIMEOUT = 0.25
"""Seconds that the terminal has for its first reply, after the window was imported."""

KITTY_TIMEOUT = 1.0
"""Seconds for the second reply of a terminal that sent the first."""

CELL = (10, 20)
"""Width and height of a character in pixels if the terminal does not report it: a VT340's."""

BLOCK = (1, 2)
"""Width and height of a character in half-block pixels."""

SIXEL = "4"
"""The device attribute of terminals that draw sixels."""

DUMB = ("", "dumb", "unknown")
"""Values of TERM without support for queries."""

PRINTS_QUERY = ("linux", "screen", "tmux")
"""Prefixes of TERM whose terminals print the kitty query, or show it as a title."""

ATTRIBUTES = b"\x1b[c"
CELL_SIZE = b"\x1b[16t"
KITTY = b"\x1b7\x1b_Gi=31,s=1,v=1,a=q,t=d,f=24;AAAA\x1b\\\x1b8\x1b[K"
"""The query, between saving the cursor and clearing the line in case the terminal prints it."""

_ATTRIBUTES = re.compile(rb"\x1b\[\?([\d;]*)c")
_CELL_SIZE = re.compile(rb"\x1b\[6;(\d+);(\d+)t")
_KITTY = re.compile(rb"\x1b_Gi=31;OK\x1b\\")


@dataclass(frozen=True, slots=True)
class Display:
    """How pictures are shown.

    Attributes:
        protocol: The graphics protocol.
        cell: Width and height of a character in pixels of that protocol.
    """

    protocol: GraphicsProtocol = "blocks"
    cell: tuple[int, int] = BLOCK


_displays = [Display()]


def display() -> Display:
    """Return how this process's terminal shows pictures, by the last detection."""
    return _displays[-1]


@contextmanager
def detect_graphics() -> Iterator[None]:
    """Query the terminal, run the block in the meantime, then read the replies.

    Raises:
        InputError: If the environment variable has an unknown value.
    """
    requested = os.environ.get(VARIABLE) or "auto"
    if requested not in CHOICES:
        raise InputError(f"{VARIABLE}={requested[:40]}: choose from {', '.join(CHOICES)}")
    _displays[:] = [Display()]
    streams = (sys.__stdin__, sys.__stdout__, sys.__stderr__)
    is_terminal = all(stream is not None and stream.isatty() for stream in streams)
    if requested == "blocks" or not is_terminal or os.environ.get("TERM", "") in DUMB:
        yield
        return
    assert sys.__stdin__ is not None
    assert sys.__stdout__ is not None
    with query(sys.__stdin__.fileno(), sys.__stdout__.fileno()) as reply:
        yield
    _displays[:] = [
        reply.display(None if requested == "auto" else cast(GraphicsProtocol, requested))
    ]


@dataclass(slots=True)
class Reply:
    """The replies of a terminal.

    Attributes:
        attributes: Its primary device attributes; None without a reply.
        cell: Width and height of a character in pixels; None if unknown.
        supports_kitty: Whether it supports the kitty graphics protocol.
    """

    attributes: tuple[str, ...] | None = None
    cell: tuple[int, int] | None = None
    supports_kitty: bool = False

    def display(self, requested: GraphicsProtocol | None) -> Display:
        """Return how to show pictures; ``requested`` overrides the detected protocol.

        Sixel comes first: several terminals support both, but not kitty's Unicode placeholders.
        """
        protocol: GraphicsProtocol = "kitty" if self.supports_kitty else "blocks"
        if SIXEL in (self.attributes or ()):
            protocol = "sixel"
        protocol = requested or protocol
        return Display() if protocol == "blocks" else Display(protocol, self.cell or CELL)


@contextmanager
def query(source: int, target: int) -> Iterator[Reply]:
    """Query a terminal, run the block, then fill in the reply.

    Args:
        source: The file descriptor to read replies from.
        target: The file descriptor to write queries to.
    """
    reply = Reply()
    try:
        import termios
        import tty
    except ImportError:  # Windows
        yield reply
        return
    reply.cell = _cell_size(target)
    before = termios.tcgetattr(source)
    tty.setcbreak(source, termios.TCSANOW)
    try:
        os.write(target, (b"" if reply.cell else CELL_SIZE) + ATTRIBUTES)
        try:
            yield reply
        finally:
            _take(reply, source, target)
    finally:
        termios.tcsetattr(source, termios.TCSANOW, before)


def _take(reply: Reply, source: int, target: int) -> None:
    """Read the replies; Textual recognizes a late one, and ignores it."""
    raw = _read_to(_ATTRIBUTES, source, ANSWER_TIMEOUT)
    if size := _CELL_SIZE.search(raw):
        height, width = int(size[1]), int(size[2])
        reply.cell = (width, height) if width and height else None
    attributes = _ATTRIBUTES.search(raw)
    if attributes is None:
        return
    reply.attributes = tuple(attributes[1].decode().split(";"))
    kind = os.environ.get("TERM", "")
    if SIXEL in reply.attributes or kind.startswith(PRINTS_QUERY) or "TMUX" in os.environ:
        return
    # A late reply to this query would be taken for keys: so only a terminal that has replied before
    # is queried, again with DA1 at the end.
    os.write(target, KITTY + ATTRIBUTES)
    reply.supports_kitty = _KITTY.search(_read_to(_ATTRIBUTES, source, KITTY_TIMEOUT)) is not None


def _read_to(end: re.Pattern[bytes], source: int, timeout: float) -> bytes:
    """Read until a reply is complete, or the time is over."""
    raw, until = b"", time.monotonic() + timeout
    while end.search(raw) is None:
        ready, _, _ = select.select([source], [], [], max(0.0, until - time.monotonic()))
        piece = os.read(source, 1_024) if ready else b""
        if not piece:
            break
        raw += piece
    return raw


def _cell_size(target: int) -> tuple[int, int] | None:
    """Return width and height of a character in pixels, as the kernel reports them."""
    import fcntl
    import struct
    import termios

    try:
        packed = fcntl.ioctl(target, termios.TIOCGWINSZ, bytes(8))
    except OSError:
        return None
    lines, columns, width, height = struct.unpack("HHHH", packed)
    if not (lines and columns and width // columns and height // lines):
        return None
    return width // columns, height // lines


def picture_widget(image: Image, shown: Display) -> Widget:
    """Return a widget that shows an image in pixels."""
    with _without_query(shown.cell):
        from textual_image.widget import SixelImage, SixelOptions, TGPImage
    if shown.protocol == "sixel":
        # The default palette would leave only 16 of 256 grays.
        widget: Widget = SixelImage(image, sixel_options=SixelOptions(quantize="adaptive"))
    else:
        widget = TGPImage(image)
    return widget


@contextmanager
def _without_query(cell: tuple[int, int]) -> Iterator[None]:
    """Import textual-image without its terminal query: Textual would read the reply now.

    The library sends no query if stdout is not a terminal, and then takes the size of a character
    from the environment.
    """
    output, names = sys.__stdout__, ("TEXTUAL_CELL_WIDTH", "TEXTUAL_CELL_HEIGHT")
    before = {name: os.environ.get(name) for name in names}
    try:
        sys.__stdout__ = io.StringIO()  # type: ignore[misc,assignment]
        os.environ.update(zip(names, map(str, cell), strict=True))
        yield
    finally:
        sys.__stdout__ = output  # type: ignore[misc]
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
