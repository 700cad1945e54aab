"""What the terminal can show pictures with: sixel, kitty's graphics, or half blocks alone.

It is asked before the window opens, for nobody else may read its answers after that. The questions
end with one that every terminal answers (its primary attributes, DA1): when that answer is here, no
other is on its way that would be taken for keys. It is not asked at all where something is not a
terminal, and ``MNIST_TUI_PICTURES`` (``auto``, ``kitty``, ``sixel``, ``blocks``) overrules it.

The pictures are drawn by textual-image, which is loaded when the first one is to be seen.
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
"""Seconds that a terminal has for its first answer, beyond those in which the window is loaded."""

KITTY_TIMEOUT = 1.0
"""Seconds that one has for its second answer which has given the first."""

CELL = (10, 20)
"""A character's width and height in pixels, where the terminal does not tell: a VT340's."""

BLOCK = (1, 2)
"""The same in half blocks."""

SIXEL = "4"
"""What says in a terminal's attributes that it draws sixels."""

DUMB = ("", "dumb", "unknown")
"""Kinds of terminals that understand no questions."""

PRINTS_QUERY = ("linux", "screen", "tmux")
"""Kinds that show kitty's question as text, or take it for a title."""

ATTRIBUTES = b"\x1b[c"
CELL_SIZE = b"\x1b[16t"
KITTY = b"\x1b7\x1b_Gi=31,s=1,v=1,a=q,t=d,f=24;AAAA\x1b\\\x1b8\x1b[K"
"""Asked between keeping the cursor's place and clearing: whoever prints it shows it for no time."""

_ATTRIBUTES = re.compile(rb"\x1b\[\?([\d;]*)c")
_CELL_SIZE = re.compile(rb"\x1b\[6;(\d+);(\d+)t")
_KITTY = re.compile(rb"\x1b_Gi=31;OK\x1b\\")


@dataclass(frozen=True, slots=True)
class Display:
    """How pictures are shown.

    Attributes:
        way: With what.
        cell: A character's width and height in the pixels that pictures have there.
    """

    protocol: GraphicsProtocol = "blocks"
    cell: tuple[int, int] = BLOCK


_displays = [Display()]


def display() -> Display:
    """Return how pictures are shown in this process's terminal, as far as was found."""
    return _displays[-1]


@contextmanager
def detect_graphics() -> Iterator[None]:
    """Ask the terminal, work on the block, and then take its answers.

    Raises:
        InputError: If the environment names no way that there is.
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
    with query(sys.__stdin__.fileno(), sys.__stdout__.fileno()) as answer:
        yield
    _displays[:] = [
        answer.display(None if requested == "auto" else cast(GraphicsProtocol, requested))
    ]


@dataclass(slots=True)
class Reply:
    """What a terminal has told.

    Attributes:
        attributes: Its primary attributes; None if it does not answer.
        cell: A character's width and height in pixels; None if it did not tell.
        knows_kitty: Whether it shows pictures as kitty does.
    """

    attributes: tuple[str, ...] | None = None
    cell: tuple[int, int] | None = None
    supports_kitty: bool = False

    def display(self, requested: GraphicsProtocol | None) -> Display:
        """Return how pictures are shown; ``requested`` overrules what was told.

        Sixel comes first: several terminals know it that know kitty's graphics but not the
        characters that stand for a picture.
        """
        protocol: GraphicsProtocol = "kitty" if self.supports_kitty else "blocks"
        if SIXEL in (self.attributes or ()):
            protocol = "sixel"
        protocol = requested or protocol
        return Display() if protocol == "blocks" else Display(protocol, self.cell or CELL)


@contextmanager
def query(source: int, target: int) -> Iterator[Reply]:
    """Ask a terminal, work on the block, and fill in the answer by its end.

    Args:
        source: The descriptor that its answers are read from.
        target: The one that it is written to.
    """
    answer = Reply()
    try:
        import termios
        import tty
    except ImportError:  # Windows
        yield answer
        return
    answer.cell = _cell_size(target)
    before = termios.tcgetattr(source)
    tty.setcbreak(source, termios.TCSANOW)
    try:
        os.write(target, (b"" if answer.cell else CELL_SIZE) + ATTRIBUTES)
        try:
            yield answer
        finally:
            _take(answer, source, target)
    finally:
        termios.tcsetattr(source, termios.TCSANOW, before)


def _take(answer: Reply, source: int, target: int) -> None:
    """Read the answers; one that comes too late is taken for no key by Textual."""
    raw = _read_to(_ATTRIBUTES, source, ANSWER_TIMEOUT)
    if size := _CELL_SIZE.search(raw):
        height, width = int(size[1]), int(size[2])
        answer.cell = (width, height) if width and height else None
    attributes = _ATTRIBUTES.search(raw)
    if attributes is None:
        return
    answer.attributes = tuple(attributes[1].decode().split(";"))
    kind = os.environ.get("TERM", "")
    if SIXEL in answer.attributes or kind.startswith(PRINTS_QUERY) or "TMUX" in os.environ:
        return
    # An answer to this that came too late would be taken for keys: so only who is known to answer
    # is asked, and again with the attributes behind.
    os.write(target, KITTY + ATTRIBUTES)
    answer.supports_kitty = _KITTY.search(_read_to(_ATTRIBUTES, source, KITTY_TIMEOUT)) is not None


def _read_to(end: re.Pattern[bytes], source: int, patience: float) -> bytes:
    """Return what comes until an answer is whole, or no more comes in time."""
    raw, until = b"", time.monotonic() + patience
    while end.search(raw) is None:
        ready, _, _ = select.select([source], [], [], max(0.0, until - time.monotonic()))
        piece = os.read(source, 1_024) if ready else b""
        if not piece:
            break
        raw += piece
    return raw


def _cell_size(target: int) -> tuple[int, int] | None:
    """Return a character's width and height in pixels, as the system knows them."""
    import fcntl
    import struct
    import termios

    try:
        told = fcntl.ioctl(target, termios.TIOCGWINSZ, bytes(8))
    except OSError:
        return None
    lines, columns, width, height = struct.unpack("HHHH", told)
    if not (lines and columns and width // columns and height // lines):
        return None
    return width // columns, height // lines


def picture_widget(image: Image, shown: Display) -> Widget:
    """Return a widget that shows an image pixel by pixel, where the terminal can."""
    with _without_query(shown.cell):
        from textual_image.widget import SixelImage, SixelOptions, TGPImage
    if shown.protocol == "sixel":
        # By itself it would leave sixteen of 256 greys.
        widget: Widget = SixelImage(image, sixel_options=SixelOptions(quantize="adaptive"))
    else:
        widget = TGPImage(image)
    return widget


@contextmanager
def _without_query(cell: tuple[int, int]) -> Iterator[None]:
    """Let the library be loaded without asking the terminal: the window reads the answers now.

    It asks none where its output is no terminal, and takes the size of a character from the
    environment then.
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
