"""Tensors as pictures of an exhibit."""

from __future__ import annotations

from torch import Tensor

from tui_trainer.lab.context import Digit
from tui_trainer.protocol.exhibit import Picture, Pictures, Words

Frame = tuple[int, int, int, int]


def digit_picture(digit: Digit, caption: str = "", frame: Frame | None = None) -> Picture:
    """Return a digit as a picture, its greys from 0 to 255."""
    caption = caption or f"a {digit.label}"
    return map_picture(digit.pixels.float(), caption, low=0.0, high=255.0, frame=frame)


def alone(digit: Digit, caption: str = "") -> Pictures:
    """Return a digit with nothing beside it."""
    return Pictures(caption=caption, items=(digit_picture(digit),))


def enlarged(values: Tensor, times: int) -> Tensor:
    """Return a map (H, W) with each number as a square of ``times`` × ``times`` pixels."""
    return values.repeat_interleave(times, 0).repeat_interleave(times, 1)


def no_numbers(what: str) -> Words:
    """Say that the maps, or what else is told, are lost."""
    text = f"{what[0].upper()}{what[1:]} are no numbers any more: the run diverged."
    return Words(text=text, tone="wrong")


def map_picture(
    values: Tensor,
    caption: str,
    *,
    low: float | None = None,
    high: float | None = None,
    bound: float | None = None,
    like: Picture | None = None,
    frame: Frame | None = None,
) -> Picture:
    """Return a map (H, W) as a picture, from its own least to its own largest if not told.

    A map with negative numbers is shown with 0 in the middle, unless ``low`` is given.

    Args:
        values: The map.
        caption: What it is.
        low: The number of the darkest pixel.
        high: That of the brightest.
        bound: Signed, from minus this to this: for maps that share a scale with 0 in its middle.
        like: A picture whose scale it takes.
        frame: A rectangle to mark.
    """
    values = values.detach().float().cpu()
    least, most = float(values.min()), float(values.max())
    is_signed = bound is not None or (low is None and least < 0)
    if is_signed:
        high = bound or max(-least, most) or 1.0
        low = -high
    if like is not None:
        low, high, is_signed = like.low, like.high, like.is_signed
    return Picture(
        caption=caption,
        height=values.shape[0],
        width=values.shape[1],
        values=tuple(values.flatten().tolist()),
        low=least if low is None else low,
        high=most if high is None else high,
        is_signed=is_signed,
        frame=frame,
    )
