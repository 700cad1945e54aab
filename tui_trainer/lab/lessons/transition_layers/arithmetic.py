"""What a transition layer, a 1×1 convolution and a pool, keeps and saves."""

from __future__ import annotations

from typing import NamedTuple

from tui_trainer.lab.convolution_cost import Cost, convolution

Shape = tuple[int, int, int]


def after_transition(shape: Shape, channels: int, *, pools: bool) -> Shape:
    """Return the shape (height, width, channels) after a transition with or without a 2×2 pool."""
    height, width, _ = shape
    return (height // 2, width // 2, channels) if pools else (height, width, channels)


class Saving(NamedTuple):
    """The cost of the next 3×3 layer with and without a transition before it.

    Attributes:
        without: The next layer without the transition.
        after: The next layer after the transition.
        mixing: The 1×1 convolution of the transition.
    """

    without: Cost
    after: Cost
    mixing: Cost

    @property
    def left(self) -> float:
        """The remaining share of the multiply-adds, those of the transition included."""
        spent = self.after.multiply_adds + self.mixing.multiply_adds
        return spent / self.without.multiply_adds


def saving(shape: Shape, channels: int, kernels: int, *, pools: bool) -> Saving:
    """Return what a transition to ``channels`` saves in a 3×3 layer of ``kernels`` kernels.

    The 1×1 convolution runs on the maps before they are pooled.
    """
    height, width, entering = shape
    left = after_transition(shape, channels, pools=pools)
    return Saving(
        convolution(entering, kernels, height * width),
        convolution(channels, kernels, left[0] * left[1]),
        convolution(entering, channels, height * width, side=1),
    )
