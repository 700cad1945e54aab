"""What a transition layer, a 1×1 convolution and a pooling, leaves and saves."""

from __future__ import annotations

from typing import NamedTuple

from tui_trainer.lab.convolution_cost import Cost, convolution

Shape = tuple[int, int, int]


def after_transition(shape: Shape, channels: int, *, pools: bool) -> Shape:
    """Return what is left of maps (height, width, channels) by a mix to so many and a 2×2 pool."""
    height, width, _ = shape
    return (height // 2, width // 2, channels) if pools else (height, width, channels)


class Saving(NamedTuple):
    """What the next 3×3 layer costs after the maps as they are, and after a transition.

    Attributes:
        without: Of the next layer, if it read the maps as they are.
        behind: Of the next layer, behind the transition.
        mixing: Of the transition's own 1×1 convolution.
    """

    without: Cost
    behind: Cost
    mixing: Cost

    @property
    def left(self) -> float:
        """The share of multiply-adds that is left, those of the transition included."""
        spent = self.behind.multiply_adds + self.mixing.multiply_adds
        return spent / self.without.multiply_adds


def saving(shape: Shape, channels: int, kernels: int, *, pools: bool) -> Saving:
    """Return what a transition to so many channels saves of a 3×3 layer with so many kernels.

    The 1×1 convolution works on the maps as they come in, before they are pooled.
    """
    height, width, entering = shape
    left = after_transition(shape, channels, pools=pools)
    return Saving(
        convolution(entering, kernels, height * width),
        convolution(channels, kernels, left[0] * left[1]),
        convolution(entering, channels, height * width, side=1),
    )
