"""The recurrence of the receptive field.

Source: A. Araujo, W. Norris and J. Sim, "Computing Receptive Fields of Convolutional Neural
Networks", Distill 2019 (doi.org/10.23915/distill.00021). Lengths are in pixels of the image.
"""

from __future__ import annotations

from collections.abc import Iterable

from tui_trainer.anatomy.field import Reach


def sum_text(before: Reach, kernel: int, dilation: int = 1) -> str:
    """Return the formula of the receptive field after a kernel: ``5 + (3 − 1)·2 = 9``."""
    spread = f"{dilation}·({kernel} − 1)" if dilation > 1 else f"({kernel} − 1)"
    after = before.through(kernel, dilation=dilation)
    return f"{before.size} + {spread}·{before.jump} = {after.size}"


def fewest_pixels(strengths: Iterable[float], share: float) -> int:
    """Return the smallest number of pixels that hold a share of the total; 0 if it is 0."""
    ranked = sorted(strengths, reverse=True)
    wanted, held = share * sum(ranked), 0.0
    if not wanted > 0:
        return 0
    for count, strength in enumerate(ranked, start=1):
        held += strength
        if held >= wanted:
            return count
    return len(ranked)
