"""Receptive fields: which input pixels a feature can see, by arithmetic.

The recurrences are those of A. Araujo, W. Norris and J. Sim, "Computing Receptive Fields of
Convolutional Neural Networks", Distill 2019 (doi.org/10.23915/distill.00021). All lengths are in
input pixels, and pixels beyond the image's edges are counted like any others.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from functools import reduce


class Undefined(Exception):
    """There is no receptive field, for the reason that is its message."""


@dataclass(frozen=True, slots=True)
class Reach:
    """What the features of a map see along one direction.

    Attributes:
        size: How many pixels one feature sees.
        jump: From one feature's field to its neighbour's.
        start: The centre of the first feature's field, 0 being the centre of the first pixel.
    """

    size: int = 1
    jump: int = 1
    start: float = 0.0

    @property
    def low(self) -> float:
        """Where the first feature's field begins."""
        return self.start - self.size / 2

    @property
    def high(self) -> float:
        """Where the first feature's field ends."""
        return self.start + self.size / 2

    def through(self, kernel: int, stride: int = 1, before: int = 0, dilation: int = 1) -> Reach:
        """Return the reach after a convolution or a pool with this padding before the map."""
        span = dilation * (kernel - 1)
        return Reach(
            self.size + span * self.jump,
            self.jump * stride,
            self.start + (span / 2 - before) * self.jump,
        )

    def between(self, low: float, high: float) -> Reach:
        """Return the reach with the same jump whose first field has these ends."""
        return Reach(round(high - low), self.jump, (low + high) / 2)


@dataclass(frozen=True, slots=True)
class Axis:
    """One direction of a map, and where it is in the tensor.

    Attributes:
        reach: What the features see along it.
        features: How many features with fields of their own lie along it.
        dim: The tensor's dimension they lie in, counted from the end: -1 is the last. Features of
            a flattened map lie, with those of the other direction and channels, in one dimension.
        inner: How far apart two neighbours are in that dimension: 1, but for a flattened map.
    """

    reach: Reach
    features: int
    dim: int
    inner: int = 1

    def through(self, kernel: int, stride: int, before: int, dilation: int, features: int) -> Axis:
        """Return it after a convolution or a pool that leaves so many features."""
        reach = self.reach.through(kernel, stride, before, dilation)
        return Axis(reach, features, self.dim, self.inner)

    def mixed(self) -> Axis:
        """Return it after all its features went into one, as in a fully connected layer."""
        return self.through(self.features, 1, 0, 1, features=1)

    def spread(self) -> Axis:
        """Return it after each of its features came to see all of them, as behind a softmax."""
        whole = self.mixed()
        return replace(whole, reach=replace(whole.reach, jump=0)) if self.features > 1 else self

    def is_whole(self, shape: tuple[int, ...]) -> bool:
        """Say whether its features are all that lies in its dimension."""
        return self.inner == 1 and shape[self.dim] == self.features

    def joined(self, other: Axis) -> Axis:
        """Return it after the two were added, multiplied or put behind one another.

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
            raise Undefined("the features of its inputs do not lie in the same places")
        if self.reach.jump != other.reach.jump:
            jumps = sorted((self.reach.jump, other.reach.jump))
            raise Undefined(
                f"the features of its inputs lie {jumps[0]} and {jumps[1]} pixels apart"
            )
        return replace(self, reach=_hull(self.reach, other.reach))

    def gated_by(self, other: Reach) -> Axis:
        """Return it after one value went into each of its features, as a gate's does.

        No one size holds for all features then: it is the least that covers, for each, what the
        feature and the value see, and so an upper bound ("at most").
        """
        last = (self.features - 1) * self.reach.jump
        low = min(self.reach.low, other.low - last)
        return replace(self, reach=self.reach.between(low, max(self.reach.high, other.high)))


def _hull(one: Reach, other: Reach) -> Reach:
    return one.between(min(one.low, other.low), max(one.high, other.high))


@dataclass(frozen=True, slots=True)
class Field:
    """What the features of a tensor see of the image, down and across."""

    down: Axis
    across: Axis

    @classmethod
    def of_image(cls, height: int, width: int) -> Field:
        """Return that of an image (1, channels, height, width): each pixel sees itself."""
        return cls(Axis(Reach(), height, -2), Axis(Reach(), width, -1))

    @property
    def axes(self) -> tuple[Axis, Axis]:
        """Down, then across."""
        return self.down, self.across

    @property
    def reaches(self) -> tuple[Reach, Reach]:
        """Down, then across."""
        return self.down.reach, self.across.reach

    def each(self, change: Callable[[Axis], Axis]) -> Field:
        """Return it with both axes changed alike."""
        return Field(change(self.down), change(self.across))

    def joined(self, other: Field) -> Field:
        """Return that of a sum or a product of two tensors.

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
