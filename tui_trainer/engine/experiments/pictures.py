"""Tensors as pictures of an exhibit."""

from __future__ import annotations

from torch import Tensor

from tui_trainer.engine.experiments.bench import Digit
from tui_trainer.run.exhibit import Picture

Frame = tuple[int, int, int, int]


def digit_picture(digit: Digit, caption: str = "", frame: Frame | None = None) -> Picture:
    """Return a digit as a picture, its greys from 0 to 255."""
    caption = caption or f"a {digit.label}"
    return map_picture(digit.pixels.float(), caption, low=0.0, high=255.0, frame=frame)


def map_picture(
    values: Tensor,
    caption: str,
    *,
    low: float | None = None,
    high: float | None = None,
    frame: Frame | None = None,
) -> Picture:
    """Return a map (H, W) as a picture, from its own least to its own largest if not told.

    A map with negative numbers is shown with 0 in the middle, unless bounds are given.
    """
    values = values.detach().float().cpu()
    least, most = float(values.min()), float(values.max())
    is_signed = low is None and least < 0
    if is_signed:
        most = max(-least, most) or 1.0
        least = -most
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
