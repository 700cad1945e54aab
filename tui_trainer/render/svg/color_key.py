"""The key of pictures: which color is which number."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from tui_trainer.protocol.exhibit import Picture

RAMP = 16
"""Steps of the color key, in either direction."""

NAN_KEY = "red: NaN"

KINDS = (
    (False, True, ("below 0", "above 0")),
    (False, False, ("smallest", "largest")),
    (True, True, ("each color: below 0", "above 0")),
)
"""The kinds of pictures with a key: whether they are in color and signed, and its words."""


@dataclass(frozen=True, slots=True)
class ColorKey:
    """A color key.

    Attributes:
        low: The text at its lower end.
        high: The text at its upper end.
        ramp: All colors, as a picture of one row.
    """

    low: str
    high: str
    ramp: Picture


def color_keys(pictures: Sequence[Picture]) -> list[ColorKey]:
    """Return a key for each kind of picture, with the range where all pictures share it.

    Pictures in the colors of an image need none.
    """
    keys = []
    for is_color, is_signed, words in KINDS:
        kind = (is_color, is_signed)
        ends = {(each.low, each.high) for each in pictures if _kind(each) == kind}
        if ends:
            shared = [f", {_number(end)}" for end in ends.pop()] if len(ends) == 1 else ["", ""]
            low, high = (word + end for word, end in zip(words, shared, strict=True))
            keys.append(ColorKey(low, high, _ramp(is_color=is_color, is_signed=is_signed)))
    return keys


def _kind(picture: Picture) -> tuple[bool, bool]:
    return picture.is_color, picture.is_signed


def has_nan(pictures: Sequence[Picture]) -> bool:
    """Return whether a number of a picture is NaN."""
    return any(math.isnan(value) for picture in pictures for value in picture.values)


def _ramp(*, is_color: bool, is_signed: bool) -> Picture:
    steps = tuple(step / RAMP for step in range(-RAMP if is_signed else 0, RAMP + 1))
    channels = 3 if is_color else 1
    return Picture(
        caption="",
        height=1,
        width=len(steps),
        values=tuple(step for step in steps for _ in range(channels)),
        low=steps[0],
        high=1.0,
        is_signed=is_signed,
        channels=channels,
    )


def _number(value: float) -> str:
    return f"{value:.3g}".replace("-", "−")
