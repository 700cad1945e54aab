"""The recurrence of the receptive field.

Source: A. Araujo, W. Norris and J. Sim, "Computing Receptive Fields of Convolutional Neural
Networks", Distill 2019 (doi.org/10.23915/distill.00021). Lengths are in pixels of the image.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Seen:
    """What a feature sees along one direction.

    Attributes:
        field: r: how many pixels.
        jump: j: how far the fields of neighbours are apart.
    """

    field: int = 1
    jump: int = 1

    def through(self, kernel: int, stride: int = 1, dilation: int = 1) -> Seen:
        """Return what is seen behind a kernel: r + d·(k − 1)·j, and j·s."""
        return Seen(self.field + dilation * (kernel - 1) * self.jump, self.jump * stride)


def sum_text(before: Seen, kernel: int, dilation: int = 1) -> str:
    """Return the sum that gives the field behind a kernel: ``5 + (3 − 1)·2 = 9``."""
    spread = f"{dilation}·({kernel} − 1)" if dilation > 1 else f"({kernel} − 1)"
    after = before.through(kernel, 1, dilation)
    return f"{before.field} + {spread}·{before.jump} = {after.field}"


def fewest_pixels(strengths: Iterable[float], share: float) -> int:
    """Return how many of the strongest pixels hold a share of the whole; 0 if there is nothing."""
    ranked = sorted(strengths, reverse=True)
    wanted, held = share * sum(ranked), 0.0
    if not wanted > 0:
        return 0
    for count, strength in enumerate(ranked, start=1):
        held += strength
        if held >= wanted:
            return count
    return len(ranked)
