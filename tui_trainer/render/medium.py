"""The output that cells of an exhibit are made for: a window with colors, or plain text."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from tui_trainer.protocol.exhibit import Picture
from tui_trainer.render.characters import RAMP, SIGNED, picture_lines
from tui_trainer.text.fmt import Cell
from tui_trainer.text.lines import Lines


@dataclass(frozen=True, slots=True)
class Medium:
    """What a front end can show.

    Attributes:
        draw: Returns the lines of a picture, all equally wide, within a maximum width.
        signed_key: The key that shows both ends of the scale of signed pictures.
        unsigned_key: The same for other pictures; empty where no key is needed.
        has_color: Whether roles become colors. Without color, a rule separates the head of a
            table, letters mark the curves, and the range of a picture is printed below it.
    """

    draw: Callable[[Picture, int], Lines]
    signed_key: tuple[Cell, ...]
    unsigned_key: tuple[Cell, ...] = ()
    has_color: bool = True


PLAIN = Medium(
    draw=lambda picture, width: [[Cell(line)] for line in picture_lines(picture)],
    signed_key=(Cell(f"'{SIGNED}' most negative to most positive"),),
    unsigned_key=(Cell(f"'{RAMP}' smallest to largest"),),
    has_color=False,
)
