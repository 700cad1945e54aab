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
        signed_color_key: The same for signed pictures in color.
        color_key: The same for other pictures in color.
        has_color: Whether roles become colors. Without color, a rule separates the head of a
            table, letters mark the curves, and the range of a picture is printed below it.
    """

    draw: Callable[[Picture, int], Lines]
    signed_key: tuple[Cell, ...]
    unsigned_key: tuple[Cell, ...] = ()
    signed_color_key: tuple[Cell, ...] = (
        Cell("gray 0, darker below 0, lighter above 0", style="muted"),
    )
    color_key: tuple[Cell, ...] = ()
    has_color: bool = True

    def key(self, *, is_color: bool, is_signed: bool) -> tuple[Cell, ...]:
        """Return the key of a kind of picture; empty where none is needed."""
        if is_color:
            return self.signed_color_key if is_signed else self.color_key
        return self.signed_key if is_signed else self.unsigned_key


PLAIN = Medium(
    draw=lambda picture, width: [[Cell(line)] for line in picture_lines(picture)],
    signed_key=(Cell(f"'{SIGNED}' most negative to most positive"),),
    unsigned_key=(Cell(f"'{RAMP}' smallest to largest"),),
    signed_color_key=(Cell(f"'{SIGNED}' most negative to most positive luminance"),),
    color_key=(Cell(f"'{RAMP}' lowest to highest luminance"),),
    has_color=False,
)
