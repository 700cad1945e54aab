"""Pictures of an exhibit as characters."""

from __future__ import annotations

import math

from tui_trainer.protocol.exhibit import Picture

RAMP = " .:-=+*#%@"
"""Signs for numbers from the least to the largest."""

SIGNED = "≡=- .+#"
"""Signs for numbers from the most negative over 0 to the most positive."""

UNKNOWN = "?"
"""The sign for what is no number."""

WIDE_PIXELS = 18
"""Pictures of as many columns, or fewer, have two characters a pixel; others a character for two
pixels, one below the other. Either way a pixel is about as tall as it is wide."""


def picture_lines(picture: Picture) -> list[str]:
    """Return a picture as lines of characters, its frame as brackets beside what it holds.

    A character is about twice as tall as it is wide. Where one stands for two pixels, it is their
    mean; of signed ones it is the stronger, so that a faint mean does not hide both.
    """
    if picture.width <= WIDE_PIXELS:
        rows = [list(_row(picture, at)) for at in range(picture.height)]
        across, down = 2, 1
    else:
        rows = [
            [
                _joined(picture, pair)
                for pair in zip(_row(picture, at), _row(picture, at + 1), strict=True)
            ]
            for at in range(0, picture.height, 2)
        ]
        across, down = 1, 2
    lines = ["".join(_sign(picture, value) * across for value in row) for row in rows]
    if picture.frame is None:
        return lines
    return _framed(lines, picture.frame, across, down)


def _row(picture: Picture, row: int) -> tuple[float, ...]:
    """Return a row of pixels; below the last one, that one again."""
    row = min(row, picture.height - 1)
    return picture.values[row * picture.width : (row + 1) * picture.width]


def _joined(picture: Picture, pair: tuple[float, float]) -> float:
    mean = (pair[0] + pair[1]) / 2
    return max(pair, key=abs) if picture.is_signed and not math.isnan(mean) else mean


def _sign(picture: Picture, value: float) -> str:
    """Return the character for a number."""
    span = picture.high - picture.low
    if math.isnan(value):
        return UNKNOWN
    signs = SIGNED if picture.is_signed else RAMP
    share = (value - picture.low) / span if span > 0 and math.isfinite(span) else 0.0
    if picture.is_signed and not span > 0:
        share = 0.5
    share = min(1.0, max(0.0, share))
    return signs[min(len(signs) - 1, int(share * len(signs)))]


def _framed(
    lines: list[str], frame: tuple[int, int, int, int], across: int, down: int
) -> list[str]:
    """Put brackets to the left and the right of the rows of a rectangle."""
    top, left, height, width = frame
    before, behind = left * across, (left + width) * across + 1
    framed = []
    for place, line in enumerate(lines):
        inside = top // down <= place <= (top + height - 1) // down
        padded = list(f" {line} ")
        if inside and 0 <= before < len(padded):
            padded[before] = "["
        if inside and 0 <= behind < len(padded):
            padded[behind] = "]"
        framed.append("".join(padded))
    return framed
