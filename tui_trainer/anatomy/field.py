"""Receptive fields by arithmetic: which input pixels a feature can see.

The recurrences are those of A. Araujo, W. Norris and J. Sim, "Computing Receptive Fields of
Convolutional Neural Networks", Distill 2019 (doi.org/10.23915/distill.00021). All lengths are in
input pixels; pixels beyond the image's edges count like any others.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from functools import reduce


class Undefined(Exception):
    """The receptive field is undefined; the message is the reason."""


@dataclass(frozen=True, slots=True)
class Reach:
    """The receptive fields of a map's features along one direction.

    Attributes:
        size: The number of pixels that one feature sees.
        jump: The distance between the fields of neighboring features.
        start: The center of the first feature's field; 0 is the center of the first pixel.
    """

    size: int = 1
    jump: int = 1
    start: float = 0.0

    @property
    def low(self) -> float:
        """The lower end of the first feature's field."""
        return self.start - self.size / 2

    @property
    def high(self) -> float:
        """The upper end of the first feature's field."""
        return self.start + self.size / 2

    def through(self, kernel: int, stride: int = 1, before: int = 0, dilation: int = 1) -> Reach:
        """Return the reach after a convolution or a pool; ``before`` is its leading padding."""
        span = dilation * (kernel - 1)
        return Reach(
            self.size + span * self.jump,
            self.jump * stride,
            self.start + (span / 2 - before) * self.jump,
        )

    def between(self, low: float, high: float) -> Reach:
        """Return a reach with the same jump whose first field has these ends."""
        return Reach(round(high - low), self.jump, (low + high) / 2)


@dataclass(frozen=True, slots=True)
class Axis:
    """One direction of a map, and its dimension in the tensor.

    Attributes:
        reach: The receptive fields along it.
        features: The number of features with different fields along it.
        dim: The tensor dimension, as a negative index. In a flattened map, both directions and the
            channels share one dimension.
        inner: The stride between neighbors in that dimension: 1 except in a flattened map.
    """

    reach: Reach
    features: int
    dim: int
    inner: int = 1

    def through(self, kernel: int, stride: int, before: int, dilation: int, features: int) -> Axis:
        """Return the axis after a convolution or a pool that leaves ``features`` features."""
        reach = self.reach.through(kernel, stride, before, dilation)
        return Axis(reach, features, self.dim, self.inner)

    def mixed(self) -> Axis:
        """Return the axis after all its features are combined, as in a fully connected layer."""
        return self.through(self.features, 1, 0, 1, features=1)

    def spread(self) -> Axis:
        """Return the axis after each feature depends on all of them, as after a softmax."""
        whole = self.mixed()
        return replace(whole, reach=replace(whole.reach, jump=0)) if self.features > 1 else self

    def is_whole(self, shape: tuple[int, ...]) -> bool:
        """Return whether its dimension holds nothing but its features."""
        return self.inner == 1 and shape[self.dim] == self.features

    def joined(self, other: Axis) -> Axis:
        """Return the axis after both are added, multiplied or concatenated.

        Raises:
            Undefined: If their features lie on different grids.
        """
        if self.features == other.features == 1:
            jump = max(self.reach.jump, other.reach.jump)
            return replace(self, reach=_hull(replace(self.reach, jump=jump), other.reach))
        if other.features == 1:
            return self.gated_by(other.reach)
        if self.features == 1:
            return other.gated_by(self.reach)
        if (self.features, self.dim, self.inner) != (other.features, other.dim, other.inner):
            raise Undefined("the features of its inputs are not at the same positions")
        if self.reach.jump != other.reach.jump:
            jumps = sorted((self.reach.jump, other.reach.jump))
            raise Undefined(
                f"the features of its inputs lie {jumps[0]} and {jumps[1]} pixels apart"
            )
        return replace(self, reach=_hull(self.reach, other.reach))

    def gated_by(self, other: Reach) -> Axis:
        """Return the axis after each feature is combined with one value, as with a gate.

        No single size is exact for all features then. The result is the smallest size that covers
        the fields of every feature and the value: an upper bound ("at most").
        """
        last = (self.features - 1) * self.reach.jump
        low = min(self.reach.low, other.low - last)
        return replace(self, reach=self.reach.between(low, max(self.reach.high, other.high)))


def _hull(one: Reach, other: Reach) -> Reach:
    return one.between(min(one.low, other.low), max(one.high, other.high))


@dataclass(frozen=True, slots=True)
class Field:
    """The receptive fields of a tensor's features, down and across the image."""

    down: Axis
    across: Axis

    @classmethod
    def of_image(cls, height: int, width: int) -> Field:
        """Return the field of an image (1, channels, height, width): each pixel sees itself."""
        return cls(Axis(Reach(), height, -2), Axis(Reach(), width, -1))

    @property
    def axes(self) -> tuple[Axis, Axis]:
        """The axes down and across."""
        return self.down, self.across

    @property
    def reaches(self) -> tuple[Reach, Reach]:
        """The reaches down and across."""
        return self.down.reach, self.across.reach

    def each(self, change: Callable[[Axis], Axis]) -> Field:
        """Return the field with both axes changed in the same way."""
        return Field(change(self.down), change(self.across))

    def joined(self, other: Field) -> Field:
        """Return the field of a sum or a product of two tensors.

        Raises:
            Undefined: If their features lie on different grids.
        """
        return Field(self.down.joined(other.down), self.across.joined(other.across))


def join(fields: Iterable[Field]) -> Field:
    """Return the field of a sum or a product of one or more tensors.

    Raises:
        Undefined: If their features lie on different grids.
    """
    return reduce(Field.joined, fields)
