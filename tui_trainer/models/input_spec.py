"""The input of a model: shape, dtype and range of one example."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from typing import Any

import torch
from torch import Tensor, nn


@dataclass(frozen=True, slots=True)
class InputSpec:
    """One example of a model's input, without the batch dimension.

    Attributes:
        shape: Its shape, for example (3, 32, 32).
        dtype: Its dtype.
        limits: Of integers: all are below it, or below one of them for each row; none for floats.
        names: The arguments that the rows are, if a model takes several tensors: see
            :func:`unpack_inputs`.
    """

    shape: tuple[int, ...]
    dtype: torch.dtype = torch.float32
    limits: tuple[int, ...] = ()
    names: tuple[str, ...] = ()

    @classmethod
    def of(cls, inputs: Tensor, names: tuple[str, ...] = ()) -> InputSpec:
        """Describe recorded inputs (N, ...), N at least 1."""
        limits: tuple[int, ...] = ()
        if not inputs.is_floating_point() and inputs.numel():
            rows = inputs.flatten(2).amax(dim=(0, 2)) if names else inputs.max()[None]
            limits = tuple(int(value) + 1 for value in rows.tolist())
        return cls(tuple(inputs.shape[1:]), inputs.dtype, limits, names)

    @classmethod
    def read(cls, metadata: Mapping[str, Any]) -> InputSpec | int:
        """Return the input that the metadata of a checkpoint describe.

        An integer is the side of square images with one channel.
        """
        found = metadata.get("input")
        if found is None:
            return metadata["image_size"]  # type: ignore[no-any-return]
        shape, dtype, limits, names = found
        return cls(tuple(shape), getattr(torch, dtype), tuple(limits), tuple(names))

    @property
    def plain(self) -> list[Any]:
        """The same as plain values, for the metadata of a checkpoint."""
        dtype = str(self.dtype).removeprefix("torch.")
        return [list(self.shape), dtype, list(self.limits), list(self.names)]

    @property
    def values(self) -> int:
        """The number of values of an example."""
        return prod(self.shape)

    @property
    def is_image(self) -> bool:
        """Whether it is an image: floats (channels, height, width)."""
        return self.dtype.is_floating_point and len(self.shape) == 3 and not self.names

    @property
    def image_shape(self) -> ImageShape:
        """Height, width and channels of an image.

        Of a sequence of vectors (steps, features): 1, steps and features; of other inputs 1, 1 and
        the number of values.
        """
        if self.is_image:
            return self.shape[1], self.shape[2], self.shape[0]
        if self.dtype.is_floating_point and len(self.shape) == 2:
            return 1, self.shape[0], self.shape[1]
        return 1, 1, self.values

    @property
    def words(self) -> str:
        """The input in words: ``3×32×32 float32``."""
        return f"{shape_words(self.shape)} {str(self.dtype).removeprefix('torch.')}"

    def noise(self, count: int, seed: int = 0, *, normal: bool = False) -> Tensor:
        """Return examples of noise (count, ...), the same in every call.

        Integers below ``limit``, or floats: uniformly between 0 and 1, or normally distributed.
        """
        rng = torch.Generator().manual_seed(seed)
        shape = (count, *self.shape)
        if not self.dtype.is_floating_point:
            limits = torch.tensor(self.limits or (1,)).clamp(min=1)
            limits = limits.view(-1, *[1] * (len(self.shape) - 1)) if len(limits) > 1 else limits
            return (torch.randint(1 << 31, shape, generator=rng) % limits).to(self.dtype)
        draw = torch.randn if normal else torch.rand
        return draw(shape, generator=rng, dtype=torch.float32).to(self.dtype)


ImageShape = tuple[int, int, int]
"""Height, width and channels of an image."""


def unpack_inputs(model: nn.Module, names: tuple[str, ...]) -> nn.Module:
    """Add a hook that calls a model with the rows of its input (N, arguments, ...); return it.

    Args:
        model: The model.
        names: The name of the argument for each row, or its number if it has none.
    """
    hook = functools.partial(_unpacked, names)
    model.register_forward_pre_hook(hook, with_kwargs=True)
    return model


def _unpacked(
    names: tuple[str, ...], model: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    rows = dict(zip(names, args[0].unbind(1), strict=True))
    placed = tuple(row for name, row in rows.items() if name.isdigit())
    return placed, {name: row for name, row in rows.items() if not name.isdigit()}


InputSize = InputSpec | int
"""A model's input; an integer is the side of square images, which have one channel."""


def spec_of(size: InputSize, channels: int = 1) -> InputSpec:
    """Return the input of a model; ``channels`` is of images of an integer size."""
    return InputSpec((channels, size, size)) if isinstance(size, int) else size


def shape_words(shape: tuple[int, ...]) -> str:
    """Return a shape in words: ``3×32×32``; ``one number`` if it has no dimension."""
    return "×".join(map(str, shape)) or "one number"
