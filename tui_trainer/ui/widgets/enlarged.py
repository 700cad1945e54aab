"""Pictures as large as possible: their grid, and their pixels."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING

from tui_trainer.protocol.exhibit import Picture
from tui_trainer.ui.widgets.half_blocks import Pixel
from tui_trainer.ui.widgets.picture_pixels import Inks, pixels_of

if TYPE_CHECKING:
    from PIL.Image import Image

GAP = 3
"""Columns between two pictures."""

LEAST = 8
"""Minimum columns of a picture and its caption."""

BLANK = 1
"""Lines between two rows of pictures."""

Cell = tuple[int, int]
"""A character's width and height in pixels."""


@dataclass(frozen=True, slots=True)
class Grid:
    """A grid of pictures, in characters.

    Attributes:
        columns: Pictures per row.
        rows: Rows that fit.
        width: Columns per picture.
        height: Lines per picture, without its caption.
        caption: Lines per caption.
    """

    columns: int
    rows: int
    width: int
    height: int
    caption: int

    @property
    def count(self) -> int:
        """Number of pictures that fit at once."""
        return self.columns * self.rows


def grid_for(pictures: Sequence[Picture], width: int, height: int, cell: Cell) -> Grid:
    """Return the grid with the largest pictures; all of them at once if they stay visible.

    Args:
        pictures: The pictures, at least one.
        width: Available columns.
        height: Available lines.
        cell: Size of a character in pixels.
    """
    across = max(picture.width + _margins(picture) for picture in pictures)
    down = max(picture.height + _margins(picture) for picture in pictures)
    best: tuple[int, int] = (0, 0)
    found: Grid | None = None
    for columns in range(1, len(pictures) + 1):
        room = (width - GAP * (columns - 1)) // columns
        if columns > 1 and room < LEAST:
            break
        rows = -(-len(pictures) // columns)
        caption = _caption_lines(pictures, room)
        lines = (height + BLANK) // rows - BLANK - caption
        box = (room * cell[0], lines * cell[1])
        # With equal scales, prefer the larger boxes.
        score = (min(box[0] // max(1, across), box[1] // max(1, down)), min(box))
        if score[0] >= 1 and score > best:
            best, found = score, Grid(columns, rows, room, lines, caption)
    if found is not None:
        return found
    # At scale 1, as many at once as fit.
    room = min(width, max(LEAST, -(-across // cell[0])))
    caption = _caption_lines(pictures, room)
    lines = min(max(1, height - caption), -(-down // cell[1]))
    columns = max(1, (width + GAP) // (room + GAP))
    rows = max(1, (height + BLANK) // (lines + caption + BLANK))
    return Grid(columns, rows, room, lines, caption)


def folded(caption: str, width: int) -> list[str]:
    """Return a caption wrapped to lines."""
    return textwrap.wrap(caption, width)


def _caption_lines(pictures: Sequence[Picture], width: int) -> int:
    return max(len(folded(picture.caption, width)) for picture in pictures)


def _margins(picture: Picture) -> int:
    return 2 if picture.frame else 0


def row_image(pictures: Sequence[Picture], grid: Grid, cell: Cell, inks: Inks) -> Image:
    """Return a row of pictures as one image, each aligned with its caption."""
    from PIL import Image

    width = grid.width * len(pictures) + GAP * (len(pictures) - 1)
    size = (width * cell[0], grid.height * cell[1])
    image = Image.new("RGB", size, inks.ground.rgb)
    for place, picture in enumerate(pictures):
        drawn = enlarged(picture, grid.width * cell[0], size[1], inks)
        left = place * (grid.width + GAP) * cell[0]
        image.paste(drawn, (left, size[1] - drawn.height))
    return image


def enlarged(picture: Picture, width: int, height: int, inks: Inks) -> Image:
    """Return a picture scaled to fit, by a whole factor, so that its pixels stay squares.

    A larger picture is reduced by dropping pixels.
    """
    from PIL import Image

    margins = _margins(picture)
    across, down = picture.width + margins, picture.height + margins
    scale = min((width - margins) // max(1, picture.width), (height - margins) // picture.height)
    rows = pixels_of(picture, inks, max(1, scale) if margins else 1)
    raw = bytes(chain.from_iterable(chain.from_iterable(rows)))
    image = Image.frombytes("RGB", (len(rows[0]), len(rows)), raw)
    if scale >= 1:
        target = (picture.width * scale + margins, picture.height * scale + margins)
    else:
        share = min(width / across, height / down)
        target = (max(1, int(across * share)), max(1, int(down * share)))
    return image.resize(target, Image.Resampling.NEAREST)


def rows_of(image: Image) -> list[list[Pixel]]:
    """Return the pixels of an image, row by row."""
    raw, width = image.tobytes(), image.width
    pixels = [(raw[at], raw[at + 1], raw[at + 2]) for at in range(0, len(raw), 3)]
    return [pixels[at : at + width] for at in range(0, len(pixels), width)]
