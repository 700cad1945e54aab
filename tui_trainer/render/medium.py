"""What the cells of an exhibit are made for: a window with colours, or plain text."""

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
        draw: Returns the lines of a picture, all as wide, in so many columns at most.
        signed_key: What the two ends of signed pictures look like.
        unsigned_key: The same of other pictures; empty where nobody needs to be told.
        has_colour: Whether roles become colours. Without it a rule sets off the head of a table,
            letters mark the curves, and the numbers at the ends of a picture stand below it.
    """

    draw: Callable[[Picture, int], Lines]
    signed_key: tuple[Cell, ...]
    unsigned_key: tuple[Cell, ...] = ()
    has_colour: bool = True


PLAIN = Medium(
    draw=lambda picture, width: [[Cell(line)] for line in picture_lines(picture)],
    signed_key=(Cell(f"'{SIGNED}' most negative to most positive"),),
    unsigned_key=(Cell(f"'{RAMP}' least to largest"),),
    has_colour=False,
)
